"""``dsq deploy`` as an operator runs it: killed, repeated, and used by the other commands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain import DevChain
from dsq.core.config import load_grid
from dsq.core.wallet import Wallet, create_key_file
from tests.support.anvil import COINS, dev_chain

pytestmark = pytest.mark.anvil


class Operator:
    """Somebody with a key file and settings of their own."""

    def __init__(self, node: DevChain, folder: Path) -> None:
        self.node = node
        self.wallet = Wallet.generate()
        self.key_file, self.passphrase = folder / "op.json", folder / "pass"
        self.passphrase.write_text("secret\n")
        create_key_file(self.key_file, self.wallet, "secret", light=True)
        self.env = {
            **os.environ,
            "DSQ_CONFIG_DIR": str(folder / "config"),
            "DSQ_STATE_DIR": str(folder / "state"),
        }

    async def start(self, *args: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dsq.console.cli", *args, env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def dsq(self, *args: str) -> tuple[int, str, str]:
        process = await self.start(*args)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    def deploying(self, *more: str, chain_id: int = 31337) -> tuple[str, ...]:
        return (
            "deploy", "--rpc-url", self.node.rpc_url, "--chain-id", str(chain_id),
            "--key-file", str(self.key_file), "--passphrase-file", str(self.passphrase), *more,
        )  # fmt: skip


@pytest.fixture
async def operator(tmp_path: Path, anvil: Path) -> AsyncIterator[Operator]:
    async with dev_chain(tmp_path / "chain", anvil, block_time=0.2) as node:
        made = Operator(node, tmp_path)
        await node.set_balance(made.wallet.address, COINS)
        yield made


async def test_killed_and_run_again(operator: Operator) -> None:
    """After kill -9 the same command completes it; the name then means the grid."""
    first = await operator.start(*operator.deploying("--name", "lab", "--faucet"))
    assert first.stderr is not None
    while not (await first.stderr.readline()).startswith(b"mined JobRepository"):
        assert first.returncode is None
    first.send_signal(signal.SIGKILL)
    await first.communicate()
    code, _, err = await operator.dsq("--grid", "lab", "credits")
    assert (code, "no grid named 'lab'" in err) == (78, True)
    code, out, err = await operator.dsq(*operator.deploying("--name", "lab", "--faucet", "--json"))
    assert code == 0, err
    told: dict[str, Any] = json.loads(out)
    assert all(check["is_so"] for check in told["checks"])
    assert int(told["fee_wei"]) == COINS - await operator.node.native_balance(
        operator.wallet.address
    )
    assert told["gas_total"] == sum(told["gas_used"].values())
    grid = load_grid("lab", env=operator.env)
    assert grid.metascheduler == told["addresses"]["metascheduler"]
    assert grid.faucet == told["addresses"]["faucet"]
    assert grid.operator is not None
    assert grid.operator.key_file == operator.key_file
    code, out, _ = await operator.dsq(
        "--grid", "lab", "credits", "--json", "--key-file", str(operator.key_file)
    )
    assert (code, json.loads(out)["balance_wei"]) == (0, str(10**24))
    book = json.loads(Path(told["address_book"]).read_text())
    assert book["addresses"] == told["addresses"]
    assert "secret" not in json.dumps(book)


async def test_names_and_chains_that_are_not_meant(operator: Operator) -> None:
    """Another chain id, a name in use and a name that no file can have are refused."""
    code, _, err = await operator.dsq(*operator.deploying(chain_id=5))
    assert (code, "serves chain 31337, not chain 5" in err) == (76, True)
    code, _, err = await operator.dsq(*operator.deploying("--name", "../x"))
    assert (code, "cannot be a grid's name" in err) == (64, True)
    settings = Path(operator.env["DSQ_CONFIG_DIR"])
    settings.mkdir()
    (settings / "config.toml").write_text('[grids.mine]\nhome = "/grid"\n')
    code, _, err = await operator.dsq(*operator.deploying("--name", "mine"))
    assert (code, "a grid 'mine' already, a local grid in /grid" in err) == (64, True)
    assert await operator.node.native_balance(operator.wallet.address) == COINS
