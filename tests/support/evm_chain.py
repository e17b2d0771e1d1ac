"""An EVM inside the test and the contracts deployed in it, called by their ABI.

One transaction a block; time and block number advance as the test says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from eth_abi.abi import decode, encode

from dsq import contracts
from dsq.core.model import Address
from tests.support.abi import Event, RevertedError, errors, events, functions, type_of

pyrevm = pytest.importorskip("pyrevm", reason="there is no pyrevm for this Python")

GENESIS = 1_700_000_000
"""Time of the first block."""

ADDED_EVENTS = frozenset(
    {
        "ClaimableWithdrawn",
        "ConstantChanged",
        "CreditClaimed",
        "DefaultAdminTransferStarted",
        "FaucetWithdrawn",
        "JobCancelRequested",
        "JobExpired",
        "JobSettled",
        "JobToppedUp",
        "JobUpdated",
        "NewJobRequestsEnabled",
        "OwnershipTransferStarted",
        "PaymentDeferred",
        "PlacementSkipped",
        "ReportSkipped",
        "UserCredited",
    }
)
"""Events that the published contracts do not have: a client written for those skips them."""

_OUTPUT = re.compile(r"output: 0x([0-9a-fA-F]*)")


class Contract:
    """A deployed contract."""

    def __init__(self, chain: EvmChain, name: str, address: str) -> None:
        self.chain = chain
        self.name = name
        self.address = address

    @property
    def account(self) -> Address:
        return Address.parse(self.address)

    def call(self, name: str, *values: Any) -> Any:
        """Reads: one value, or a tuple of several."""
        _, _, outputs = functions(self.name)[name]
        raw = self.chain.execute(self.chain.admin, self.address, self.data(name, *values))
        found = decode(outputs, raw)
        return found[0] if len(found) == 1 else found

    def send(self, name: str, *values: Any, sender: Address | None = None) -> list[Event]:
        """Writes, in a block of its own, and returns the events in their order."""
        chain = self.chain
        chain.mine()
        chain.execute(sender or chain.admin, self.address, self.data(name, *values))
        return chain.last_events()

    def data(self, name: str, *values: Any) -> bytes:
        selector, inputs, _ = functions(self.name)[name]
        return selector + encode(inputs, [_plain(value) for value in values])


def _plain(value: Any) -> Any:
    """A value as the encoder wants it: addresses as text, statuses as numbers."""
    if isinstance(value, Address):
        return value.lower
    if isinstance(value, Contract):
        return value.address
    if isinstance(value, tuple | list):
        return type(value)(_plain(part) for part in value)
    return value


def account(number: int) -> Address:
    """The address with this number."""
    return Address(number.to_bytes(20))


class EvmChain:
    """An EVM, its clock, and the contracts that were deployed in it."""

    admin = account(0xAD0001)
    """Who deploys, and who sends where nobody else is named."""

    def __init__(self) -> None:
        self.evm: Any = pyrevm.EVM(gas_limit=1 << 40, spec_id="MERGE")
        self.time = GENESIS
        self.block = 1
        self._names: dict[str, str] = {}
        self.mine(0)

    def mine(self, seconds: int = 1) -> None:
        """Begins the next block, ``seconds`` later."""
        self.block += 1
        self.time += seconds
        self.evm.set_block_env(pyrevm.BlockEnv(number=self.block, timestamp=self.time))

    def warp(self, seconds: int) -> None:
        """Lets time pass so that the next transaction is ``seconds`` after the last."""
        self.time += seconds - 1

    def execute(self, sender: Address, to: str, data: bytes) -> bytes:
        """Calls a contract now; refused calls raise :class:`RevertedError` and change nothing."""
        try:
            return bytes(self.evm.message_call(sender.lower, to, calldata=data))
        except RuntimeError as error:
            found = _OUTPUT.search(str(error))
            raw = bytes.fromhex(found[1]) if found else b""
            name, types = errors().get(raw[:4], ("", []))
            raise RevertedError(name, tuple(decode(types, raw[4:]))) from None

    @property
    def gas_used(self) -> int:
        """Gas of the last call."""
        return int(self.evm.result.gas_used)

    def last_events(self) -> list[Event]:
        """Events of the last call as a client of the published contracts sees them."""
        return [event for event in self.all_events() if event.name not in ADDED_EVENTS]

    def added_events(self) -> list[Event]:
        """Events of the last call that the published contracts do not have."""
        return [event for event in self.all_events() if event.name in ADDED_EVENTS]

    def all_events(self) -> list[Event]:
        """Every event of the last call, in order."""
        return list(self._decode(self.evm.result.logs))

    def deploy(self, name: str, types: Sequence[str] = (), values: Sequence[Any] = ()) -> Contract:
        """Deploys a contract by its artifact."""
        code = bytes.fromhex(contracts.load(name).bytecode[2:])
        code += encode(types, [_plain(value) for value in values])
        address = str(self.evm.deploy(self.admin.lower, code)).lower()
        self._names[address] = name
        return Contract(self, name, address)

    def deploy_code(self, code: bytes) -> str:
        """Deploys bare bytes as a contract's code and returns the address."""
        creation = b"\x61" + len(code).to_bytes(2) + bytes.fromhex("80600a3d393df3") + code
        return str(self.evm.deploy(self.admin.lower, creation)).lower()

    def _decode(self, logs: Sequence[Any]) -> Iterator[Event]:
        for log in logs:
            name = self._names.get(str(log.address).lower())
            topics = [bytes.fromhex(str(topic).removeprefix("0x")) for topic in log.topics]
            entry = events(name).get(topics[0]) if name else None
            if name is None or entry is None:
                continue
            indexed = iter(topics[1:])
            plain = [part for part in entry["inputs"] if not part["indexed"]]
            body = iter(decode([type_of(part) for part in plain], bytes(_log_data(log))))
            values = {
                part["name"]: decode([part["type"]], next(indexed))[0]
                if part["indexed"]
                else next(body)
                for part in entry["inputs"]
            }
            yield Event(name, entry["name"], values)


def _log_data(log: Any) -> bytes:
    """pyrevm gives (topics, data) or data alone, by its version."""
    data = log.data
    return bytes(data[-1] if isinstance(data, tuple) else data)
