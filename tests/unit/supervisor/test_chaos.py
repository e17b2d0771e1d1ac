"""The simulation with everything that can go wrong: some seeds, and that it would notice.

``make test`` plays 200 seeds, ``make test-slow`` 10,000, ``make chaos SEEDS=N`` any number.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from dsq.core.chain import Event, Follower
from dsq.core.errors import DiskError
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT
from dsq.supervisor import poller, rules
from dsq.supervisor.agent import Agent
from dsq.supervisor.ends import End
from dsq.supervisor.intake import Intake
from dsq.supervisor.journal import Journal
from dsq.supervisor.journal_disk import JournalDisk
from dsq.supervisor.reconcile import Reconciler
from dsq.supervisor.records import JobRecord
from dsq.supervisor.reports import Reporter
from dsq.supervisor.scheduler.port import JobSpec, SlurmJob, SlurmJobId
from dsq.supervisor.states import BodyState, ChainState
from dsq.supervisor.stepper import Stepper
from dsq.supervisor.wishes import Wish
from tests.support.boundaries import KINDS, kinds_of
from tests.support.chaos import command
from tests.support.chaos.faults import FAULTS, RARE, faults_of
from tests.support.chaos.play import play
from tests.support.chaos.story import Story
from tests.support.chaos.tally import MEETINGS, Tally
from tests.support.fakes import FakeScheduler, FakeSender
from tests.support.provider import provider
from tests.support.virtual import run_virtual


@pytest.mark.parametrize("seed", [0, 3, 9, 12, 17, 24])
def test_whatever_happens(seed: int) -> None:
    """Seeds with lost journals (divisible by 4) and with two supervisors (ending in 9) among them."""
    assert command.run_seed(seed) == ""


def test_a_seed_is_told_again_exactly(tmp_path: Path) -> None:
    """The same seed, the same story: what failed once can be looked at."""
    first, second = (run_virtual(play(5, tmp_path / name)) for name in "ab")
    assert first == second
    assert len(first) > 50


MOST_SEEDS = 60
"""In so many seeds the simulation meets what is broken on purpose."""

Patch = Callable[[pytest.MonkeyPatch], None]


def a_minute_too_much(patch: pytest.MonkeyPatch) -> None:
    """In the reports."""
    true = rules.end_of

    def dearer(record: JobRecord) -> End:
        end = true(record)
        return dataclasses.replace(end, minutes=end.minutes + 1, start=end.start - 60)

    patch.setattr(rules, "end_of", dearer)


def a_blind_search(patch: pytest.MonkeyPatch) -> None:
    """It finds nothing, and leaves no mark that would stop the lost attempt."""

    async def blind(self: FakeScheduler, name: str, token: str, since: int) -> SlurmJob | None:
        return None

    patch.setattr(FakeScheduler, "find", blind)


def no_search(patch: pytest.MonkeyPatch) -> None:
    """After an unknown outcome it submits again."""
    again = rules.RULES[ChainState.SCHEDULED, BodyState.NEVER]
    patch.setitem(rules.RULES, (ChainState.SCHEDULED, BodyState.UNSURE), again)


def two_submissions(patch: pytest.MonkeyPatch) -> None:
    """Each attempt is handed to the cluster twice."""
    submit = FakeScheduler.submit

    async def twice(self: FakeScheduler, spec: JobSpec, script: str) -> SlurmJobId:
        await submit(self, spec, script)
        return await submit(self, spec, script)

    patch.setattr(FakeScheduler, "submit", twice)


def no_sync(patch: pytest.MonkeyPatch) -> None:
    """Effects do not wait for the disk."""

    async def at_once(self: Journal) -> None:
        pass

    patch.setattr(Journal, "settled", at_once)


def a_full_disk_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """What the disk did not take counts as written."""
    commit = JournalDisk.commit

    def careless(self: JournalDisk) -> None:
        try:
            commit(self)
        except DiskError:
            self._synced = self._written

    patch.setattr(JournalDisk, "commit", careless)


def an_unsaved_transaction(patch: pytest.MonkeyPatch) -> None:
    """What the sender's file did not take is sent all the same."""
    save = FakeSender._save

    def careless(self: FakeSender, tx_hash: bytes) -> None:
        with contextlib.suppress(DiskError):
            save(self, tx_hash)

    patch.setattr(FakeSender, "_save", careless)


def no_halt(patch: pytest.MonkeyPatch) -> None:
    """However far the chain went back, it goes on."""
    patch.setattr(Follower, "_check_depth", lambda *_: None)


