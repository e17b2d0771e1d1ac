"""The grid's contracts: their sources, and what the compiler made of them.

The artifacts are checked in, so that dsq needs no compiler; ``make contracts``
writes them again from ``src/``. docs/contracts.md describes the contracts.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

ARTIFACTS: tuple[str, ...] = (
    "Constants",
    "Credit",
    "FaucetCredit",
    "JobRepository",
    "MetaScheduler",
    "ProviderJobQueues",
    "ProviderManager",
    "Tools",
)
"""Names of the contracts that :func:`load` knows."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    Attributes:
        name: Name of the contract.
        abi: Its interface, one entry a function, event and error. Shared: do not change it.
        bytecode: What a deployment sends before the encoded arguments, ``0x`` and hexadecimal.
        deployed_bytecode: The code on chain, with zeros where immutables go.
        link_references: Libraries to be linked; always empty, ours are built in.
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str
    link_references: dict[str, Any]


@functools.cache
def load(name: str) -> Artifact:
    """Loads a contract's artifact; the same object each time.

    Args:
        name: One of :data:`ARTIFACTS`.

    Raises:
        KeyError: There is no such contract.
    """
    if name not in ARTIFACTS:
        raise KeyError(f"There is no contract '{name}'; there are {', '.join(ARTIFACTS)}.")
    text = resources.files(__name__).joinpath("artifacts", f"{name}.json").read_text("utf-8")
    data = json.loads(text)
    return Artifact(
        name=data["contractName"],
        abi=data["abi"],
        bytecode=data["bytecode"],
        deployed_bytecode=data["deployedBytecode"],
        link_references=data["linkReferences"],
    )
