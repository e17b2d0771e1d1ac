"""The record of a deployment: a JSON file, written by rename after every change.

A step is *open* while it holds signed bytes, and *done* once it has a block and its gas.
docs/chain.md describes the file.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsq.core.errors import SettingsError, UsageError
from dsq.core.model import Address

VERSION = 1


@dataclass(frozen=True, slots=True)
class Step:
    """A transaction of a deployment.

    Attributes:
        raw: Its signed bytes; b"" once it is mined.
        address: The contract that it creates, or None.
        parts: The contracts that its constructor takes.
        fee_wei: Native coins in wei that it cost; 0 in records of earlier versions.
    """

    name: str
    nonce: int
    tx_hash: bytes
    raw: bytes
    address: Address | None = None
    parts: tuple[Address, ...] = ()
    block_number: int = -1
    gas_used: int = 0
    fee_wei: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "nonce": self.nonce,
            "tx_hash": "0x" + self.tx_hash.hex(),
            "raw": "0x" + self.raw.hex() if self.raw else None,
            "address": str(self.address) if self.address else None,
            "parts": [str(part) for part in self.parts],
            "block_number": self.block_number if self.block_number >= 0 else None,
            "gas_used": self.gas_used,
            "fee_wei": str(self.fee_wei),
        }

    @classmethod
    def from_json(cls, name: str, data: dict[str, Any]) -> Step:
        block = data["block_number"]
        return cls(
            name=name,
            nonce=int(data["nonce"]),
            tx_hash=bytes.fromhex(data["tx_hash"][2:]),
            raw=bytes.fromhex((data["raw"] or "0x")[2:]),
            address=Address.parse(data["address"]) if data["address"] else None,
            parts=tuple(Address.parse(part) for part in data["parts"]),
            block_number=-1 if block is None else int(block),
            gas_used=int(data["gas_used"]),
            fee_wei=int(data.get("fee_wei", 0)),
        )


class Record:
    """The steps of one deployment.

    Args:
        path: The file; None keeps the steps in memory.
        chain: Identity of the chain. The record of a chain that was made anew since is
            put aside and begun afresh.
        deployer: Who deploys.

    Raises:
        SettingsError: The file is damaged, or belongs to another chain or deployer.
    """

    def __init__(self, path: Path | None, chain: str, deployer: Address) -> None:
        self._path = path
        self._chain = chain
        self._deployer = deployer
        self._steps: dict[str, Step] = {}
        if path is not None and path.exists():
            self._load(path)

    def get(self, name: str) -> Step | None:
        return self._steps.get(name)

    def open_steps(self) -> list[Step]:
        """Signed, but not seen mined."""
        return [step for step in self._steps.values() if step.raw]

    def put(self, step: Step) -> None:
        """Adds a step; :meth:`save` writes it."""
        self._steps[step.name] = step

    def mined(self, name: str, block_number: int, gas_used: int, fee_wei: int) -> None:
        """Notes that a step is done."""
        step = self._steps[name]
        self._steps[name] = replace(
            step, raw=b"", block_number=block_number, gas_used=gas_used, fee_wei=fee_wei
        )
        self.save()

    def drop(self, name: str) -> None:
        """Forgets a step that will never be mined."""
        self._steps.pop(name, None)
        self.save()

    def first_block(self) -> int:
        """The block of the first contract."""
        blocks = [
            step.block_number
            for step in self._steps.values()
            if step.address is not None and step.block_number >= 0
        ]
        return min(blocks, default=0)

    def gas_used(self) -> dict[str, int]:
        """Gas of each step that is done."""
        return {name: step.gas_used for name, step in self._steps.items() if not step.raw}

    def fee_wei(self) -> int:
        """Native coins in wei that the steps cost together."""
        return sum(step.fee_wei for step in self._steps.values())

    def save(self) -> None:
        """Writes the file."""
        if self._path is None:
            return
        data = {
            "version": VERSION,
            "chain": self._chain,
            "deployer": str(self._deployer),
            "steps": {name: step.to_json() for name, step in self._steps.items()},
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            with fresh.open("w") as file:
                json.dump(data, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise SettingsError(f"{self._path} cannot be written: {error.strerror}.") from error

    def _load(self, path: Path) -> None:
        try:
            data = json.loads(path.read_text())
            chain, deployer = str(data["chain"]), Address.parse(data["deployer"])
            steps = {name: Step.from_json(name, step) for name, step in data["steps"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"The deployment's record {path} is damaged: {error!r}.",
                hint="Move it away; a new deployment begins then.",
            ) from None
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
        if chain.split("/")[0] != self._chain.split("/")[0]:
            raise SettingsError(
                f"{path} is the record of a deployment on chain {chain.split('/')[0]},"
                f" not on chain {self._chain.split('/')[0]}.",
                hint="Name another record.",
            )
        if chain == self._chain and deployer != self._deployer:
            raise SettingsError(
                f"{path} is the record of a deployment by {deployer}, not by {self._deployer}.",
                hint="Use that key, or name another record.",
            )
        if chain == self._chain:
            self._steps = steps
        else:
            # A development chain made anew: what was deployed on the old one is gone.
            path.replace(path.with_name(path.name + ".old"))


def recorded_address(path: Path, name: str) -> Address | None:
    """Where a record says that a contract is; None where it does not, or cannot be read."""
    try:
        address = json.loads(path.read_text())["steps"][name]["address"]
        return Address.parse(address) if address else None
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None