def a_late_look_at_the_place(patch: pytest.MonkeyPatch) -> None:
    """A start works while it looks whether the chain still is the one that was read."""

    async def at_once(self: Agent, run: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        self.services.views.is_trusted = True
        await run(self._is_stopping)

    patch.setattr(Agent, "_once_placed", at_once)


def an_event_passed_over(patch: pytest.MonkeyPatch) -> None:
    """Claims are taken from receipts alone, which die with the process."""

    def deaf(self: Intake, event: Event, **_: int) -> None:
        self.cancel(event)
        self.top_up(event)

    patch.setattr(Intake, "take_any", deaf)


def a_claim_forgotten(patch: pytest.MonkeyPatch) -> None:
    """It never comes into the journal."""
    adopt = Intake.adopt

    def forgetful(self: Intake, record: JobRecord, event: str) -> None:
        if record.job_id != 2:
            adopt(self, record, event)

    patch.setattr(Intake, "adopt", forgetful)


def a_report_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The end of one job is never said."""
    ended = Reporter.ended

    def forgetful(self: Reporter, job_id: int, end: End) -> None:
        if job_id != 2:
            ended(self, job_id, end)

    patch.setattr(Reporter, "ended", forgetful)


def a_report_never_over(patch: pytest.MonkeyPatch) -> None:
    """One that failed counts as under way for ever."""

    def silent(self: Reporter, wishes: Sequence[Wish], error: Exception) -> None:
        self._queue.update({wish.job_id: wish for wish in wishes})
        self._most = 0
        self._pause = lambda: 60.0  # type: ignore[method-assign]

    patch.setattr(Reporter, "_not_delivered", silent)


def a_top_up_counted_again(patch: pytest.MonkeyPatch) -> None:
    """Each time that its event is heard."""
    top_up, number = Journal.top_up, itertools.count()

    def again(self: Journal, job_id: int, minutes: int, tx_hash: bytes) -> JobRecord | None:
        return top_up(self, job_id, minutes, b"%d" % next(number))

    patch.setattr(Journal, "top_up", again)


def no_timer(patch: pytest.MonkeyPatch) -> None:
    """What only time decides is never looked at."""
    patch.setattr(Stepper, "tick", lambda self: None)


def no_retry(patch: pytest.MonkeyPatch) -> None:
    """A step that failed is not repeated."""
    failed = Stepper.failed

    def for_good(self: Stepper, job_id: int, words: str) -> None:
        failed(self, job_id, words)
        self._retry_at[job_id] = math.inf

    patch.setattr(Stepper, "failed", for_good)


def ids_alone(patch: pytest.MonkeyPatch) -> None:
    """A job in Slurm is known by its id, whenever it was submitted."""
    patch.setattr(poller, "_identity", lambda record: SlurmJobId(record.slurm_id, 0))


def a_reset_passed_over(patch: pytest.MonkeyPatch) -> None:
    """The chain went back, and nobody looks, nor later at what was closed."""

    async def calm(self: Reconciler) -> None:
        pass

    patch.setattr(Reconciler, "after_reset", calm)
    no_second_look(patch)


def no_second_look(patch: pytest.MonkeyPatch) -> None:
    """What was closed on a block that was replaced unheard stays closed."""
    patch.setattr(Reconciler, "closed", lambda self, job_id: None)
    patch.setattr(Reconciler, "_doubt_since", lambda self, since, notes: [])


BROKEN: list[tuple[Patch, str, int]] = [
    (a_minute_too_much, "min, it took", 0),
    (a_blind_search, "a second time", 0),
    (no_search, "times in Slurm|a second time", 0),
    (two_submissions, "was submitted 2 times", 0),
    (no_sync, "on the disk", 0),
    (a_full_disk_unnoticed, "on the disk|is lost", 2),
    (an_unsaved_transaction, "is sent and not saved", 3),
    (no_halt, "and it goes on", 11),
    (a_late_look_at_the_place, "after its halt", 3),
    (an_event_passed_over, "is lost", 0),
    (a_claim_forgotten, "is lost", 0),
    (a_report_forgotten, "not all jobs have ended", 0),
    (a_report_never_over, "its report has waited", 33),
    (a_top_up_counted_again, "which are not paid", 5074),
    (no_timer, "it was judged .* ago", 0),
    (no_retry, "its retry is due in inf", 0),
    (ids_alone, "ran|billed|is FINISHED|goes on", 16),
    (a_reset_passed_over, "is lost|not all jobs|nobody", 7),
    (no_second_look, "is lost|not paid|not all jobs", 7208),
]
"""Supervisors broken on purpose, what the simulation says of them, and the seed to begin with:
one that met it when this was written."""


LONG = {a_report_forgotten, a_report_never_over, a_top_up_counted_again, ids_alone, no_search}
"""Those that take over a second."""


@pytest.mark.parametrize(
    ("broken", "words", "first"),
    [
        pytest.param(*one, id=one[0].__name__, marks=[pytest.mark.slow] if one[0] in LONG else [])
        for one in BROKEN
    ],
)
def test_what_is_broken_is_noticed(
    broken: Patch, words: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each invariant has a supervisor that breaks it; the simulation says so, by its own words."""
    broken(monkeypatch)
    problems = filter(None, map(command.run_seed, range(first, first + MOST_SEEDS)))
    assert any(re.search(words, problem.splitlines()[0]) for problem in problems)


def test_the_command_line_counts_and_exits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line says how many failed; the exit code is 1 if any did."""
    monkeypatch.setattr(command, "run_seeds", lambda first, _count: Tally(int(first == 7)))
    assert command.main(["30", "0"]) == 0
    assert capsys.readouterr().out.endswith("\n30 seeds, 0 failed\n")
    assert command.main(["30", "7"]) == 1
    assert capsys.readouterr().out.endswith("\n30 seeds, 1 failed\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["many"], "argument SEEDS: 'many' is no number of seeds: 1 or more."),
        (["0"], "argument SEEDS: '0' is no number of seeds"),
        (["-3"], "argument SEEDS: '-3' is no number of seeds"),
        (["10", "1e3"], "argument FIRST_SEED: '1e3' is no seed: a whole number, 0 or more."),
        (["--trace", "x"], "argument --trace: 'x' is no seed"),
        (["1", "2", "3"], "unrecognized arguments: 3"),
    ],
)
def test_bad_words_are_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and nothing is played."""
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_help_tells_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    """As `make chaos` gives them."""
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    assert "[SEEDS] [FIRST_SEED]" in capsys.readouterr().out


def test_rare_faults_come_in_some_seeds_only() -> None:
    """In 200 seeds often enough; where they do not come the story is as it was without them."""
    with_them = [seed for seed in range(200) if set(RARE) <= set(faults_of(seed))]
    assert len(with_them) == 25
    assert set(faults_of(0)) == set(FAULTS) - set(RARE)


def test_what_is_never_met_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over 200 seeds the process must have died at every kind of boundary, and every fault come."""
    total = Tally(
        crashes=Counter(KINDS[1:]),
        faults=Counter(FAULTS),
        met=Counter(MEETINGS[1:]),
    )
    monkeypatch.setattr(command, "run_seeds", lambda _first, _count: total)
    assert command.main(["200"]) == 1
    assert f"never met in 200 seeds: a death {KINDS[0]}\n" in capsys.readouterr().out
    total.crashes[KINDS[0]] += 1
    assert command.main(["200"]) == 1
    assert f"never met in 200 seeds: {MEETINGS[0]}\n" in capsys.readouterr().out
    total.met[MEETINGS[0]] += 1
    assert command.main(["200"]) == 0


def test_every_boundary_is_of_a_known_kind(tmp_path: Path) -> None:
    """A kind that the list does not have would never be counted."""
    met: set[str] = set()

    async def main(folder: Path, *, batches: bool) -> None:
        async with provider(folder) as p:
            p.chain.batches = batches
            job_id = p.chain.request(credits=2, script="seconds=100")
            p.chain.offer(job_id)
            await p.until(lambda: p.job(job_id).status is JobStatus.RUNNING, 60)
            p.chain.top_up(job_id, 3 * CREDIT)
            await asyncio.sleep(20)
            p.chain.cancel(job_id)
            await p.until_over(job_id)
            met.update(kind for name in p.world.boundaries for kind in kinds_of(name))

    run_virtual(main(tmp_path / "a", batches=True))
    run_virtual(main(tmp_path / "b", batches=False))
    assert met - set(KINDS) == {f"{when} tx register" for when in ("before", "sent", "mined")}
    assert len(met) > 35


def test_credits_that_drift_are_noticed_at_that_step(tmp_path: Path) -> None:
    """Not only when all is over."""

    async def main() -> None:
        async with provider(tmp_path) as p:
            story = Story(0, p, random.Random(0))
            story.watch()
            story.submit()
            await asyncio.sleep(5)
            story.check_now()
            p.chain.state = p.chain.state.copied()
            p.chain.state.fees += 1
            await asyncio.sleep(5)
            with pytest.raises(AssertionError, match="credits drift"):
                story.check_now()

    run_virtual(main())
