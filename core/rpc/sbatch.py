"""Client of the service that keeps batch scripts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsq.core.closing import Closing
from dsq.core.errors import DsqError, UnreachableError, UsageError
from dsq.core.model import Job
from dsq.core.rpc.channel import Endpoint, as_dsq_error, of_status, open_channel
from dsq.core.wallet import Wallet

SERVICE = "the sbatch service"

MOST_TOGETHER = 32
"""Scripts that are asked for with one challenge and one signature; services take no more."""

GATHER_SECONDS = 0.004
"""Those that are asked for within so long go together."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a provider needs to run a job.

    Attributes:
        text: The batch script.
        grid_logger_url: Where the job's log is to be written; "" where there is no log service.
        secrets: Values for the job's environment only, by variable name.
    """

    text: str = field(repr=False)
    grid_logger_url: str = ""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """A script that somebody waits for."""

    job: Job
    result: asyncio.Future[Script]

    def succeed(self, script: Script) -> None:
        if not self.result.done():
            self.result.set_result(script)

    def fail(self, error: DsqError) -> None:
        if not self.result.done():
            self.result.set_exception(error)
            self.result.exception()  # nobody may be waiting any more


class SBatchClient(Closing):
    """Fetches the scripts of the jobs that a provider was given, or that a customer submitted.

    Args:
        endpoint: ``host:port`` or a URL (see :class:`~dsq.core.rpc.channel.Endpoint`).
        wallet: The provider's, or the customer's.
        timeout: Seconds for one fetch.
    """

    def __init__(self, endpoint: str, wallet: Wallet, *, timeout: float = 10.0) -> None:
        self._endpoint = Endpoint.parse(endpoint)
        self._wallet = wallet
        self._timeout = timeout
        self._open: Any = None
        self._waiting: list[_Wanted] = []
        self._wanted: set[_Wanted] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._takes_many = True

    async def close(self) -> None:
        """Closes the connection; fetches that still wait end with UnreachableError."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        _break_off(self._wanted)
        self._waiting.clear()
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def fetch(self, job: Job) -> Script:
        """Fetches the script of a job that this provider has claimed.

        Jobs that are asked for in the same moment go together in one request, if the service
        knows that.

        Raises:
            NotFoundError: The service has no such script, or the job has ended.
            UnreachableError: The service, or its view of the chain, does not answer.
            WalletError: The job is not this provider's, or the signature was refused.
            UsageError: The service finds the request malformed.
        """
        wanted = _Wanted(job, asyncio.get_running_loop().create_future())
        self._waiting.append(wanted)
        if len(self._waiting) == 1:
            self._spawn(self._gather())
        self._wanted.add(wanted)
        try:
            return await wanted.result
        finally:
            self._wanted.discard(wanted)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="dsq-scripts")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _gather(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST_TOGETHER):
            self._spawn(self._serve(waiting[start : start + MOST_TOGETHER]))

    async def _serve(self, wanted: Sequence[_Wanted]) -> None:
        """Brings some scripts, together or one by one; each caller gets his own error."""
        try:
            if self._takes_many and len(wanted) > 1:
                wanted = await self._fetch_many(wanted)
            await asyncio.gather(*(self._fetch_alone(one) for one in wanted))
        finally:
            _break_off(wanted)

    async def _fetch_alone(self, wanted: _Wanted) -> None:
        try:
            wanted.succeed(await self._fetch(wanted.job))
        except DsqError as error:
            wanted.fail(error)

    async def _fetch_many(self, wanted: Sequence[_Wanted]) -> Sequence[_Wanted]:
        """Asks for several scripts at once.

        Returns:
            Those that have to be asked for alone.
        """
        import grpc.aio

        from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2

        try:
            async with self._calling() as (scripts, challenge):
                request = sbatch_pb2.GetSBatchesRequest(
                    signed_challenge=self._wallet.sign_text(challenge),
                    challenge=challenge,
                    provider_address=bytes(self._wallet.address),
                    jobs=[
                        sbatch_pb2.WantedSBatch(
                            batch_location_hash=one.job.definition.batch_location_hash,
                            customer_address=bytes(one.job.customer),
                            job_id=one.job.hex_id,
                        )
                        for one in wanted
                    ],
                )
                found = await scripts.GetSBatches(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._takes_many = False  # an older service
                return wanted
            for one in wanted:
                one.fail(self._meaning(error))
            return ()
        if len(found.answers) != len(wanted):
            return wanted
        too_long = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        alone = []
        for one, answer in zip(wanted, found.answers, strict=True):
            if answer.status == too_long:
                alone.append(one)
            elif answer.status:
                one.fail(self._refusal(answer.status, answer.reason))
            else:
                one.succeed(Script(answer.sbatch, found.grid_logger_url, dict(answer.secrets)))
        return alone

    async def _fetch(self, job: Job) -> Script:
        from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2

        async with self._asking() as (scripts, challenge):
            request = sbatch_pb2.GetSBatchRequest(
                batch_location_hash=job.definition.batch_location_hash,
                signed_challenge=self._wallet.sign_text(challenge),
                challenge=challenge,
                provider_address=bytes(self._wallet.address),
                customer_address=bytes(job.customer),
                job_id=job.hex_id,
            )
            found = await scripts.GetSBatch(request, timeout=self._timeout)
        return Script(found.sbatch, found.grid_logger_url, dict(found.secrets))

    async def read(self, job: Job) -> str:
        """The script of one of this customer's own jobs; values of secrets are not in it.

        Raises:
            NotFoundError: The service keeps it no more, or never had it.
            UnreachableError: The service, or its view of the chain, does not answer.
            WalletError: The job is not this customer's, or the signature was refused.
            UsageError: The service is older than this request.
        """
        from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2

        async with self._asking() as (scripts, challenge):
            request = sbatch_pb2.ReadSBatchRequest(
                signed_challenge=self._wallet.sign_text(challenge),
                challenge=challenge,
                customer_address=bytes(self._wallet.address),
                job_id=job.hex_id,
            )
            found = await scripts.ReadSBatch(request, timeout=self._timeout)
        return str(found.sbatch)

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[Any, bytes]]:
        """:meth:`_calling`, with gRPC's errors as dsq's."""
        import grpc.aio

        try:
            async with self._calling() as found:
                yield found
        except grpc.aio.AioRpcError as error:
            raise self._meaning(error) from error

    @contextlib.asynccontextmanager
    async def _calling(self) -> AsyncIterator[tuple[Any, bytes]]:
        """The service and a fresh challenge to sign."""
        from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2, sbatch_pb2_grpc

        if self._open is None:
            self._open = open_channel(self._endpoint)
        auth = sbatch_pb2_grpc.AuthAPIStub(self._open)  # type: ignore[no-untyped-call]
        scripts = sbatch_pb2_grpc.SBatchAPIStub(self._open)  # type: ignore[no-untyped-call]
        reply = await auth.Challenge(sbatch_pb2.ChallengeRequest(), timeout=self._timeout)
        yield scripts, reply.challenge

    def _meaning(self, error: Any) -> DsqError:
        import grpc

        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return UsageError(
                f"{SERVICE[:1].upper()}{SERVICE[1:]} at {self._endpoint.target} shows no "
                "scripts to customers.",
                hint="It is older than this dsq.",
            )
        return as_dsq_error(error, SERVICE, self._endpoint.target)

    def _refusal(self, status: int, reason: str) -> DsqError:
        import grpc

        codes = {code.value[0]: code for code in grpc.StatusCode}
        code = codes.get(status, grpc.StatusCode.UNKNOWN)
        return of_status(code, reason, SERVICE, self._endpoint.target)


def _break_off(wanted: Iterable[_Wanted]) -> None:
    """Ends the waits that nothing else has ended."""
    for one in wanted:
        one.fail(UnreachableError("The fetch of the script was broken off."))
