"""Several jobs in one transaction: claims, reports, placements."""

from __future__ import annotations

import pytest

from dsq.core.model import JobStatus
from tests.support.evm import CREDIT, RATE, Event, RevertedError, World, names, raw_id

Report = tuple[object, ...]


def report(
    job_id: int,
    status: JobStatus,
    start: int = 0,
    end: int = 0,
    *,
    error: str = "",
    exit_status: int = 0,
) -> Report:
    return (raw_id(job_id), int(status), start, end, error, exit_status)


def send(world: World, *reports: Report) -> list[Event]:
    return world.scheduler.send("reportJobs", list(reports), sender=world.p1)


def skipped(world: World) -> list[tuple[object, ...]]:
    """Job and status of what the last batch left out."""
    return [
        (event.values["jobId"], event.values["status"])
        for event in world.added_events()
        if event.name.endswith("Skipped")
    ]


class TestClaims:
    def test_several(self, world: World) -> None:
        """Oldest first, at most as many as asked for, each with its events."""
        jobs = [world.job_at(JobStatus.META_SCHEDULED) for _ in range(3)]
        events = world.scheduler.send("claimNextJobs", 2, sender=world.p1)
        assert names(events) == ["ClaimJobEvent", "JobTransitionEvent"] * 2
        assert [event.values["jobId"] for event in events[::2]] == [raw_id(j) for j in jobs[:2]]
        world.scheduler.send("claimNextJobs", 99, sender=world.p1)
        assert world.job(jobs[2]).status == JobStatus.SCHEDULED
        with pytest.raises(RevertedError) as error:
            world.scheduler.send("claimNextJobs", 2, sender=world.p1)
        assert error.value.name == "NoJob"

    def test_dead_entries_between(self, world: World) -> None:
        """Cancelled jobs between others are taken away and do not count."""
        jobs = [world.job_at(JobStatus.META_SCHEDULED) for _ in range(4)]
        world.cancel(jobs[0])
        world.cancel(jobs[2])
        world.scheduler.send("claimNextJobs", 2, sender=world.p1)
        assert [world.job(j).status.value for j in jobs] == [4, 2, 4, 2]

    def test_only_providers(self, world: World) -> None:
        """Who is not approved claims nothing."""
        with pytest.raises(RevertedError) as error:
            world.scheduler.send("claimNextJobs", 1, sender=world.alice)
        assert error.value.name == "ProviderNotJoined"


class TestReports:
    def test_whole_life_in_one(self, world: World) -> None:
        """Start and end in one batch: billed are the whole minutes between them."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        claimed = world.time
        world.warp(1_000)
        start, end = claimed + 10, claimed + 10 + 179
        send(
            world,
            report(job_id, JobStatus.RUNNING, start),
            report(job_id, JobStatus.FAILED, start, end, error="boom", exit_status=768),
        )
        job = world.job(job_id)
        assert (job.status, job.final_cost) == (JobStatus.FAILED, 2 * RATE)
        assert (job.start, job.end) == (start, end)
        assert (job.last_error, job.exit_code) == ("boom", 768)

    @pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (119, 1), (120, 2), (121, 2)])
    def test_billed_minutes(self, world: World, seconds: int, minutes: int) -> None:
        """Whole minutes, at least one."""
        job_id = world.job_at(JobStatus.RUNNING)
        start = world.job(job_id).start
        world.warp(600)
        send(world, report(job_id, JobStatus.FINISHED, start, start + seconds))
        assert world.job(job_id).final_cost == minutes * RATE

    @pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 4), (0, 10**6)])
    def test_times_must_be_possible(self, world: World, start: int, end: int) -> None:
        """claim <= start <= end <= now, else the batch is refused with the values."""
        job_id = world.job_at(JobStatus.RUNNING)
        claimed = world.terms(job_id)[2]
        world.warp(600)
        with pytest.raises(RevertedError) as error:
            send(world, report(job_id, JobStatus.FINISHED, claimed + start, claimed + end))
        assert error.value.name == "InvalidReportTimes"
        assert error.value.values == (raw_id(job_id), claimed + start, claimed + end, claimed)

    def test_start_must_be_possible(self, world: World) -> None:
        """A job does not begin before its claim nor in the future."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        for start in (world.time - 1, world.time + 100):
            with pytest.raises(RevertedError) as error:
                send(world, report(job_id, JobStatus.RUNNING, start))
            assert error.value.name == "InvalidReportTimes"

    def test_what_does_not_fit_is_left_out(self, world: World) -> None:
        """An ended job, another provider's job and an impossible step do not stop the others."""
        ended = world.job_at(JobStatus.FINISHED)
        running = world.job_at(JobStatus.RUNNING)
        claimed = world.job_at(JobStatus.SCHEDULED)
        foreign = world.request()
        world.place(foreign, world.p2)
        now = world.time
        send(
            world,
            report(ended, JobStatus.FAILED, now, now),
            report(foreign, JobStatus.RUNNING, now),
            report(claimed, JobStatus.FINISHED, now, now),
            report(running, JobStatus.FINISHED, now, now),
        )
        assert skipped(world) == [(raw_id(ended), 5), (raw_id(foreign), 1), (raw_id(claimed), 2)]
        assert world.job(running).status == JobStatus.FINISHED

    def test_never_ran(self, world: World) -> None:
        """A claimed job that fails needs no times and costs nothing."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        send(world, report(job_id, JobStatus.FAILED, error="no script"))
        assert (world.job(job_id).final_cost, world.job(job_id).end) == (0, world.time)

    def test_panic_is_free(self, world: World) -> None:
        """As in a single report."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.warp(600)
        send(world, report(job_id, JobStatus.PANICKED, world.time - 300, world.time))
        assert (world.job(job_id).final_cost, world.job(job_id).panic) == (0, world.time)

    def test_sign_of_life(self, world: World) -> None:
        """RUNNING for a running job changes nothing but the time that is proved."""
        job_id = world.job_at(JobStatus.RUNNING)
        before = world.job(job_id)
        world.warp(600)
        assert send(world, report(job_id, JobStatus.RUNNING)) == []
        assert world.job(job_id) == before
        assert world.terms(job_id)[5] == world.time

    def test_nonsense_is_refused(self, world: World) -> None:
        """A status that no provider reports, or a job that is not there, is an error."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        for bad, name in (
            (report(job_id, JobStatus.PENDING), "RunningColdStatusOnly"),
            (report(99, JobStatus.RUNNING), "InvalidJob"),
        ):
            with pytest.raises(RevertedError) as error:
                send(world, bad)
            assert error.value.name == name


class TestPlacements:
    def test_several(self, world: World) -> None:
        """Each goes where it should; what cannot be placed is left out."""
        jobs = [world.request(100 * CREDIT) for _ in range(4)]
        world.cancel(jobs[1])
        world.providers.send("ban", world.p2)
        plan = [(j, world.p1) for j in jobs[:3]] + [(jobs[3], world.p2)]
        world.scheduler.send(
            "metaScheduleJobs", [(raw_id(j), p) for j, p in plan], sender=world.service
        )
        assert skipped(world) == [(raw_id(jobs[1]), 4), (raw_id(jobs[3]), 0)]
        assert [world.job(j).status.value for j in jobs] == [1, 4, 1, 0]
        assert world.terms(jobs[0])[1] == RATE

    def test_only_the_meta_scheduler(self, world: World) -> None:
        """As for single placements."""
        with pytest.raises(RevertedError) as error:
            world.scheduler.send("metaScheduleJobs", [], sender=world.p1)
        assert "is missing role" in error.value.values[0]
