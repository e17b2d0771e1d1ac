"""Every reason of the contracts, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from dsq import contracts
from dsq.core.chain import decode_revert
from dsq.core.chain.abi import ErrorType
from dsq.core.chain.reverts import PANICS, STRINGS, WORDS, known_errors, selector_of
from dsq.core.errors import ContractError
from dsq.core.model import Address
from dsq.core.units import CREDIT

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20


def _revert(signature: str, *values: object) -> ContractError:
    inner = signature[signature.index("(") + 1 : -1]
    types = inner.split(",") if inner else []
    return decode_revert(keccak(text=signature)[:4] + encode(types, values))


def test_every_custom_error_has_words() -> None:
    """The table and the ABIs name the same errors, but for two of OpenZeppelin's queue."""
    named = {error.name for error in known_errors().values()}
    assert named - set(WORDS) == set()
    assert set(WORDS) - named <= {"Empty", "OutOfBounds"}


def test_every_error_of_every_contract_has_words() -> None:
    """Whatever any contract of ours declares is known here: none is left to hexadecimal digits."""
    declared = {
        entry["name"]
        for name in contracts.ARTIFACTS
        for entry in contracts.load(name).abi
        if entry["type"] == "error"
    }
    assert declared == {error.name for error in known_errors().values()}
    assert declared - set(WORDS) == set()


NOW = 1_795_000_000

SAMPLES: dict[str, tuple[object, ...]] = {
    "AmountTooLarge": (2**88, 2**88 - 1),
    "ConstantBelowBound": (3, 5),
    "ConstantOutOfBounds": (101, 100),
    "DataTooLarge": (24_600, 24_500),
    "InsufficientFunds": (40 * CREDIT, 100 * CREDIT),
    "InvalidReportTimes": (bytes(31) + b"\x29", NOW - 60, NOW, NOW - 30),
    "InvalidTransition": (0, 3),
    "JobHotStatusOnly": (5,),
    "ListTooLong": (129, 128),
    "MetaScheduledScheduledStatusOnly": (3,),
    "NotExpired": (NOW, NOW + 300),
    "ProposalChanged": (b"\x01" * 32, b"\x02" * 32),
    "RemainingTimeAboveLimit": (45, 30),
    "RunningColdStatusOnly": (1,),
    "RunningScheduledStatusOnly": (0,),
    "StringTooLong": ("Credits of a grid with a very long name",),
    "TextTooLong": (1025, 1024),
}
"""Values of the errors that have some; addresses are :data:`ALICE` and :data:`BOB`."""

UNSAID = {"ProposalChanged", "StringTooLong"}
"""Errors whose values help nobody: hashes, and a token's name."""


def _sample(error: ErrorType) -> tuple[object, ...]:
    if error.parameters and all(p.type == "address" for p in error.parameters):
        return (ALICE, BOB)[: len(error.parameters)]
    return SAMPLES[error.name] if error.parameters else ()


def _decoded(error: ErrorType, values: Sequence[object]) -> ContractError:
    return decode_revert(error.selector + encode([p.type for p in error.parameters], values))


@pytest.mark.parametrize("error", known_errors().values(), ids=lambda error: error.name)
def test_every_value_is_in_the_words(error: ErrorType) -> None:
    """Another value makes another sentence: nothing that the contract says is left out."""
    values = _sample(error)
    said = _decoded(error, values).message
    for place, value in enumerate(values):
        other: object = value
        if isinstance(value, str):
            other = "0x" + "c4" * 20 if value.startswith("0x") else "x" * 40
        elif isinstance(value, bytes):
            other = bytes(31) + b"\x2a"
        elif isinstance(value, int):
            other = value + 1 if value < 8 else value + 60
        changed = [*values[:place], other, *values[place + 1 :]]
        if error.name not in UNSAID:
            assert _decoded(error, changed).message != said, error.parameters[place].name


