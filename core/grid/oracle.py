"""What providers make of a job: asked of the formulas, or of the meta-scheduler's oracle."""

from __future__ import annotations

from dataclasses import dataclass

from dsq.core.errors import UnreachableError
from dsq.core.grid.connection import Connection
from dsq.core.metascheduler.matching import estimate
from dsq.core.model import ZERO_ADDRESS, Address, JobDefinition, JobStatus, WhyNot


@dataclass(frozen=True, slots=True)
class WhyReport:
    """Why a job waits, or where it was placed (the oracle's answer).

    Attributes:
        place: Place among the waiting jobs, from 1; 0 when it does not wait.
        of: How many jobs wait.
        provider: Who has it; the zero address while nobody has.
    """

    job_id: int
    status: JobStatus
    place: int
    of: int
    providers: tuple[WhyNot, ...]
    provider: Address = ZERO_ADDRESS


class Oracle(Connection):
    """The part of a grid about where a job may run."""

    async def estimate(self, definition: JobDefinition, wei: int) -> list[WhyNot]:
        """What each provider would make of such a job: its minutes and rate, or why not."""
        return estimate(definition, wei, await self.chain.providers())

    async def why(self, job_id: int) -> WhyReport:
        """Why a job waits: its place in the queue and each provider's sentence.

        Raises:
            UnreachableError: The meta-scheduler's oracle does not answer.
        """
        import httpx

        await self.chain.job(job_id)
        url = f"{self.config.oracle_url.rstrip('/')}/jobs/{job_id}"
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                response = await client.get(url)
                data = response.json()
            if "error" in data:
                raise UnreachableError(f"The meta-scheduler cannot tell: {data['error']}")
            response.raise_for_status()
        except (httpx.HTTPError, ValueError) as error:
            raise UnreachableError(
                f"The meta-scheduler at {self.config.oracle_url} does not answer.",
                hint="Is it running? 'dsq metascheduler run' starts one.",
            ) from error
        providers = tuple(
            WhyNot(
                Address.parse(row["address"]),
                row["name"],
                row["reason"],
                int(row["minutes"]),
                int(row["wei_per_minute"]),
            )
            for row in data["providers"]
        )
        status = JobStatus.parse(data["status"])
        has_it = Address.parse(data["provider"]) if data.get("provider") else ZERO_ADDRESS
        return WhyReport(job_id, status, data["place"], data["of"], providers, has_it)
