"""Client of the service that keeps batch scripts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from dsq.core.closing import Closing
from dsq.core.errors import UsageError
from dsq.core.model import Job
from dsq.core.rpc.channel import Endpoint, as_dsq_error, open_channel
from dsq.core.wallet import Wallet

SERVICE = "the sbatch service"


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

    async def close(self) -> None:
        """Closes the connection."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def fetch(self, job: Job) -> Script:
        """Fetches the script of a job that this provider has claimed.

        Raises:
            NotFoundError: The service has no such script, or the job has ended.
            UnreachableError: The service, or its view of the chain, does not answer.
            WalletError: The job is not this provider's, or the signature was refused.
            UsageError: The service finds the request malformed.
        """
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
        """The service and a fresh challenge to sign; errors of gRPC become dsq's."""
        import grpc.aio

        from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2, sbatch_pb2_grpc

        if self._open is None:
            self._open = open_channel(self._endpoint)
        auth = sbatch_pb2_grpc.AuthAPIStub(self._open)  # type: ignore[no-untyped-call]
        scripts = sbatch_pb2_grpc.SBatchAPIStub(self._open)  # type: ignore[no-untyped-call]
        try:
            reply = await auth.Challenge(sbatch_pb2.ChallengeRequest(), timeout=self._timeout)
            yield scripts, reply.challenge
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise UsageError(
                    f"{SERVICE[:1].upper()}{SERVICE[1:]} at {self._endpoint.target} shows no "
                    "scripts to customers.",
                    hint="It is older than this dsq.",
                ) from error
            raise as_dsq_error(error, SERVICE, self._endpoint.target) from error
