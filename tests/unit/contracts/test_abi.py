"""The interface of the contracts, entry by entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from dsq import contracts
from tests.support.abi import signature_of

PUBLISHED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "published_abi.json").read_text()
)
"""The published interface: declarations by selector or topic."""

TWO_STEP_OWNER = {
    "acceptOwnership()",
    "pendingOwner()",
    "OwnershipTransferStarted(address,address)",
}
TWO_STEP_ADMIN = {
    "acceptDefaultAdminTransfer()",
    "beginDefaultAdminTransfer(address)",
    "pendingDefaultAdmin()",
    "DefaultAdminTransferStarted(address,address)",
    "PendingAdminOnly(address,address)",
}
REPORT = "(bytes32,uint8,uint64,uint64,string,int64)"
DEFINITION = (
    "(uint64,uint64,uint64,uint64,string,uint8,(string,string)[],((string,string),bytes2)[])"
)
STATE = "(uint256,uint256,uint256,uint256)"

ADDITIONS = {
    "Constants": {
        "MAX_DEEPSQUARE_CUT()",
        "MAX_MINIMUM_AMOUNT()",
        "MAX_MINUTES()",
        "MIN_CANCEL_TIMEOUT()",
        "MIN_PROVIDER_TIMEOUT()",
        "cancelTimeout()",
        "providerTimeout()",
        "setCancelTimeout(uint64)",
        "setProviderTimeout(uint64)",
        "terms()",
        "ConstantChanged(string,uint256,uint256)",
        "ConstantOutOfBounds(uint256,uint256)",
        "ConstantBelowBound(uint256,uint256)",
        *TWO_STEP_OWNER,
    },
    "Credit": {
        "DOMAIN_SEPARATOR()",
        "eip712Domain()",
        "nonces(address)",
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        "EIP712DomainChanged()",
        "InvalidShortString()",
        "StringTooLong(string)",
        *TWO_STEP_OWNER,
    },
    "FaucetCredit": {
        "available()",
        "totalPromised()",
        "withdraw(address,uint256)",
        "CreditClaimed(address,uint256)",
        "FaucetWithdrawn(address,uint256)",
        "UserCredited(address,uint256,uint256)",
        "InsufficientFunds(uint256,uint256)",
        "NothingToClaim(address)",
        *TWO_STEP_OWNER,
    },
    "JobRepository": {
        "getState(bytes32)",
        "getDefinition(bytes32)",
        "getPackedState(bytes32)",
        f"setPackedState(bytes32,{STATE})",
        "getDemand(bytes32)",
        "jobCount()",
        "jobCountByCustomer(address)",
        "getByCustomerPaged(address,uint256,uint256)",
        "getByStatusPaged(uint8,uint256,uint256)",
        "countByStatus(uint256,uint256)",
        "JobUpdated(bytes32,address,address,uint8,uint8)",
        "DataTooLarge(uint256,uint256)",
        "ListTooLong(uint256,uint256)",
        "TextTooLong(uint256,uint256)",
        *TWO_STEP_ADMIN,
    },
    "MetaScheduler": {
        "accruedFees()",
        "getJobTerms(bytes32)",
        f"requestNewJobWithPermit({DEFINITION},uint256,bytes32,bool,uint256,uint8,bytes32,bytes32)",
        "metaScheduleJobs((bytes32,address)[])",
        "claimNextJobs(uint256)",
        f"reportJobs({REPORT}[])",
        "expireJob(bytes32)",
        "expiryOf(bytes32)",
        "claimable(address)",
        "withdrawClaimable(address)",
        "JobCancelRequested(bytes32,address,address)",
        "JobToppedUp(bytes32,address,address,address,uint256)",
        "JobSettled(bytes32,address,address,uint256,uint256,uint256)",
        "JobExpired(bytes32,address,address,uint256)",
        "ReportSkipped(bytes32,address,uint8)",
        "PlacementSkipped(bytes32,address,uint8)",
        "PaymentDeferred(address,uint256)",
        "ClaimableWithdrawn(address,address,uint256)",
        "NewJobRequestsEnabled(bool)",
        "InvalidReportTimes(bytes32,uint256,uint256,uint256)",
        "NotExpired(uint256,uint256)",
        *TWO_STEP_ADMIN,
        "AmountTooLarge(uint256,uint256)",
        "InvalidTransition(uint8,uint8)",
        "SameStatusError()",
    },
    "ProviderJobQueues": {
        "SCAN_LIMIT()",
        "getByProviderPaged(address,uint256,uint256)",
        "jobCountByProvider(address)",
        "popNextClaimableJobs(address,uint256)",
    },
    "ProviderManager": {
        "approveProposal(address,bytes32)",
        "getProvidersPaged(uint256,uint256)",
        "invalidSince(address)",
        "proposalHash(address)",
        "providerCount()",
        "DataTooLarge(uint256,uint256)",
        "ListTooLong(uint256,uint256)",
        "ProposalChanged(bytes32,bytes32)",
        "TextTooLong(uint256,uint256)",
        *TWO_STEP_ADMIN,
    },
    "Tools": set(),
}
"""What we have beyond it; docs/contracts.md says why."""

NAMED_HERE = {
    "jobIdByCustomer(address,uint256)",
    "jobCountByProvider(address)",
    "jobs(bytes32)",
    "providerCancellingJobsQueues(address)",
    "providerClaimableJobsQueues(address)",
    "providerTopUpJobsQueues(address)",
    "providers(address)",
    "waitingApprovalProviders(address)",
}
"""Getters whose parameter has no name in the published interface and has one here."""


def parameter(entry: dict[str, Any]) -> str:
    """A parameter with its type spelled out, its ``indexed`` flag and its name."""
    kind = entry["type"]
    if kind.startswith("tuple"):
        kind = f"({', '.join(map(parameter, entry['components']))}){kind.removeprefix('tuple')}"
    indexed = " indexed" if entry.get("indexed") else ""
    return f"{kind}{indexed} {entry['name']}".strip()


def declaration(entry: dict[str, Any]) -> str:
    """A function, event or error in one line."""
    inputs = entry["inputs"]
    if entry["type"] == "function" and signature_of(entry) in NAMED_HERE:
        inputs = [{**part, "name": ""} for part in inputs]
    text = f"{entry['name']}({', '.join(map(parameter, inputs))})"
    if entry["type"] == "function":
        text += f" {entry['stateMutability']}"
        if entry["outputs"]:
            text += f" returns ({', '.join(map(parameter, entry['outputs']))})"
    return text


def entries(name: str, kind: str) -> dict[str, dict[str, Any]]:
    """Our functions, events or errors by selector or topic."""
    size = 32 if kind == "event" else 4
    return {
        "0x" + keccak(text=signature_of(entry))[:size].hex(): entry
        for entry in contracts.load(name).abi
        if entry["type"] == kind
    }


@pytest.mark.parametrize("kind", ["function", "event", "error"])
@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_every_published_entry_is_there(name: str, kind: str) -> None:
    """Selectors, topics, names, indexed flags, tuple layouts and mutability are the published ones."""
    published = PUBLISHED[name][f"{kind}s"]
    ours = {key: declaration(entry) for key, entry in entries(name, kind).items()}
    assert {key: ours.get(key) for key in published} == published


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_each_addition_is_named(name: str) -> None:
    """Whatever is not in the published interface is in the list of additions, and nothing else is."""
    added = {
        signature_of(entry)
        for kind in ("function", "event", "error")
        for key, entry in entries(name, kind).items()
        if key not in PUBLISHED[name][f"{kind}s"]
    }
    assert added == ADDITIONS[name]


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_constructors_take_the_published_arguments(name: str) -> None:
    """Deployments written for the published contracts work with ours."""
    found = [entry for entry in contracts.load(name).abi if entry["type"] == "constructor"]
    inputs = found[0]["inputs"] if found else []
    assert f"({', '.join(map(parameter, inputs))})" == PUBLISHED[name]["constructor"]


def test_additions_are_documented() -> None:
    """docs/contracts.md names every addition."""
    text = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()
    names = {entry.split("(")[0] for added in ADDITIONS.values() for entry in added}
    assert {name for name in names if f"`{name}" not in text} == set()


def test_errors_are_documented() -> None:
    """docs/contracts.md has each custom error in its table."""
    text = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()
    names = {
        entry["name"]
        for name in contracts.ARTIFACTS
        for entry in contracts.load(name).abi
        if entry["type"] == "error"
    }
    assert {name for name in names if f"| `{name}" not in text} == set()
