"""Where the contracts of one grid are.

Clients know the MetaScheduler's address only; it names the others, but for the faucet.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from dsq.core.errors import SettingsError, UsageError, close_matches
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
    "FaucetCredit": "faucet",
}
"""Name of a contract -> field of :class:`Addresses`."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The contracts of one grid.

    Attributes:
        faucet: The faucet; None where the grid has none, or the settings do not name it. No
            other contract knows it.
    """

    metascheduler: Address
    credit: Address
    provider_manager: Address
    provider_job_queues: Address
    jobs: Address
    constants: Address
    faucet: Address | None = None

    def of(self, contract: str) -> Address:
        """The address of a contract by its name, as in ``of("JobRepository")``.

        Raises:
            UsageError: The grid has no such contract.
            SettingsError: It is the faucet, and nothing says where that is.
        """
        if contract not in CONTRACTS:
            raise UsageError(
                f"The grid has no contract '{contract}'.{close_matches(contract, CONTRACTS)}"
            )
        address: Address | None = getattr(self, CONTRACTS[contract])
        if address is None:
            raise SettingsError(
                "The grid has no faucet, or the settings do not say where it is.",
                hint="'dsq deploy --faucet' makes one; the field 'faucet' of a grid names it.",
            )
        return address

    def named(self) -> dict[Address, str]:
        """The contracts that there are: address -> name."""
        return {
            address: name
            for name, field in CONTRACTS.items()
            if (address := getattr(self, field)) is not None
        }

    def to_json(self) -> dict[str, str]:
        """Field names and checksummed addresses; without a faucet, no field ``faucet``."""
        return {
            field.name: str(address)
            for field in fields(self)
            if (address := getattr(self, field.name)) is not None
        }

    @classmethod
    def from_json(cls, data: dict[str, str]) -> Addresses:
        """Reads what :meth:`to_json` wrote."""
        named = {field.name for field in fields(cls)} - ({"faucet"} - set(data))
        return cls(**{name: Address.parse(data[name]) for name in named})
