"""The batch scripts of one's own jobs."""

from __future__ import annotations

from dsq.core.errors import NotFoundError, SettingsError, WalletError
from dsq.core.grid.connection import Connection


class Scripts(Connection):
    """The part of a grid about scripts."""

    async def script(self, job_id: int) -> str:
        """The batch script of one of this wallet's jobs, as its provider gets it.

        Values of secrets are not in it. The sbatch service keeps it until a day after the job's
        end.

        Raises:
            NotFoundError: There is no such job, or its script is kept no more.
            WalletError: The job is another customer's, or no wallet is open.
        """
        job = await self.chain.job(job_id)
        if self.wallet is None:
            raise WalletError("Scripts are for the job's customer only.", hint="Open the wallet.")
        if job.customer != self.wallet.address:
            raise WalletError(f"Job {job_id} belongs to {job.customer}, not to this wallet.")
        if not self.config.sbatch_grpc:
            raise SettingsError(
                "The settings name no sbatch service.", hint="Set sbatch_grpc of this grid."
            )
        from dsq.core.rpc.sbatch import SBatchClient

        async with SBatchClient(self.config.sbatch_grpc, self.wallet) as client:
            try:
                return await client.read(job)
            except NotFoundError as error:
                raise NotFoundError(
                    f"The grid keeps no script of job {job_id} any more.",
                    hint="It goes a day after the job's end.",
                ) from error
