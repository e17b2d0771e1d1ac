"""The forge tests are those that their specifications name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dsq import contracts

TESTS = Path(__file__).parents[3] / "contracts" / "test"
TREES = sorted((TESTS / "unit").rglob("*.tree"))


def functions(folder: Path, prefix: str) -> list[str]:
    """Names of the test functions below a folder."""
    text = "\n".join(file.read_text() for file in sorted(folder.rglob("*.t.sol")))
    return re.findall(rf"function ({prefix}_\w+)\(", text)


INHERITED = {
    *("DEFAULT_ADMIN_ROLE", "getRoleAdmin", "grantRole", "hasRole", "renounceRole", "revokeRole"),
    *("supportsInterface", "owner", "pendingOwner", "renounceOwnership", "transferOwnership"),
}
"""Functions of OpenZeppelin's contracts."""

ELSEWHERE = {
    "Credit": "acceptOwnership allowance approve balanceOf decimals decreaseAllowance "
    "increaseAllowance name symbol totalSupply transfer transferFrom DOMAIN_SEPARATOR "
    "eip712Domain nonces permit",
    "FaucetCredit": "acceptOwnership addressToAmountDistributed addressToUserCredit",
    "JobRepository": "acceptDefaultAdminTransfer beginDefaultAdminTransfer jobCountByCustomer",
    "MetaScheduler": "claimable",
    "ProviderJobQueues": "getCancellingJobQueueSize getClaimableJobQueueSize getTopUpJobQueueSize "
    "jobCountByProvider providerCancellingJobsQueues providerClaimableJobsQueues "
    "providerTopUpJobsQueues",
    "ProviderManager": "acceptDefaultAdminTransfer beginDefaultAdminTransfer getJobCount "
    "getProviderHardware getProviderPrices getWaitingForApprovalProvider invalidSince isBanned "
    "isValidForScheduling isWaitingForApproval jobCountByProvider objects",
}
"""Functions without a tree of their own: OpenZeppelin's token, what is specified for another
contract that has it from the same base, and views of what a call wrote, which its tree reads."""


def branches(tree: Path) -> set[str]:
    """Names of the tests that a tree asks for."""
    root, *lines = tree.read_text().splitlines()
    assert root == f"{tree.parent.name}::{tree.stem}"
    found = [line[4:] for line in lines if line[0] in "├└"]
    assert len(lines) == 2 * len(found)
    assert all("── It should " in line for line in lines if line[0] not in "├└")
    return {
        f"test_{tree.stem}_" + "".join(word[0].upper() + word[1:] for word in branch.split())
        for branch in found
    }


def test_each_branch_has_its_test() -> None:
    """A branch "When x" of a function's tree is the test of that name, and says what it should do."""
    wanted = [name for tree in TREES for name in branches(tree)]
    assert len(wanted) == len(set(wanted))
    assert sorted(functions(TESTS / "unit", "test")) == sorted(wanted)


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_each_function_has_a_tree(name: str) -> None:
    """Every function of ours is specified; a view of what a call wrote, by that call."""
    ours = {
        entry["name"]
        for entry in contracts.load(name).abi
        if entry["type"] == "function" and not is_getter(entry)
    }
    ours -= INHERITED | set(ELSEWHERE.get(name, "").split())
    specified = {tree.stem for tree in TREES if tree.parent.name == name}
    assert ours == specified - {"setters"}


def is_getter(entry: dict[str, Any]) -> bool:
    """Whether a view without arguments is that of a constant or a variable: it takes no tree."""
    if entry["stateMutability"] != "view" or entry["inputs"]:
        return False
    return entry["name"] not in ("terms", "jobCount")


def test_invariants_are_listed() -> None:
    """The README names each invariant, and there are at least 25."""
    listed = re.findall(
        r"^\| `(invariant_\w+)`", (TESTS / "invariants/README.md").read_text(), re.M
    )
    assert sorted(listed) == sorted(functions(TESTS / "invariants", "invariant"))
    assert len(listed) >= 25


def test_each_invariant_sees_its_own_sequences() -> None:
    """Each has a seed of its own, in both profiles: the same for all would check the same calls."""
    text = (TESTS / "invariants/Invariants.t.sol").read_text()
    seeds = re.findall(
        r'    /// forge-config: default\.fuzz\.seed = "(\w+)"\n'
        r'    /// forge-config: slow\.fuzz\.seed = "(\w+)"\n'
        r"    function invariant_",
        text,
    )
    assert len({quick for quick, slow in seeds}) == text.count("function invariant_")
    assert all(slow == quick for quick, slow in seeds)
