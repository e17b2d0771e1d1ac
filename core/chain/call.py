"""A transaction to be, and what builds one from a contract's function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dsq.core.chain.abi import contract
from dsq.core.chain.addresses import Addresses
from dsq.core.model import Address


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to be: whom it calls, with what data.

    ``label`` names it in logs and errors: ``claimNextJob()``, ``refuseJob(41)``.
    """

    to: Address
    data: bytes
    label: str


class CallBuilder:
    """Builds calls of one grid's contracts."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def _call(self, name: str, function: str, *args: Any, shown: object = "") -> Call:
        data = contract(name).functions[function].encode(*args)
        return Call(self._addresses.of(name), data, f"{function}({shown})")
