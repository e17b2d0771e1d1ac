"""Why a contract refused a call, in words.

Solidity gives reasons as custom errors, ``Error(string)`` or ``Panic(uint256)``. Every
custom error of the grid's contracts has a sentence here; a test compares with the ABIs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from eth_utils.crypto import keccak

from dsq.contracts import ARTIFACTS
from dsq.core.chain.abi import ErrorType, contract, decode
from dsq.core.chain.calls import ROLES
from dsq.core.errors import ContractError, DsqError
from dsq.core.model import Address, JobStatus, utc
from dsq.core.units import format_credits

ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")

PANICS = {
    0x00: "an internal error of the compiler",
    0x01: "an assertion does not hold",
    0x11: "a number is too large or would be negative",
    0x12: "a division by zero (is the provider's price zero?)",
    0x21: "a number is no value of its enumeration",
    0x22: "a stored byte array is damaged",
    0x31: "an empty list has no last element",
    0x32: "an index is outside its list",
    0x41: "too much memory was asked for",
    0x51: "an internal function is not set",
}

Words = Callable[[Mapping[str, Any]], tuple[str, str]]


def _fixed(message: str, hint: str = "") -> Words:
    return lambda _: (message, hint)


def _status(value: object) -> str:
    try:
        return JobStatus(int(str(value))).name
    except ValueError:
        return f"status {value}"


def _moment(seconds: int) -> str:
    # Datetime ends long before the contract's numbers do.
    time = utc(seconds) if seconds < 1 << 32 else None
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time is not None else f"{seconds} (Unix seconds)"


def _insufficient_funds(args: Mapping[str, Any]) -> tuple[str, str]:
    if (args["available"], args["required"]) == (0, 1):
        return "There is nothing to pay: the amount is 0 credits.", ""
    have, need = (format_credits(args[key]) for key in ("available", "required"))
    return f"{have} credits are not enough: at least {need} credits are needed.", ""


def _amount_too_large(args: Mapping[str, Any]) -> tuple[str, str]:
    amount, limit = (format_credits(args[key]) for key in ("amount", "limit"))
    return f"{amount} credits are more than one job can hold ({limit}).", "Ask for less."


def _invalid_transition(args: Mapping[str, Any]) -> tuple[str, str]:
    before, after = (_status(value) for value in args.values())
    return f"A job cannot go from {before} to {after}.", ""


def _not_expired(args: Mapping[str, Any]) -> tuple[str, str]:
    if args["due"] >= 1 << 32:
        return "The job cannot be taken from its provider: nothing is overdue.", ""
    minutes = max(1, -(-(args["due"] - args["current"]) // 60))
    left = "1 minute" if minutes == 1 else f"{minutes} minutes"
    return (
        f"The provider has {left} left: the job may be released at {_moment(args['due'])}.",
        "",
    )


def _report_times(args: Mapping[str, Any]) -> tuple[str, str]:
    claim, start, end = (_moment(args[key]) for key in ("claimedAt", "start", "end"))
    return (
        f"The times of job {int.from_bytes(args['jobId'], 'big')} are not possible:"
        f" claimed {claim}, start {start}, end {end}.",
        "They stand as claim <= start <= end <= the time of the block.",
    )


def _remaining_time(args: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"The job has {args['remaining']} minutes left; it is topped up by others"
        f" only at {args['limit']} or fewer.",
        "",
    )


def _wrong_caller(who: str) -> Words:
    def words(args: Mapping[str, Any]) -> tuple[str, str]:
        return f"Only {who} may do this: {args['expected']}, not {args['current']}.", ""

    return words


def _wrong_status(allowed: str) -> Words:
    def words(args: Mapping[str, Any]) -> tuple[str, str]:
        return f"The job is {_status(args['current'])}; this needs {allowed}.", ""

    return words


WORDS: dict[str, Words] = {
    "AmountTooLarge": _amount_too_large,
    "AlreadyDone": _fixed("It is so already."),
    "ArrayLengthMismatch": _fixed(
        "The hardware lists disagree: each must have one entry a node.",
    ),
    "Banned": _fixed("The provider is banned.", "'dsq providers unban' lifts that."),
    "ConstantBelowBound": lambda args: (
        f"The grid's parameter cannot be {args['value']}; {args['limit']} is the least.",
        "",
    ),
    "ConstantOutOfBounds": lambda args: (
        f"The grid's parameter cannot be {args['value']}; {args['limit']} is the most.",
        "",
    ),
    "CustomerMetaSchedulerProviderOnly": _fixed(
        "Only the job's customer, its provider or the meta-scheduler may do this."
    ),
    "CustomerOnly": _wrong_caller("the job's customer"),
    "DataTooLarge": lambda args: (
        f"The data has {args['size']} bytes; {args['limit']} fit on chain.",
        "Use fewer or shorter labels.",
    ),
    "Empty": _fixed("The queue is empty."),
    "InsufficientFunds": _insufficient_funds,
    "InvalidJob": _fixed("There is no such job.", "'dsq jobs' lists yours."),
    "InvalidJobDefinition": _fixed(
        "The job's resources are not valid.",
        "Tasks, CPUs a task and memory a CPU must be at least 1.",
    ),
    "InvalidNodesCount": _fixed("A provider needs at least one node."),
    "InvalidReportTimes": _report_times,
    "InvalidShortString": _fixed("The token's name is damaged."),
    "InvalidTotalCpus": _fixed("The provider's nodes have no CPUs."),
    "InvalidTotalMem": _fixed("The provider's nodes have no memory."),
    "InvalidTransition": _invalid_transition,
    "JobHotStatusOnly": lambda args: (
        f"The job has ended already: it is {_status(args['current'])}.",
        "",
    ),
    "JobProviderOnly": _wrong_caller("the job's provider"),
    "ListTooLong": lambda args: (
        f"A list has {args['size']} entries; {args['limit']} are allowed.",
        "Use fewer labels.",
    ),
    "MetaScheduledScheduledStatusOnly": _wrong_status("META_SCHEDULED or SCHEDULED"),
    "NewJobRequestDisabled": _fixed(
        "The grid takes no new jobs.", "Its operator has switched new jobs off."
    ),
    "NoJob": _fixed("There is no job in the queue."),
    "NoProvider": _fixed("There is no such provider.", "'dsq providers' lists them."),
    "NoSpendingAuthority": _fixed(
        "The job's customer did not allow others to top it up.",
    ),
    "NotExpired": _not_expired,
    "NothingToClaim": lambda args: (
        f"The faucet has promised nothing to {args['user']}.",
        "The grid's operator promises credits with 'dsq admin faucet credit'.",
    ),
    "OutOfBounds": _fixed("The index is outside the queue."),
    "PendingAdminOnly": _wrong_caller("the account that was named as the next administrator"),
    "ProposalChanged": _fixed(
        "The provider has changed its proposal since it was looked at.", "Look at it again."
    ),
    "ProviderNotJoined": _fixed(
        "The provider is not approved, or it is banned.",
        "'dsq providers approve' approves one that has registered.",
    ),
    "RemainingTimeAboveLimit": _remaining_time,
    "RunningColdStatusOnly": lambda args: (
        f"A provider cannot report {_status(args['current'])}.",
        "It reports RUNNING or an end.",
    ),
    "RunningScheduledStatusOnly": _wrong_status("SCHEDULED or RUNNING"),
    "SameStatusError": _fixed("The job has this status already."),
    "StringTooLong": _fixed("The token's name is too long."),
    "TextTooLong": lambda args: (
        f"A text has {args['size']} bytes; {args['limit']} are allowed.",
        "Use shorter words.",
    ),
    "WaitingApprovalOnly": _fixed(
        "The provider has no proposal that waits for approval.",
        "It registers when its dsq-provider starts.",
    ),
}
"""Name of a custom error -> its sentence and hint."""

_MISSING_ROLE = re.compile(r"AccessControl: account (0x[0-9a-fA-F]{40}) is missing role 0x(\w{64})")

STRINGS = {
    "Ownable: caller is not the owner": "Only the contract's owner may do this.",
    "Ownable2Step: caller is not the new owner": "Only the account that was named as the next owner"
    " may do this.",
    "ERC20Permit: expired deadline": "The permit has expired.",
    "ERC20Permit: invalid signature": "The permit is not signed by the account.",
    "ERC20: transfer amount exceeds balance": "The account has too few credits.",
    "ERC20: insufficient allowance": "The contract may not take as many credits from the account.",
    "ERC20: burn amount exceeds balance": "The account has too few credits.",
    "ReentrancyGuard: reentrant call": "A contract called back while it was being served.",
}
"""Reasons given as text by the contracts' libraries."""


