"""What holds after each step of the simulation, not only when all is over.

A step is a boundary of journal or effect, a block, a reorganisation, a job that Slurm
takes, starts or ends. Before an effect its intent is looked for on the disk, not in the
memory of the process that is about to act; and once the journal's file says that the events
up to a block were handled, it has every job that was claimed up to there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dsq.core.chain import Cursor
from dsq.core.model import JobStatus, job_hex_id
from dsq.supervisor.reconcile import BEGUN, DOUBT
from dsq.supervisor.scheduler.port import ENDED_STATES
from tests.support.attention import Attention
from tests.support.fakes import CUSTOMER, ME
from tests.support.provider import Provider

_JOB = re.compile(r"(?<=[( ])\d+(?=[:,)])")
"""The jobs that a transaction is about."""

_IS_CLEAR = "SELECT 1 FROM meta WHERE name = ?"
"""Before this mark the chain is searched for what an earlier journal may have held."""

_FINAL = {status.name for status in JobStatus if status.is_final}
_REPORTED = re.compile(r"(\d+):(\w+)")
_SET = re.compile(r"\((\d+), (\w+)")


class StepCheck:
    """Looks at a world after each step; what it finds is a violation there.

    Args:
        jobs: The grid's jobs, those to come included.
        providers: The processes that work on one chain and one cluster.
    """

    def __init__(self, jobs: Sequence[int], *providers: Provider) -> None:
        self._jobs = jobs
        self._providers = providers
        self._world = providers[0].world
        self._chain = providers[0].chain
        self._slurm = providers[0].slurm
        self._checked: object = None
        self._attention = [Attention(provider, jobs) for provider in providers]

    def __call__(self, name: str) -> None:
        """Looks, unless something was found before."""
        if self._world.violations:
            return
        found = [*self._unintended(name)]
        if name == "cursor on the disk":
            found += self._lost()
        if name.startswith(("block", "now")):
            found += [words for one in self._attention for words in one.missing()]
        if self._chain.state is not self._checked:
            # Whatever happens on chain makes another state.
            self._checked = self._chain.state
            found += self._on_chain()
        if name.startswith(("slurm", "now")):
            found += self._submitted_twice()
        for words in found:
            self._world.violated(f"{words} (at: {name})")

    def _on_chain(self) -> Iterator[str]:
        """What is wrong with credits and ends."""
        jobs = [self._chain.peek(job_id) for job_id in self._jobs]
        terms, bills = self._chain.state.terms, self._chain.bills
        for job in jobs:
            if job.status.is_final and (held := terms.get(job.id)) is not None:
                cost = min(held.rate * bills[job.id], job.cost.max_cost)
                if job.cost.final_cost != cost:
                    yield f"job {job.id} cost {job.cost.final_cost}, by its minutes {cost}"
        deposits = sum(job.cost.max_cost for job in jobs)
        held = sum(job.cost.max_cost for job in jobs if not job.status.is_final)
        balances = self._chain.balances
        paid = balances.get(ME, 0) + balances.get(CUSTOMER, 0) + self._chain.state.fees
        if paid + held != deposits:
            yield f"credits drift: {paid} + {held} != {deposits}"
        for job_id, ends in self._chain.ends.items():
            if len(ends) > 1:
                yield f"job {job_id} ended twice: {ends}"

    def _lost(self) -> Iterator[str]:
        """Jobs that were claimed in a block that was handled, and are not in the journal."""
        for p in self._providers:
            if p.agent is None or p.world.is_dead or not p.journal.is_on_disk(_IS_CLEAR, BEGUN):
                continue
            text = p.journal.get_meta("cursor")
            place = Cursor.from_json(text) if text else None
            block = self._chain.block_at(place.number) if place else None
            if place is None or block is None or block.hash != place.hash:
                continue  # the chain went back meanwhile
            for job_id in self._jobs:
                job = self._chain.peek(job_id)
                is_claimed = job.status in (JobStatus.SCHEDULED, JobStatus.RUNNING)
                if not is_claimed or job.provider != ME:
                    continue
                claimed_in = self._chain.state.claim_blocks.get(job_id, place.number + 1)
                if claimed_in <= place.number and not self._is_kept(p, job_id):
                    yield f"job {job_id} is lost: claimed in block {claimed_in}, journal at {place.number}"

    def _is_kept(self, p: Provider, job_id: int) -> bool:
        assert p.agent is not None
        found = "SELECT 1 FROM jobs WHERE job_id = ?"
        is_doubted = p.agent._reconciler.is_doubted(job_id)
        if not is_doubted and not p.journal.get_meta(DOUBT):
            # While a closed job is doubted it is taken up again.
            found += " AND phase != 'final'"
        if p.journal.is_on_disk(found, job_hex_id(job_id)):
            return True
        strays = p.agent.strays
        is_stray = job_id in strays._jobs or job_id in strays._left_alone
        # What closed it was in a block that is gone, and is mined again.
        said = (word for tx in self._chain.pool for word in _JOB.findall(tx.call.label))
        is_stray |= str(job_id) in said
        lost = self._chain.lost_events
        return is_stray or any(event.args.get("job_id") == job_id for event in lost)

    def _submitted_twice(self) -> Iterator[str]:
        taken = self._slurm.jobs_by_id.values()
        for token, count in Counter(job.spec.token for job in taken).items():
            if count > 1:
                yield f"the attempt {token} was submitted {count} times"
        alive = (
            job.spec.name
            for job in taken
            if job.state not in ENDED_STATES and job.spec.token not in self._slurm.given_up
        )
        for name, count in Counter(alive).items():
            if count > 1:
                yield f"job {int(name, 16)} is {count} times in Slurm"

    def _unintended(self, name: str) -> Iterator[str]:
        """An effect that the journal on the disk does not tell of."""
        if name.startswith("sent tx"):
            for p in self._providers:
                yield from (f"{call} is sent and not saved" for call in p.sender.unsaved())
        if not name.startswith("before"):
            return
        match name.split():
            case ["before", "sbatch", _, token]:
                found = "SELECT 1 FROM jobs WHERE token = ? AND phase = 'planned'"
                if not self._on_disk(found, token):
                    yield "an sbatch without a plan on the disk"
            case ["before", "scancel", slurm_id]:
                found = "SELECT 1 FROM jobs WHERE slurm_id = ? AND cancel_sent_at > 0"
                if not self._on_disk(found, slurm_id):
                    yield "an scancel without a word on the disk"
            case ["before", "limit", slurm_id, minutes]:
                yield from self._unpaid(slurm_id, int(minutes))
            case ["before", "tx", *_] if "reportJobs" in name:
                yield from self._unwritten(_REPORTED.findall(name))
            case ["before", "tx", *_] if "providerSetJobStatus" in name:
                yield from self._unwritten(_SET.findall(name))

    def _unpaid(self, slurm_id: str, minutes: int) -> Iterator[str]:
        """A limit above what the job's credits buy. A top-up that was counted may be rolled back:
        until its loss was looked for."""
        job_id = int(self._slurm.jobs_by_id[slurm_id].spec.name, 16)
        terms, job = self._chain.state.terms[job_id], self._chain.peek(job_id)
        is_open = any(p.journal.get_meta(DOUBT) for p in self._providers if p.agent is not None)
        if not is_open and not self._is_fork_unheard() and terms.rate * minutes > job.cost.max_cost:
            yield f"job {job_id} would have {minutes} min, which are not paid"

    def _is_fork_unheard(self) -> bool:
        """Whether the chain went back, and a process that lives does not know it yet."""
        for p in self._providers:
            text = p.journal.get_meta("cursor") if p.agent is not None else None
            place = Cursor.from_json(text) if text else None
            block = self._chain.block_at(place.number) if place else None
            if place is not None and (block is None or block.hash != place.hash):
                return True
        return False

    def _unwritten(self, reports: Sequence[tuple[str, str]]) -> Iterator[str]:
        found = "SELECT 1 FROM history WHERE job_id = ? AND text LIKE 'reporting ' || ? || '%'"
        for job_id, status in reports:
            if status in _FINAL and not self._on_disk(found, job_hex_id(int(job_id)), status):
                yield f"a report of job {job_id} without a word on the disk"

    def _on_disk(self, query: str, *values: str) -> bool:
        journals = [p.journal for p in self._providers if p.agent is not None]
        return any(journal.is_on_disk(query, *values) for journal in journals)
