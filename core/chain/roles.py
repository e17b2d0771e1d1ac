"""The roles of the contracts, by name. docs/contracts.md says what each may do."""

from __future__ import annotations

from eth_utils.crypto import keccak

from dsq.core.errors import UsageError, close_matches

DEFAULT_ADMIN_ROLE = bytes(32)
METASCHEDULER_ROLE = bytes(keccak(text="METASCHEDULER_ROLE"))
METASCHEDULER_CONTRACT_ROLE = bytes(keccak(text="METASCHEDULER_CONTRACT_ROLE"))

ROLES = {
    "DEFAULT_ADMIN_ROLE": DEFAULT_ADMIN_ROLE,
    "METASCHEDULER_ROLE": METASCHEDULER_ROLE,
    "METASCHEDULER_CONTRACT_ROLE": METASCHEDULER_CONTRACT_ROLE,
}
"""Name of a role -> its id."""

ROLES_OF = {
    "MetaScheduler": ("DEFAULT_ADMIN_ROLE", "METASCHEDULER_ROLE"),
    "JobRepository": ("DEFAULT_ADMIN_ROLE", "METASCHEDULER_ROLE"),
    "ProviderManager": (
        "DEFAULT_ADMIN_ROLE",
        "METASCHEDULER_ROLE",
        "METASCHEDULER_CONTRACT_ROLE",
    ),
}
"""Contracts with roles -> the roles that they ask for."""

OWNED = ("Constants", "Credit", "FaucetCredit", "ProviderJobQueues")
"""Contracts with an owner. That of the queues is the MetaScheduler."""


def role_of(role: str | bytes) -> bytes:
    """A role by its name.

    Raises:
        UsageError: There is no role of that name.
    """
    if isinstance(role, bytes):
        return role
    if role not in ROLES:
        raise UsageError(f"There is no role '{role}'.{close_matches(role, ROLES)}")
    return ROLES[role]


def role_name(role: bytes) -> str:
    """The name of a role, or its id in hexadecimal digits."""
    return next((name for name, value in ROLES.items() if value == role), "0x" + role.hex())
