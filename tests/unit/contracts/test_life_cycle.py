"""Each step of a job's life: who may take it, what it writes, which events it emits in which order."""

from __future__ import annotations

import pytest

from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Affinity,
    JobDefinition,
    JobStatus,
    Label,
    StorageType,
)
from tests.support.evm import (
    CREDIT,
    METASCHEDULER_ROLE,
    RATE,
    Contract,
    Event,
    RevertedError,
    World,
    definition_tuple,
    names,
    raw_id,
)

WEI = 200 * CREDIT


def moved(job_id: int, before: JobStatus, after: JobStatus) -> Event:
    """The event of a change of status."""
    values = {"_jobId": raw_id(job_id), "_from": int(before), "_to": int(after)}
    return Event("JobRepository", "JobTransitionEvent", values)


def paid(sender: Address | Contract, recipient: Address | Contract, wei: int) -> Event:
    """The event of a payment."""
    parties = [
        side.account.lower if isinstance(side, Contract) else side.lower
        for side in (sender, recipient)
    ]
    return Event("Credit", "Transfer", {"from": parties[0], "to": parties[1], "value": wei})


class TestRequest:
    def test_stores_locks_and_tells(self, world: World) -> None:
        """JobCreated, the payment and NewJobRequestEvent, in this order, and no transition."""
        job_id = world.request(WEI)
        assert world.last_events() == [
            Event("JobRepository", "JobCreated", {"_jobId": raw_id(job_id)}),
            paid(world.alice, world.scheduler, WEI),
            Event(
                "MetaScheduler",
                "NewJobRequestEvent",
                {"_jobId": raw_id(job_id), "_customerAddr": world.alice.lower},
            ),
        ]

    def test_job_as_requested(self, world: World) -> None:
        """All fields start as published; the cancel time starts at the time of submission."""
        definition = JobDefinition(
            ntasks=7,
            cpus_per_task=6,
            mem_per_cpu=5,
            gpus=4,
            batch_location_hash="b" * 64,
            storage_type=StorageType.S3,
            uses=(Label("os", "linux"), Label("", ""), Label("long", "x" * 100)),
            affinity=(Affinity("mem", ">=", "2000"), Affinity("zone", "in", "fr")),
        )
        job_id = world.request(WEI, definition=definition, name=b"a name", delegate=True)
        job = world.job(job_id)
        assert job_id == job.id == 1
        assert job.status == JobStatus.PENDING
        assert (job.customer, job.provider) == (world.alice, ZERO_ADDRESS)
        assert job.definition == tuple(
            tuple(part) if isinstance(part, list) else part for part in definition_tuple(definition)
        )
        assert (job.max_cost, job.final_cost, job.pending_top_up) == (WEI, 0, 0)
        assert job.delegate is True
        assert (job.submit, job.start, job.end) == (world.time, 0, 0)
        assert (job.cancel_request, job.block, job.panic) == (world.time, world.block, 0)
        assert job.name == b"a name".ljust(32, b"\0")
        assert (job.has_cancel_request, job.last_error, job.exit_code) == (False, "", 0)
        assert world.terms(job_id) == (WEI, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def test_checks_in_order(self, world: World) -> None:
        """The switch, the amount, the definition, the token: the first that fails is told."""
        bad = JobDefinition(ntasks=0, cpus_per_task=1, mem_per_cpu=1)
        world.approve(world.alice, 0)
        world.scheduler.send("setEnableRequestNewJob", False)
        refuse(world, bad, 0, "NewJobRequestDisabled")
        world.scheduler.send("setEnableRequestNewJob", True)
        refuse(world, bad, 99 * CREDIT, "InsufficientFunds", 99 * CREDIT, 100 * CREDIT)
        refuse(world, bad, 2**88, "AmountTooLarge", 2**88, 2**88 - 1)
        refuse(world, bad, 100 * CREDIT, "InvalidJobDefinition")
        good = JobDefinition(ntasks=1, cpus_per_task=1, mem_per_cpu=1)
        refuse(world, good, 100 * CREDIT, "Error", "ERC20: insufficient allowance")
        world.approve(world.alice, 2**256 - 1)
        refuse(world, good, 10_001 * CREDIT, "Error", "ERC20: transfer amount exceeds balance")
        assert world.jobs.call("jobIdCounter") == 1

    def test_definition_that_does_not_fit(self, world: World) -> None:
        """A definition larger than the store takes is refused with its size."""
        labels = tuple(Label("key", "x" * 500) for _ in range(60))
        long = JobDefinition(ntasks=1, cpus_per_task=1, mem_per_cpu=1, uses=labels)
        refuse(world, long, WEI, "DataTooLarge", 4 + 5 + 1 + 3 + 1 + 1 + 1 + 60 * 506 + 1, 24_575)


def refuse(world: World, definition: JobDefinition, wei: int, error: str, *values: object) -> None:
    """Asserts that a request is refused like that."""
    with pytest.raises(RevertedError) as refused:
        world.request(wei, definition=definition)
    assert (refused.value.name, refused.value.values) == (error, values)


class TestPlacement:
    def test_places(self, world: World) -> None:
        """The job gets its provider and an entry in that provider's queue; one event."""
        job_id = world.request()
        assert world.place(job_id) == [moved(job_id, JobStatus.PENDING, JobStatus.META_SCHEDULED)]
        job = world.job(job_id)
        assert (job.status, job.provider) == (JobStatus.META_SCHEDULED, world.p1)
        assert job.block == world.block
        assert world.queues.call("hasNextClaimableJob", world.p1) is True
        assert world.queues.call("hasNextClaimableJob", world.p2) is False

    def test_fixes_the_terms(self, world: World) -> None:
        """Rate, fee and every time limit are those of the moment."""
        job_id = world.request()
        world.place(job_id)
        assert world.terms(job_id) == (WEI, RATE, 0, 20, world.time, 0, 30, 10, 60, 1440)

    def test_refuses(self, world: World) -> None:
        """The provider must be valid, the job known and pending, the caller a meta-scheduler."""
        job_id = world.request()
        stranger = Address(b"\x77" * 20)
        with pytest.raises(RevertedError) as error:
            world.place(job_id, stranger)
        assert error.value.name == "ProviderNotJoined"
        with pytest.raises(RevertedError) as error:
            world.place(99)
        assert error.value.name == "InvalidJob"
        with pytest.raises(RevertedError) as error:
            world.scheduler.send("metaSchedule", raw_id(job_id), world.p1, sender=world.alice)
        assert error.value.values == (
            f"AccessControl: account {world.alice.lower} is missing role "
            f"0x{METASCHEDULER_ROLE.hex()}",
        )
        world.place(job_id)
        with pytest.raises(RevertedError) as error:
            world.place(job_id, world.p2)
        assert error.value.name == "SameStatusError"


class TestClaim:
    def test_claims(self, world: World) -> None:
        """ClaimJobEvent with the minutes the credits buy, then the transition."""
        job_id = world.job_at(JobStatus.META_SCHEDULED)
        event, transition = world.claim()
        assert (event.contract, event.name) == ("MetaScheduler", "ClaimJobEvent")
        assert event.values == {
            "customerAddr": world.alice.lower,
            "providerAddr": world.p1.lower,
            "jobId": raw_id(job_id),
            "maxDurationMinute": WEI // RATE,
            "jobDefinition": world.job(job_id).definition,
        }
        assert transition == moved(job_id, JobStatus.META_SCHEDULED, JobStatus.SCHEDULED)
        assert world.terms(job_id)[:4] == (WEI, RATE, world.time, 20)

    def test_oldest_first(self, world: World) -> None:
        """Jobs are claimed in the order of their placement."""
        ids = [world.request() for _ in range(3)]
        for job_id in reversed(ids):
            world.place(job_id)
        claimed = [world.claim()[0].values["jobId"] for _ in ids]
        assert claimed == [raw_id(job_id) for job_id in reversed(ids)]

    def test_nothing_to_claim(self, world: World) -> None:
        """An empty queue is NoJob."""
        with pytest.raises(RevertedError) as error:
            world.claim()
        assert error.value.name == "NoJob"

    @pytest.mark.parametrize(
        "function", ["claimNextJob", "claimNextCancellingJob", "claimNextTopUpJob"]
    )
    def test_only_valid_providers(self, world: World, function: str) -> None:
        """A stranger and a banned provider claim nothing."""
        world.job_at(JobStatus.META_SCHEDULED)
        world.providers.send("ban", world.p1)
        for caller in (world.p1, world.alice):
            with pytest.raises(RevertedError) as error:
                world.scheduler.send(function, sender=caller)
            assert error.value.name == "ProviderNotJoined"


class TestHandingBack:
    @pytest.mark.parametrize("status", [JobStatus.META_SCHEDULED, JobStatus.SCHEDULED])
    @pytest.mark.parametrize("how", ["refuse", "time_out"])
    def test_back_to_pending(self, world: World, status: JobStatus, how: str) -> None:
        """JobRefusedEvent, then the transition; provider and times are cleared, the credits stay."""
        job_id = world.job_at(status)
        events = getattr(world, how)(job_id)
        assert events == [
            Event(
                "MetaScheduler",
                "JobRefusedEvent",
                {
                    "_jobId": raw_id(job_id),
                    "_providerAddr": world.p1.lower,
                    "_customerAddr": world.alice.lower,
                },
            ),
            moved(job_id, status, JobStatus.PENDING),
        ]
        job = world.job(job_id)
        assert (job.status, job.provider) == (JobStatus.PENDING, ZERO_ADDRESS)
        assert (job.start, job.end, job.cancel_request, job.block) == (0, 0, 0, world.block)
        assert world.terms(job_id)[0] == job.max_cost == WEI

    def test_refuse_checks(self, world: World) -> None:
        """A valid provider, the job's own, and a job that has not begun."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        with pytest.raises(RevertedError) as error:
            world.refuse(job_id, world.alice)
        assert error.value.name == "ProviderNotJoined"
        with pytest.raises(RevertedError) as error:
            world.refuse(job_id, world.p2)
        assert (error.value.name, error.value.values) == (
            "JobProviderOnly",
            (world.p2.lower, world.p1.lower),
        )
        world.report(job_id, JobStatus.RUNNING)
        with pytest.raises(RevertedError) as error:
            world.refuse(job_id)
        assert (error.value.name, error.value.values) == (
            "MetaScheduledScheduledStatusOnly",
            (int(JobStatus.RUNNING),),
        )

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (JobStatus.PENDING, ("SameStatusError", ())),
            (JobStatus.RUNNING, ("InvalidTransition", (3, 0))),
            (JobStatus.FAILED, ("JobHotStatusOnly", (6,))),
        ],
    )
    def test_time_out_checks(
        self, world: World, status: JobStatus, error: tuple[str, tuple[int, ...]]
    ) -> None:
        """Only placed and claimed jobs time out; the others say why not."""
        job_id = world.job_at(status)
        with pytest.raises(RevertedError) as refused:
            world.time_out(job_id)
        assert (refused.value.name, refused.value.values) == error

    def test_second_provider_runs_it(self, world: World) -> None:
        """A job that was handed back is placed again, under the terms of its new provider."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        world.refuse(job_id)
        world.place(job_id, world.p2)
        with pytest.raises(RevertedError) as error:
            world.claim(world.p1)
        assert error.value.name == "NoJob"
        world.claim(world.p2)
        with pytest.raises(RevertedError) as error:
            world.report(job_id, JobStatus.RUNNING)
        assert error.value.name == "JobProviderOnly"
        world.report(job_id, JobStatus.RUNNING, provider=world.p2)
        assert world.job(job_id).provider == world.p2


class TestReports:
    def test_running(self, world: World) -> None:
        """One event; the start is noted and the provider's jobs are counted."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        events = world.report(job_id, JobStatus.RUNNING)
        assert events == [moved(job_id, JobStatus.SCHEDULED, JobStatus.RUNNING)]
        job = world.job(job_id)
        assert (job.start, job.end, job.block) == (world.time, 0, world.block)
        assert world.providers.call("getJobCount", world.p1) == 1
        assert world.providers.call("jobCountByProvider", world.p1) == 1

    @pytest.mark.parametrize("end", [status for status in JobStatus if status.is_final])
    def test_end(self, world: World, end: JobStatus) -> None:
        """End, words and wait status are kept; submission and start stay."""
        job_id = world.job_at(JobStatus.RUNNING)
        before = world.job(job_id)
        world.warp(130)
        world.report(job_id, end, 2, error="partition limit", exit_status=768)
        job = world.job(job_id)
        assert job.status == end
        assert (job.submit, job.start, job.end) == (before.submit, before.start, world.time)
        assert job.panic == (world.time if end == JobStatus.PANICKED else 0)
        assert (job.last_error, job.exit_code) == ("partition limit", 768)

    def test_end_before_the_start(self, world: World) -> None:
        """A job that never ran starts and ends at the moment it fails."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        world.report(job_id, JobStatus.FAILED, 5)
        job = world.job(job_id)
        assert job.start == job.end == world.time

    def test_no_words_leave_the_old_ones(self, world: World) -> None:
        """An empty error does not erase what an earlier report said."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        world.report(job_id, JobStatus.RUNNING, error="slow start")
        world.report(job_id, JobStatus.FINISHED, 1)
        assert world.job(job_id).last_error == "slow start"

    def test_negative_exit_code(self, world: World) -> None:
        """The wait status is signed."""
        job_id = world.job_at(JobStatus.RUNNING)
        world.report(job_id, JobStatus.FAILED, exit_status=-(2**63))
        assert world.job(job_id).exit_code == -(2**63)

    def test_check_order(self, world: World) -> None:
        """Valid provider, known job, own job, allowed status, allowed step."""
        job_id = world.job_at(JobStatus.SCHEDULED)
        for provider, job, status, error in (
            (world.alice, 99, JobStatus.PENDING, "ProviderNotJoined"),
            (world.p2, 99, JobStatus.PENDING, "InvalidJob"),
            (world.p2, job_id, JobStatus.PENDING, "JobProviderOnly"),
            (world.p1, job_id, JobStatus.PENDING, "RunningColdStatusOnly"),
            (world.p1, job_id, JobStatus.FINISHED, "InvalidTransition"),
        ):
            with pytest.raises(RevertedError) as refused:
                world.report(job, status, provider=provider)
            assert refused.value.name == error


class TestPanic:
    @pytest.mark.parametrize("status", [status for status in JobStatus if status.is_hot])
    def test_refunds_all(self, world: World, status: JobStatus) -> None:
        """The meta-scheduler ends any hot job; the customer gets everything back."""
        job_id = world.job_at(status)
        world.warp(600)
        assert world.panic(job_id, "provider lost") == [
            paid(world.scheduler, world.alice, WEI),
            moved(job_id, status, JobStatus.PANICKED),
        ]
        job = world.job(job_id)
        assert (job.last_error, job.panic, job.end) == ("provider lost", world.time, world.time)
        assert job.final_cost == 0
        assert world.balance(world.alice) == 10_000 * CREDIT

    def test_only_hot_jobs(self, world: World) -> None:
        """An ended job stays as it ended."""
        job_id = world.job_at(JobStatus.FINISHED)
        with pytest.raises(RevertedError) as error:
            world.panic(job_id)
        assert (error.value.name, error.value.values) == ("JobHotStatusOnly", (5,))


class TestDelegation:
    def test_customer_sets_it(self, world: World) -> None:
        """The customer allows and forbids top-ups by others while the job is hot."""
        job_id = world.request()
        world.scheduler.send(
            "setDelegateSpendingAuthority", raw_id(job_id), True, sender=world.alice
        )
        assert world.job(job_id).delegate is True
        assert names(world.last_events()) == []
        with pytest.raises(RevertedError) as error:
            world.scheduler.send(
                "setDelegateSpendingAuthority", raw_id(job_id), True, sender=world.bob
            )
        assert (error.value.name, error.value.values) == (
            "CustomerOnly",
            (world.bob.lower, world.alice.lower),
        )
        world.cancel(job_id)
        with pytest.raises(RevertedError) as error:
            world.scheduler.send(
                "setDelegateSpendingAuthority", raw_id(job_id), True, sender=world.bob
            )
        assert error.value.name == "JobHotStatusOnly"