def test_errors_of_contracts_are_documented() -> None:
    """docs/reference/errors.md has each error with the sentence for sample values."""
    text = (Path(__file__).parents[3] / "docs" / "reference" / "errors.md").read_text()
    rows = {
        f"| `{error.name}` | {_decoded(error, _sample(error)).message} |"
        for error in known_errors().values()
    }
    missing = sorted(row for row in rows if row not in text)
    assert missing == [], "\n" + "\n".join(missing)
    assert len([line for line in text.splitlines() if line in rows]) == len(rows)
    for sentence in STRINGS.values():
        assert f"| {sentence} |" in text, sentence


@pytest.mark.parametrize("error", known_errors().values(), ids=lambda error: error.name)
def test_every_custom_error_decodes(error: ErrorType) -> None:
    """Revert data of each error becomes one sentence, its name and its arguments."""
    found = _decoded(error, _sample(error))
    assert found.name == error.name
    assert len(found.args_by_name) == len(error.parameters)
    assert found.message.endswith(".")
    assert found.message[0].isupper() or found.message[0].isdigit()
    assert found.exit_code == 75


def test_values_are_in_the_words() -> None:
    """Amounts, statuses and addresses are said as people read them."""
    found = _revert("InsufficientFunds(uint256,uint256)", 40 * CREDIT, 100 * CREDIT)
    assert found.message == "40 credits are not enough: at least 100 credits are needed."
    found = _revert("InvalidTransition(uint8,uint8)", 0, 3)
    assert found.message == "A job cannot go from PENDING to RUNNING."
    found = _revert("JobHotStatusOnly(uint8)", 5)
    assert found.message == "The job has ended already: it is FINISHED."
    found = _revert("CustomerOnly(address,address)", ALICE, BOB)
    assert found.message == (
        f"Only the job's customer may do this: {Address.parse(BOB)}, not {Address.parse(ALICE)}."
    )
    assert found.args_by_name["expected"] == Address.parse(BOB)
    found = _revert("RemainingTimeAboveLimit(uint256,uint256)", 45, 30)
    assert "45 minutes left" in found.message
    assert selector_of("NoJob()").hex() == "97736927"


def test_role_is_named() -> None:
    """OpenZeppelin's sentence about a role is said with the role's name."""
    role = keccak(text="METASCHEDULER_ROLE").hex()
    text = f"AccessControl: account {ALICE} is missing role 0x{role.removeprefix('0x')}"
    found = _revert("Error(string)", text)
    account = Address.parse(ALICE)
    assert found.message == f"Account {account} lacks the role METASCHEDULER_ROLE on the contract."
    assert (found.name, found.args_by_name["role"]) == ("Error", "METASCHEDULER_ROLE")
    unknown = _revert(
        "Error(string)", f"AccessControl: account {ALICE} is missing role 0x{'7' * 64}"
    )
    assert f"0x{'7' * 64}" in unknown.message


def test_reasons_of_libraries() -> None:
    """Known reasons are said in plain words, others as they are."""
    assert (
        "too few credits"
        in _revert("Error(string)", "ERC20: transfer amount exceeds balance").message
    )
    assert _revert("Error(string)", "odd reason.").message == (
        "The contract refused the call: odd reason."
    )


@pytest.mark.parametrize("code", [*PANICS, 0x99])
def test_panics(code: int) -> None:
    """Each panic of the compiler is said."""
    found = _revert("Panic(uint256)", code)
    assert (found.name, found.args_by_name) == ("Panic", {"code": code})
    assert PANICS.get(code, "code 0x99") in found.message


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x12\x34\x56\x78", bytes.fromhex("08c379a0"), b"\x4e\x48\x7b\x71\x00"]
)
def test_data_without_sense(data: bytes) -> None:
    """No data, unknown data and cut data are an error too, never an exception."""
    found = decode_revert(data)
    assert isinstance(found, ContractError)
    assert found.message.startswith("The contract refused the call")
    assert found.name == ""
