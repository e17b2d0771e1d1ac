"""Where read models are kept."""

from __future__ import annotations

from pathlib import Path

from dsq.core.config import GridConfig, state_dir
from dsq.core.model import Address


def read_model_path(config: GridConfig, account: Address) -> Path:
    """The file for an account on a grid: in the home of a local grid, else the state folder.

    Chain, contract and account are in its name, so that no two ever share one.
    """
    folder = config.home / "console" if config.home is not None else state_dir() / "console"
    contract = config.metascheduler_address.hex()[:12]
    return folder / f"{config.chain_id}-{contract}-{account.hex()[:12]}.sqlite"
