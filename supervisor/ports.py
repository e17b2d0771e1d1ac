"""What the agent asks of the chain and of the services: small protocols.

The real adapters are :class:`dsq.core.chain.Chain`, :class:`dsq.core.chain.Sender`,
:class:`dsq.core.rpc.sbatch.SBatchClient` and :class:`dsq.core.rpc.logger.LogWriter`;
fault tests bring others. The cluster's port is :mod:`dsq.supervisor.scheduler.port`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dsq.core.chain import Batch, Call, Calls, Event, Head, Others, Receipt
    from dsq.core.chain.client import ClaimTerms
    from dsq.core.model import Address, Constants, Job, Provider
    from dsq.core.rpc.logger import LogLine
    from dsq.core.rpc.sbatch import Script


class ChainPort(Protocol):
    """Views and events of the grid."""

    chain_id: int

    @property
    def calls(self) -> Calls:
        """Builders of calls."""
        ...

    async def head(self) -> Head:
        """The newest block."""
        ...

    async def job(self, job_id: int) -> Job:
        """A job; NotFoundError if there is none."""
        ...

    async def jobs(self, ids: Sequence[int]) -> list[Job]:
        """Jobs in the order of their ids."""
        ...

    async def job_count(self) -> int:
        """The highest job id."""
        ...

    async def has_batches(self) -> bool:
        """Whether the contract takes claims and reports of many jobs at once."""
        ...

    async def claim_terms(self, ids: Sequence[int]) -> dict[int, ClaimTerms]:
        """Time and rate of each claim; of those only that the contract tells."""
        ...

    async def block_timestamp(self, block_number: int) -> int:
        """Unix seconds of a block; NotFoundError if there is none."""
        ...

    async def queues(self, provider: Address) -> tuple[bool, bool, bool]:
        """Whether claimable, cancelling, top-up entries wait for the provider."""
        ...

    async def events(
        self, from_block: int, to_block: int, names: Collection[str] | None = None
    ) -> list[Event]:
        """Events of some blocks, both ends included."""
        ...

    async def provider(self, address: Address) -> Provider:
        """The approved record, empty if there is none."""
        ...

    async def proposal(self, address: Address) -> Provider:
        """The record that waits for approval, empty if there is none."""
        ...

    async def constants(self) -> Constants:
        """The grid's parameters."""
        ...

    async def balance(self, account: Address) -> int:
        """Credits in wei."""
        ...

    async def native_balance(self, account: Address) -> int:
        """Native coins in wei."""
        ...


class SenderPort(Protocol):
    """The one writer of the provider's wallet."""

    def knows(self, tx_hash: bytes) -> bool:
        """Whether a transaction was sent by this wallet from here, now or before."""
        ...

    async def others(self) -> Others:
        """Who else used the wallet since this was asked last; UnreachableError if it is silent."""
        ...

    async def send(self, call: Call, *, timeout: float = 60.0, gas: int | None = None) -> Receipt:
        """Sends and waits until it is mined; errors of both methods below.

        With ``gas`` the call is not tried first, and a refusal costs gas.
        """
        ...

    async def submit(self, call: Call) -> bytes:
        """Sends and does not wait; returns the transaction's hash.

        Raises:
            ContractError: The contract refuses, also with what was sent before counted in.
            UnreachableError: The node does not answer, and nothing was sent.
        """
        ...

    async def wait(self, tx_hash: bytes, timeout: float = 60.0) -> Receipt:
        """Waits until a transaction of :meth:`submit` is mined.

        Raises:
            ContractError: The contract refused it in its block.
            TransactionError: Not mined in time; it may still be.
        """
        ...


class Feed(Protocol):
    """Events in order, none missed (:class:`dsq.core.chain.Follower`)."""

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches, also empty ones."""
        ...

    async def commit(self, batch: Batch) -> None:
        """Keeps that the batch was handled."""
        ...

    async def keep_halt(self) -> None:
        """Keeps where it ended with a ReorgError: the next one ends there, too."""
        ...


class ScriptSource(Protocol):
    """The service that keeps batch scripts."""

    async def fetch(self, job: Job) -> Script:
        """The script of a job that the chain gave to this provider."""
        ...


class LogSink(Protocol):
    """The log service."""

    async def append(
        self,
        customer: Address,
        log_name: str,
        lines: Sequence[LogLine],
        *,
        first_index: int,
        end: bool = False,
    ) -> int:
        """Stores lines; a repeat after an error is safe."""
        ...
