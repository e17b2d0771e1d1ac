"""Calls as bytes, by the published selectors."""

from __future__ import annotations

import pytest

from dsq.core.chain import Addresses, Call, Calls
from dsq.core.chain.abi import contract, decode
from dsq.core.chain.calls import CONSTANT_SETTERS, LAST_ERROR_BYTES, METASCHEDULER_ROLE, cut
from dsq.core.errors import UsageError
from dsq.core.model import (
    Address,
    Constants,
    JobDefinition,
    JobStatus,
    Label,
    ProviderHardware,
    ProviderPrices,
)

A, B, C, D, E, F = (Address(bytes([n]) * 20) for n in range(1, 7))
ADDRESSES = Addresses(A, B, C, D, E, F)
CALLS = Calls(ADDRESSES)
WHO = Address(b"\x09" * 20)
HARDWARE = ProviderHardware((1,), (2,), (3,))

CASES: list[tuple[Call, Address, str, str]] = [
    (CALLS.request_new_job(JobDefinition(1, 1, 1), 5, "x"), A, "d9943788", "requestNewJob()"),
    (CALLS.meta_schedule(41, WHO), A, "d1cee546", "metaSchedule(41)"),
    (CALLS.claim_next_job(), A, "5d3a7180", "claimNextJob()"),
    (CALLS.claim_next_cancelling_job(), A, "5e1b2d65", "claimNextCancellingJob()"),
    (CALLS.claim_next_top_up_job(), A, "ebd4bf00", "claimNextTopUpJob()"),
    (CALLS.refuse_job(41), A, "1f92a63f", "refuseJob(41)"),
    (CALLS.timeout_job(41), A, "18263c59", "timeoutJob(41)"),
    (
        CALLS.provider_set_job_status(41, JobStatus.FAILED, 7, "no", 768),
        A,
        "e1c0fdd4",
        "providerSetJobStatus(41, FAILED)",
    ),
    (CALLS.cancel_job(41), A, "5fae1450", "cancelJob(41)"),
    (CALLS.top_up_job(41, 9), A, "2fecc4f6", "topUpJob(41)"),
    (CALLS.top_up_job_delegate(41), A, "69ee1bf9", "topUpJobDelegate(41)"),
    (CALLS.panic_job(41, "why"), A, "54b4a0d2", "panicJob(41)"),
    (CALLS.set_delegate(41, True), A, "329af326", "setDelegateSpendingAuthority(41)"),
    (CALLS.set_enable_request_new_job(False), A, "0bba4dc5", "setEnableRequestNewJob(False)"),
    (CALLS.withdraw_admin(3), A, "d77836ce", "withdrawAdmin()"),
    (CALLS.approve_credit(None, 3), B, "095ea7b3", "approve()"),
    (CALLS.transfer(WHO, 3), B, "a9059cbb", f"transfer({WHO.short})"),
    (CALLS.mint(WHO, 3), B, "40c10f19", f"mint({WHO.short})"),
    (
        CALLS.register(HARDWARE, ProviderPrices(1, 2, 3), [Label("a", "b")]),
        C,
        "94f9b055",
        "register()",
    ),
    (CALLS.approve_provider(WHO), C, "daea85c5", f"approve({WHO.short})"),
    (CALLS.remove_provider(WHO), C, "29092d0e", f"remove({WHO.short})"),
    (CALLS.ban(WHO), C, "97c3ccd8", f"ban({WHO.short})"),
    (CALLS.unban(WHO), C, "b9f14557", f"unban({WHO.short})"),
    (CALLS.transfer_ownership("Constants", WHO), F, "f2fde38b", f"transferOwnership({WHO.short})"),
    (
        CALLS.grant_role("JobRepository", "METASCHEDULER_ROLE", WHO),
        E,
        "2f2ff15d",
        f"grantRole(METASCHEDULER_ROLE, {WHO.short})",
    ),
    (CALLS.set_constant("minimum_amount", 7), F, "eeb4a9c8", "setMinimumAmount(7)"),
]


@pytest.mark.parametrize(("call", "to", "selector", "label"), CASES, ids=[c[3] for c in CASES])
def test_call(call: Call, to: Address, selector: str, label: str) -> None:
    """Each call goes to the right contract with the published selector and a plain label."""
    assert (call.to, call.data[:4].hex(), call.label) == (to, selector, label)


def test_arguments_are_in_their_places() -> None:
    """Status, minutes, error and exit status are encoded as the contract reads them."""
    call = CALLS.provider_set_job_status(41, JobStatus.FAILED, 7, "no", 768)
    inputs = contract("MetaScheduler").functions["providerSetJobStatus"].inputs
    values = decode([i.type for i in inputs], call.data[4:])
    assert values == ((41).to_bytes(32, "big"), 6, 7, "no", 768)
    assert decode(["address", "uint256"], CALLS.approve_credit(None, 3).data[4:]) == (A, 3)
    assert decode(["address", "uint256"], CALLS.approve_credit(WHO, 3).data[4:]) == (WHO, 3)
    granted = CALLS.grant_role("JobRepository", "METASCHEDULER_ROLE", WHO)
    assert granted == CALLS.grant_role("JobRepository", METASCHEDULER_ROLE, WHO) or (
        granted.data[4:36] == METASCHEDULER_ROLE
    )


def test_number_that_does_not_fit() -> None:
    """A negative count, or one that no uint64 holds, is bad usage."""
    for bad in (-1, 2**64):
        with pytest.raises(UsageError, match=r"requestNewJob\(\): an argument does not fit"):
            CALLS.request_new_job(JobDefinition(bad, 1, 1), 5)


def test_names_that_do_not_exist() -> None:
    """Unknown roles, contracts and parameters are named with what is near."""
    with pytest.raises(UsageError, match="Did you mean 'METASCHEDULER_ROLE'"):
        CALLS.grant_role("MetaScheduler", "METASCHEDULR_ROLE", WHO)
    with pytest.raises(UsageError, match="Did you mean 'JobRepository'"):
        ADDRESSES.of("JobRepositry")
    with pytest.raises(UsageError, match="Did you mean 'minimum_amount'"):
        CALLS.set_constant("minimum_amout", 1)


def test_only_what_differs_is_set() -> None:
    """Parameters that are equal cost no transaction."""
    before = Constants(1, 2, 3, 4, 5, 6)
    wanted = Constants(1, 9, 3, 4, 5, 8)
    assert [call.label for call in CALLS.set_constants(wanted, before)] == [
        "setDeepsquareCut(9)",
        "setClaimJobTimeout(8)",
    ]
    assert set(CONSTANT_SETTERS) == set(Constants.__dataclass_fields__)


def test_addresses_as_json() -> None:
    """Addresses are written with their checksum and read back."""
    assert Addresses.from_json(ADDRESSES.to_json()) == ADDRESSES


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 1024, "x" * 1025, "é" * 4000, "…" * 341 + "ab"]
)
def test_a_last_error_always_fits(text: str) -> None:
    """Longer than the contract takes, it is cut between characters and marked."""
    kept = cut(text)
    assert len(kept.encode()) <= LAST_ERROR_BYTES
    assert kept == text if len(text.encode()) <= LAST_ERROR_BYTES else kept.endswith("…")
