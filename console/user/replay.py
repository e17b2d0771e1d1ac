"""Plays a recording: a grid that answers as one once did, at the same pace.

It begins at the moment when the recorded console had read everything for the first time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsq.console.user.recording import VERSION
from dsq.console.user.tape_codec import decode, decode_error, encode
from dsq.core.errors import DsqError, NotFoundError, UsageError
from dsq.core.model import Address, Constants, Job, Provider, WhyNot
from dsq.core.wallet import Wallet

POLL = 0.05
BURST = 1.0
"""Seconds from the beginning of a log within which lines count as having been there before."""


@dataclass
class _Stream:
    """Items of a stream with their times, and what ended it."""

    job_id: int
    begun: float
    items: list[tuple[float, Any]] = field(default_factory=list)
    error: tuple[float, Mapping[str, str]] | None = None


class Recording:
    """A recording that was read.

    Args:
        lines: The lines of its file.
        name: What errors call it.

    Raises:
        UsageError: It is no recording, or damaged. A last line that is cut off is left out.
    """

    def __init__(self, lines: Iterable[str], name: str = "the recording") -> None:
        self.calls: dict[tuple[str, str], list[tuple[float, Mapping[str, Any]]]]
        self.calls = defaultdict(list)
        self.jobs: dict[int, list[tuple[float, Job]]] = defaultdict(list)
        self.changes: list[tuple[float, Any]] = []
        self.logs: dict[int, list[_Stream]] = defaultdict(list)
        self._streams: dict[int, _Stream] = {}
        self._changes: set[int] = set()
        self.ready = 0.0
        head: Mapping[str, Any] | None = None
        rows = [line for line in lines if line.strip()]
        for number, line in enumerate(rows, 1):
            try:
                record = json.loads(line)
                if "dsq_console" in record:
                    head = head or record
                else:
                    self._take(record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number == len(rows) > 1:
                    break
                raise UsageError(
                    f"{name}, line {number}: this is no recording ({error})."
                ) from None
        if head is None or head["dsq_console"] != VERSION:
            raise UsageError(f"{name} is no recording of dsq-console.")
        self.at: float = head["at"]
        self.grid_name: str = head["grid"]
        self.account: Address = decode(head["account"])
        self.contracts: Mapping[Address, str] = decode(head["contracts"])

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Reads a file.

        Raises:
            UsageError: It cannot be read, or is no recording.
        """
        try:
            return cls(path.read_text("utf-8").splitlines(), str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError:
            raise UsageError(f"{path} is no recording of dsq-console.") from None

    def _take(self, record: Mapping[str, Any]) -> None:
        at = float(record["t"])
        if "stream" in record and "call" not in record:
            self._take_item(at, record)
        elif "stream" in record:
            number, args = record["stream"], decode(record["args"])
            if record["call"] == "changes":
                self._changes.add(number)
                self.ready = self.ready or at
            else:
                stream = _Stream(int(args[0]), at)
                self._streams[number] = stream
                self.logs[stream.job_id].append(stream)
        else:
            args = record["args"]
            if record["call"] == "history":
                # Of any state of the job: a later one knows all steps before it.
                args = [decode(args[0]).id]
            self.calls[record["call"], json.dumps(args)].append((at, record))
            if record["call"] != "jobs_at":  # those are of all customers
                self._take_jobs(at, decode(record.get("answer")))

    def _take_item(self, at: float, record: Mapping[str, Any]) -> None:
        number = record["stream"]
        if number in self._changes:
            if "item" in record:
                self.changes.append((at, decode(record["item"])))
        elif "item" in record:
            self._streams[number].items.append((at, decode(record["item"])))
        elif "error" in record:
            self._streams[number].error = (at, record["error"])

    def _take_jobs(self, at: float, answer: Any) -> None:
        for each in answer if isinstance(answer, list | tuple) else (answer,):
            if isinstance(each, Job):
                self.jobs[each.id].append((at, each))


class Replay:
    """Implements :class:`~dsq.console.user.port.GridPort` by a recording.

    Args:
        recording: What is played.
        elapsed: Seconds since the replay began; those of a clock when None.
    """

    def __init__(self, recording: Recording, elapsed: Callable[[], float] | None = None) -> None:
        self._recording = recording
        begun = time.monotonic()
        self._elapsed = elapsed if elapsed is not None else lambda: time.monotonic() - begun

    @property
    def _at(self) -> float:
        return self._recording.ready + self._elapsed()

    def now(self) -> float:
        """The present of the recording, in Unix seconds."""
        return self._recording.at + self._at

    @property
    def address(self) -> Address:
        return self._recording.account

    def contracts(self) -> Mapping[Address, str]:
        return self._recording.contracts

    async def close(self) -> None:
        """Nothing is open."""

    async def use(self, wallet: Wallet | None) -> None:
        """Nothing is signed."""

    # -- what was asked --------------------------------------------------------------------

    def _answer(self, name: str, *args: Any) -> Any:
        """The newest answer to a question by now; the first one if it came later."""
        known = self._recording.calls.get((name, json.dumps(encode(list(args)))))
        if not known:
            raise DsqError(
                "The recording does not have this.", hint="It holds what was looked at then."
            )
        at = self._at
        record = next((each for when, each in reversed(known) if when <= at), known[0][1])
        if "error" in record:
            raise decode_error(record["error"])
        return decode(record["answer"])

    async def head(self) -> Any:
        return self._answer("head")

    async def constants(self) -> Constants:
        found: Constants = self._answer("constants")
        return found

    async def balance(self) -> Any:
        return self._answer("balance")

    async def providers(self) -> list[Provider]:
        return list(self._answer("providers"))

    async def may_admit(self) -> bool:
        return False

    async def jobs_at(self, provider: Address, *, limit: int | None = None) -> list[Job]:
        return list(self._answer("jobs_at", provider, limit))

    async def overview(self) -> Any:
        return self._answer("overview")

    async def why(self, job_id: int) -> Any:
        return self._answer("why", job_id)

    async def estimate(self, definition: Any, wei: int) -> list[WhyNot]:
        return list(self._answer("estimate", definition, wei))

    async def history(self, job: Job) -> Sequence[Any]:
        return list(self._answer("history", job.id))

    async def block_hash(self, number: int) -> bytes | None:
        try:
            found: bytes | None = self._answer("block_hash", number)
        except DsqError:
            return None
        return found

    async def movements(
        self, account: Address | None = None, *, from_block: int | None = None
    ) -> list[Any]:
        del account
        found: dict[tuple[int, int], Any] = {}
        for (name, _), records in self._recording.calls.items():
            for when, record in records if name == "movements" else ():
                if when <= self._at and "answer" in record:
                    rows = decode(record["answer"])
                    found |= {(row.block_number, row.log_index): row for row in rows}
        return [found[key] for key in sorted(found) if key[0] >= (from_block or 0)]

    # -- jobs, by all that was ever said of them -------------------------------------------

    def _job(self, job_id: int) -> Job | None:
        known = self._recording.jobs.get(job_id, [])
        return next((job for when, job in reversed(known) if when <= self._at), None)

    async def job(self, job_id: int) -> Job:
        found = self._job(job_id)
        if found is None:
            raise NotFoundError(f"There is no job {job_id} in the recording.")
        return found

    async def job_ids(self, after: int = 0) -> list[int]:
        ids = sorted(job_id for job_id in self._recording.jobs if self._job(job_id) is not None)
        return ids[after:]

    async def jobs_by_id(self, ids: Sequence[int]) -> list[Job]:
        return [await self.job(job_id) for job_id in ids]

    # -- streams ---------------------------------------------------------------------------

    async def _until(self, at: float) -> None:
        while self._at < at:  # noqa: ASYNC110 - a clock, which sends no event
            await asyncio.sleep(min(POLL, at - self._at))

    async def changes(self) -> AsyncIterator[Any]:
        begun = self._at
        for number, (when, batch) in enumerate(self._recording.changes):
            if when < begun and number:
                continue
            await self._until(when)
            yield batch
        await asyncio.Event().wait()

    async def logs(self, job_id: int, *, follow: bool = False) -> AsyncIterator[Any]:
        streams = self._recording.logs.get(job_id)
        if not streams:
            raise NotFoundError(f"The recording has no output of job {job_id}.")
        stream = max(streams, key=lambda each: len(each.items))
        for when, item in stream.items:
            if when > stream.begun + BURST and follow:
                await self._until(when)
            yield item
        if stream.error is not None:
            raise decode_error(stream.error[1])

    async def script(self, job_id: int) -> str:
        raise NotFoundError(f"The recording does not hold the script of job {job_id}.")

    # -- what changes something ------------------------------------------------------------

    async def _nothing(self, *_args: Any, **_named: Any) -> Any:
        raise UsageError("This is a recording: nothing can be sent.")

    submit = submit_many = cancel = top_up = transfer = claim_faucet = withdraw_claimable = _nothing
    proposal = approve_provider = remove_provider = ban = unban = _nothing
