"""What jobs print."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from dsq.core.errors import NotFoundError, WalletError
from dsq.core.grid.connection import Connection

if TYPE_CHECKING:
    from dsq.core.rpc.logger import LogLine


class Output(Connection):
    """The part of a grid about logs."""

    async def logs(
        self, job_id: int, *, follow: bool = False, from_line: int = 0
    ) -> AsyncIterator[LogLine]:
        """The output of one of this wallet's jobs, a line at a time.

        With ``follow`` it goes on until the job has ended and its log is complete.

        Args:
            follow: Wait for more lines.
            from_line: Number of the first line that is wanted, from 0.

        Raises:
            NotFoundError: There is no such job, or it ended and left no log.
            WalletError: The job is another customer's.
        """
        job = await self.chain.job(job_id)
        if self.wallet is None:
            raise WalletError("Logs are for the job's customer only.", hint="Open the wallet.")
        if job.customer != self.wallet.address:
            raise WalletError(f"Job {job_id} belongs to {job.customer}, not to this wallet.")
        from dsq.core.rpc.logger import LogReader

        reader = LogReader(self.config.logger_grpc, self.wallet)
        seen = from_line
        try:
            async for line in reader.read(job.hex_id, follow=follow, from_line=from_line):
                seen += 1
                yield line
        finally:
            await reader.close()
        if not seen and follow and (await self.chain.job(job_id)).status.is_final:
            raise NotFoundError(
                f"Job {job_id} has no log in the grid.",
                hint="Its workflow needs 'enableLogging: true'; else the output stays on the "
                "provider's cluster.",
            )
