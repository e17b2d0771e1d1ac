"""Calls of a grid's operator: roles, owners, parameters, fees, the pause, credits, the faucet."""

from __future__ import annotations

from dsq.core.chain.call import Call, CallBuilder
from dsq.core.chain.roles import role_of
from dsq.core.errors import UsageError, close_matches
from dsq.core.model import Address, Constants

CONSTANT_SETTERS = {
    "minimum_amount": "setMinimumAmount",
    "deepsquare_cut": "setDeepsquareCut",
    "bill_duration_delta_minute": "setBillDurationDeltaMinute",
    "top_up_slice_duration_min": "setTopUpSliceDurationMin",
    "cancellation_fee_minute": "setCancellationFeeMinute",
    "claim_job_timeout": "setClaimJobTimeout",
    "cancel_timeout": "setCancelTimeout",
    "provider_timeout": "setProviderTimeout",
}
"""Field of :class:`~dsq.core.model.Constants` -> setter of the Constants contract."""

ADDED_LIMITS = ("cancel_timeout", "provider_timeout")
"""Parameters that the published contracts do not have."""


class AdminCalls(CallBuilder):
    """Builds the calls of operators. Money is wei, durations are whole minutes."""

    def set_enable_request_new_job(self, enabled: bool) -> Call:
        return self._call("MetaScheduler", "setEnableRequestNewJob", enabled, shown=enabled)

    def withdraw_admin(self, wei: int) -> Call:
        """Pays accrued fees to the caller."""
        return self._call("MetaScheduler", "withdrawAdmin", wei)

    def grant_role(self, name: str, role: str | bytes, account: Address) -> Call:
        """Gives an account a role on a contract, by names: ``METASCHEDULER_ROLE``."""
        return self._role("grantRole", name, role, account)

    def revoke_role(self, name: str, role: str | bytes, account: Address) -> Call:
        return self._role("revokeRole", name, role, account)

    def _role(self, function: str, name: str, role: str | bytes, account: Address) -> Call:
        shown = role if isinstance(role, str) else "0x" + role.hex()
        return self._call(name, function, role_of(role), account, shown=f"{shown}, {account.short}")

    def transfer_ownership(self, name: str, account: Address) -> Call:
        """Hands over an owned contract: the queues at once, others once it is accepted."""
        return self._call(name, "transferOwnership", account, shown=account.short)

    def accept_ownership(self, name: str) -> Call:
        """Takes over Credit or Constants; the account that was named may."""
        return self._call(name, "acceptOwnership", shown=name)

    def begin_admin_transfer(self, name: str, account: Address) -> Call:
        """Names who may take the caller's place as administrator of a contract with roles."""
        return self._call(name, "beginDefaultAdminTransfer", account, shown=account.short)

    def accept_admin_transfer(self, name: str) -> Call:
        """Takes the place of the administrator; the account that was named may."""
        return self._call(name, "acceptDefaultAdminTransfer", shown=name)

    def set_constant(self, field: str, value: int) -> Call:
        """Sets one of the grid's parameters, named as in :class:`~dsq.core.model.Constants`.

        Raises:
            UsageError: There is no such parameter, or the value does not fit.
        """
        if field not in CONSTANT_SETTERS:
            raise UsageError(
                f"There is no parameter '{field}'.{close_matches(field, CONSTANT_SETTERS)}"
            )
        return self._call("Constants", CONSTANT_SETTERS[field], value, shown=value)

    def set_constants(self, wanted: Constants, current: Constants) -> list[Call]:
        """The calls that turn ``current`` into ``wanted``; none for what is equal."""
        return [
            self.set_constant(field, getattr(wanted, field))
            for field in CONSTANT_SETTERS
            if getattr(wanted, field) != getattr(current, field)
        ]

    # Credits.

    def mint(self, to: Address, wei: int) -> Call:
        """Makes new credits; the Credit's owner may."""
        return self._call("Credit", "mint", to, wei, shown=to.short)

    # The faucet.

    def credit_user(self, user: Address, wei: int) -> Call:
        """Promises credits of the faucet to an account; the faucet's owner may."""
        return self._call("FaucetCredit", "creditUser", user, wei, shown=user.short)

    def withdraw_faucet(self, to: Address, wei: int) -> Call:
        """Takes back what the faucet has promised to nobody; its owner may."""
        return self._call("FaucetCredit", "withdraw", to, wei, shown=to.short)

    def claim_faucet(self) -> Call:
        """Pays the caller what the faucet has promised to it."""
        return self._call("FaucetCredit", "claim")
