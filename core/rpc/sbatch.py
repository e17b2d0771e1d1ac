"""Client of the service that keeps batch scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dsq.core.closing import Closing
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
    """Fetches the scripts of the jobs that a provider was given.

    Args:
        endpoint: ``host:port`` or a URL (see :class:`~dsq.core.rpc.channel.Endpoint`).
        wallet: The provider's.
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
        import grpc.aio

        from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2, sbatch_pb2_grpc

        if self._open is None:
            self._open = open_channel(self._endpoint)
        auth = sbatch_pb2_grpc.AuthAPIStub(self._open)  # type: ignore[no-untyped-call]
        scripts = sbatch_pb2_grpc.SBatchAPIStub(self._open)  # type: ignore[no-untyped-call]
        try:
            reply = await auth.Challenge(sbatch_pb2.ChallengeRequest(), timeout=self._timeout)
            request = sbatch_pb2.GetSBatchRequest(
                batch_location_hash=job.definition.batch_location_hash,
                signed_challenge=self._wallet.sign_text(reply.challenge),
                challenge=reply.challenge,
                provider_address=bytes(self._wallet.address),
                customer_address=bytes(job.customer),
                job_id=job.hex_id,
            )
            found = await scripts.GetSBatch(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            raise as_dsq_error(error, SERVICE, self._endpoint.target) from error
        return Script(found.sbatch, found.grid_logger_url, dict(found.secrets))