@functools.cache
def known_errors() -> dict[bytes, ErrorType]:
    """Every custom error of the grid's contracts by its selector."""
    return {
        selector: error for name in ARTIFACTS for selector, error in contract(name).errors.items()
    }


def decode_revert(data: bytes) -> ContractError:
    """The error that revert data stands for."""
    selector, payload = data[:4], data[4:]
    try:
        if selector == ERROR_STRING:
            return _of_string(decode(["string"], payload)[0])
        if selector == PANIC:
            return _of_panic(decode(["uint256"], payload)[0])
        error = known_errors().get(selector) if len(data) >= 4 else None
        if error is not None:
            return _of_custom(error, payload)
    except (DsqError, LookupError):
        pass
    if not data:
        return ContractError(
            "The contract refused the call without a reason.",
            hint="It may be of another version than this client.",
        )
    return ContractError(f"The contract refused the call (0x{data[:36].hex()}).")


def _of_custom(error: ErrorType, payload: bytes) -> ContractError:
    values = decode([p.type for p in error.parameters], payload)
    args = {
        p.name.lstrip("_") or f"argument{place}": value
        for place, (p, value) in enumerate(zip(error.parameters, values, strict=True))
    }
    words = WORDS.get(error.name)
    if words is not None:
        message, hint = words(args)
    else:
        shown = ", ".join(f"{key} {value}" for key, value in args.items())
        message, hint = f"The contract refused the call: {error.name}({shown}).", ""
    return ContractError(message, name=error.name, args_by_name=dict(args), hint=hint)


def _of_panic(code: int) -> ContractError:
    words = PANICS.get(code, f"code 0x{code:02x}")
    return ContractError(
        f"The contract stopped: {words}.", name="Panic", args_by_name={"code": code}
    )


def _of_string(text: str) -> ContractError:
    args: dict[str, object] = {"reason": text}
    if match := _MISSING_ROLE.match(text):
        raw = bytes.fromhex(match[2])
        role = next((name for name, value in ROLES.items() if value == raw), f"0x{match[2]}")
        account = Address.parse(match[1])
        args |= {"account": account, "role": role}
        message = f"Account {account} lacks the role {role} on the contract."
    else:
        message = STRINGS.get(text, f"The contract refused the call: {text.rstrip('.')}.")
    return ContractError(message, name="Error", args_by_name=args)


def selector_of(signature: str) -> bytes:
    """The four bytes of a function or error, as in ``selector_of("NoJob()")``."""
    return bytes(keccak(text=signature)[:4])
