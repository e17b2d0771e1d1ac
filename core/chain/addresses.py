"""Where the contracts of one grid are.

Clients know the MetaScheduler's address only; it names the others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from dsq.core.errors import UsageError, close_matches
from dsq.core.model import Address

GETTERS = {
    "credit": "credit",
    "provider_manager": "providerManager",
    "provider_job_queues": "providerJobQueues",
    "jobs": "jobs",
    "constants": "constants",
}
"""Field of :class:`Addresses` -> view of the MetaScheduler that names it."""

CONTRACTS = {
    "MetaScheduler": "metascheduler",
    "Credit": "credit",
    "ProviderManager": "provider_manager",
    "ProviderJobQueues": "provider_job_queues",
    "JobRepository": "jobs",
    "Constants": "constants",
}
"""Name of a contract -> field of :class:`Addresses`."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The contracts of one grid."""

    metascheduler: Address
    credit: Address
    provider_manager: Address
    provider_job_queues: Address
    jobs: Address
    constants: Address

    def of(self, contract: str) -> Address:
        """The address of a contract by its name, as in ``of("JobRepository")``.

        Raises:
            UsageError: The grid has no such contract.
        """
        if contract not in CONTRACTS:
            raise UsageError(
                f"The grid has no contract '{contract}'.{close_matches(contract, CONTRACTS)}"
            )
        address: Address = getattr(self, CONTRACTS[contract])
        return address

    def to_json(self) -> dict[str, str]:
        """Field names and checksummed addresses."""
        return {field.name: str(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: dict[str, str]) -> Addresses:
        """Reads what :meth:`to_json` wrote."""
        return cls(**{field.name: Address.parse(data[field.name]) for field in fields(cls)})
