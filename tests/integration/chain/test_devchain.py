"""The local chain: its state over stops, kills and damaged files."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsq.core.chain import DevChain
from dsq.core.chain.rpc import Rpc
from dsq.core.chain.wire import Wire
from dsq.core.errors import SettingsError, TryAgainError
from dsq.core.loopback import free_port
from dsq.core.model import Address
from dsq.core.wallet import Wallet
from tests.support.anvil import dev_chain

pytestmark = pytest.mark.anvil

ACCOUNT = Address(b"\x05" * 20)


async def test_state_outlives_a_stop(tmp_path: Path, anvil: Path) -> None:
    """Blocks and balances are there again after a stop and a start."""
    node = DevChain(tmp_path, free_port(), anvil, block_time=0.1)
    await node.start()
    await node.set_balance(ACCOUNT, 55)
    await node.mine(7)
    block = await node.request("eth_getBlockByNumber", "0x5", False)
    await node.stop()
    assert not node.is_running()
    await node.start()
    assert await node.native_balance(ACCOUNT) == 55
    assert await node.request("eth_getBlockByNumber", "0x5", False) == block
    await node.stop()


async def test_it_is_the_same_chain_after_each_start(tmp_path: Path, anvil: Path) -> None:
    """anvil makes a first block at each start and keeps all; the chain is known by its own."""
    node = DevChain(tmp_path, free_port(), anvil, block_time=0.1)
    known = set()

    async def look() -> None:
        await node.start()
        await node.mine()
        rpc = Rpc(node.rpc_url)
        known.add(await Wire(rpc, ACCOUNT).identity())
        await rpc.close()
        await node.stop()

    await look()
    state = json.loads((tmp_path / "state.json").read_bytes())
    own = next(block for block in state["blocks"] if block["header"]["number"] == "0x0")
    later = hex(int(own["header"]["timestamp"], 16) + 9)
    other = {**own, "header": {**own["header"], "timestamp": later}}
    others = [block for block in state["blocks"] if block != own]
    for first in ([own, other], [other, own]):
        (tmp_path / "state.json").write_text(json.dumps({**state, "blocks": [*first, *others]}))
        await look()
    assert len(known) == 1


async def test_blocks_at_once(tmp_path: Path, anvil: Path) -> None:
    """A transaction waits for no interval meanwhile, and no block lies in the future."""
    wallet = Wallet.generate()
    node = DevChain(tmp_path, free_port(), anvil, block_time=3600)
    await node.start()
    await node.set_balance(wallet.address, 10**18)
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    async with node.at_once():
        for nonce in range(5):
            raw, tx_hash = wallet.sign_transaction(
                {"chainId": 31337, "nonce": nonce, "to": bytes(ACCOUNT), "data": b"", "value": 1}
                | {"gas": 21_000, **fees}
            )
            await node.request("eth_sendRawTransaction", "0x" + raw.hex())
            async with asyncio.timeout(10):
                while not await node.request("eth_getTransactionReceipt", "0x" + tx_hash.hex()):
                    await asyncio.sleep(0.01)
    assert await node.native_balance(ACCOUNT) == 5
    newest = await node.request("eth_getBlockByNumber", "latest", False)
    assert int(newest["timestamp"], 16) <= time.time()
    assert int(newest["number"], 16) == 5
    await node.stop()


async def test_half_written_state_after_a_kill(tmp_path: Path, anvil: Path) -> None:
    """A state that anvil left half written is replaced by the newest copy that parses."""
    node = DevChain(tmp_path, free_port(), anvil, block_time=0.1)
    await node.start()
    await node.set_balance(ACCOUNT, 66)
    for _ in range(100):
        await asyncio.sleep(0.1)
        if (tmp_path / "state.2.json").exists():
            break
    node.kill()
    await node.close()
    state = (tmp_path / "state.json").read_bytes()
    (tmp_path / "state.json").write_bytes(state[: len(state) // 2])
    (tmp_path / "state.1.json").write_bytes(b"{}")
    await node.start()
    assert await node.native_balance(ACCOUNT) == 66
    await node.stop()


async def test_only_damaged_states(tmp_path: Path, anvil: Path) -> None:
    """With nothing but damaged copies the chain does not begin afresh by itself."""
    for name in ("state.json", "state.1.json"):
        (tmp_path / name).write_text("{")
    with pytest.raises(SettingsError, match="No state of the local chain"):
        await DevChain(tmp_path, free_port(), anvil).start()


async def test_port_in_use(tmp_path: Path, anvil: Path) -> None:
    """A port that another program has is refused, and that program is left alone."""
    async with dev_chain(tmp_path / "one", anvil) as node:
        second = DevChain(tmp_path / "two", node.port, anvil)
        with pytest.raises(TryAgainError, match=f"cannot listen on port {node.port}"):
            await second.start()
        assert not second.is_running()
        assert node.is_running()


async def test_node_that_cannot_start(tmp_path: Path) -> None:
    """A program that ends at once is told with the last words of its log."""
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho this machine is too old >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(TryAgainError, match="does not start.*: this machine is too old"):
        await DevChain(tmp_path / "chain", free_port(), broken).start()


async def test_a_port_that_is_being_let_go_of_is_waited_for(tmp_path: Path, anvil: Path) -> None:
    """A node starts on the port of one whose process is just ending."""
    with socket.socket() as before:
        before.bind(("127.0.0.1", 0))
        before.listen()
        node = DevChain(tmp_path, before.getsockname()[1], anvil)
        starting = asyncio.create_task(node.start())
        await asyncio.sleep(0.3)
        assert not starting.done()
    await starting
    await node.stop()


async def test_node_outlives_its_starter(tmp_path: Path, anvil: Path) -> None:
    """The node goes on when the process that started it ends; another one stops it."""
    port = free_port()
    script = (
        "import asyncio, sys; from pathlib import Path; from dsq.core.chain import DevChain\n"
        "asyncio.run(DevChain(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])).start())\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path), str(port), str(anvil)]
    await asyncio.to_thread(subprocess.run, argv, check=True, timeout=30, env=os.environ)
    node = DevChain(tmp_path, port, anvil)
    assert node.is_running()
    await node.set_balance(ACCOUNT, 77)
    url = await node.start()
    assert url == f"http://127.0.0.1:{port}"
    assert await node.native_balance(ACCOUNT) == 77
    await DevChain.stop_leftover(tmp_path)
    assert not node.is_running()
    await node.close()
    assert not (tmp_path / "anvil.pid").exists()


async def test_loopback_only(tmp_path: Path, anvil: Path) -> None:
    """The node makes no accounts and listens on the loopback interface only."""
    async with dev_chain(tmp_path, anvil) as node:
        assert await node.request("eth_accounts") == []
        table = Path("/proc/net/tcp")
        if table.exists():
            local = [line.split()[1] for line in table.read_text().splitlines()[1:]]
            hosts = {entry.split(":")[0] for entry in local if int(entry[9:], 16) == node.port}
            assert hosts == {"0100007F"}
