"""Connecting: the right chain with the right contracts, or one clear error."""

from __future__ import annotations

import asyncio

import pytest

from dsq.core.chain import Chain
from dsq.core.errors import NotFoundError, SettingsError, UnreachableError, WrongChainError
from dsq.core.loopback import free_port
from dsq.core.model import Address
from tests.support.anvil import CHAIN_ID, DevGrid

pytestmark = pytest.mark.anvil


async def test_addresses_come_from_the_metascheduler(grid: DevGrid) -> None:
    """One address names the whole grid."""
    chain = await grid.connect()
    assert chain.addresses == grid.deployment.addresses
    assert chain.chain_id == CHAIN_ID
    assert await chain.new_jobs_enabled()


async def test_wrong_chain(grid: DevGrid) -> None:
    """Another chain than the settings name is refused with exit code 76."""
    with pytest.raises(WrongChainError, match="serves chain 31337, not chain 5") as caught:
        await Chain.connect(grid.node.rpc_url, chain_id=5, metascheduler=grid.metascheduler)
    assert caught.value.exit_code == 76


async def test_no_contract_there(grid: DevGrid) -> None:
    """An address without a MetaScheduler is told apart from one with another contract."""
    with pytest.raises(SettingsError, match="There is no contract at 0x0000") as caught:
        await Chain.connect(grid.node.rpc_url, metascheduler=Address(bytes(19) + b"\x09"))
    assert caught.value.exit_code == 78
    with pytest.raises(SettingsError, match="a contract, but no MetaScheduler"):
        await Chain.connect(grid.node.rpc_url, metascheduler=grid.deployment.addresses.credit)


async def test_nobody_listens() -> None:
    """A node that is down is named without what may be secret in its address."""
    url = f"http://user:secret@127.0.0.1:{free_port()}/v3/key"
    with pytest.raises(UnreachableError, match="connection refused") as caught:
        await Chain.connect(url, chain_id=CHAIN_ID)
    assert caught.value.exit_code == 69
    assert "secret" not in str(caught.value)
    assert "key" not in str(caught.value)


async def test_host_without_a_name() -> None:
    """A host that does not exist is unreachable."""
    with pytest.raises(UnreachableError, match=r"http://no-such-host\.invalid does not answer"):
        await Chain.connect("http://no-such-host.invalid")


async def test_something_else_listens() -> None:
    """A server that is no node is told as such."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError, match="HTTP 404"):
            await Chain.connect(f"http://127.0.0.1:{port}")


async def test_node_that_closes_idle_connections(grid: DevGrid) -> None:
    """A kept connection that the node has closed meanwhile costs nothing but a new one."""
    chain = await grid.connect()
    before = (await chain.head()).number
    await grid.node.stop()
    await grid.node.start()
    assert (await chain.head()).number >= before


async def test_unknown_job_and_block(grid: DevGrid) -> None:
    """What is not there is not found, by its number."""
    chain = await grid.connect()
    with pytest.raises(NotFoundError, match="no job 9"):
        await chain.job(9)
    with pytest.raises(NotFoundError, match="no job 0"):
        await chain.jobs([0])
    with pytest.raises(NotFoundError, match="no block 99999"):
        await chain.block_timestamp(99_999)
    assert await chain.jobs([]) == []
    assert await chain.job_count() == 0


async def test_events_over_ranges(grid: DevGrid) -> None:
    """Events are found by name over any range; a range that is empty has none."""
    sender = await grid.sender(grid.operator)
    chain = sender.chain
    receipt = await sender.send(chain.calls.transfer(Address(b"\x01" * 20), 5))
    block = receipt.block_number
    found = await chain.events(block, block)
    assert [event.name for event in found] == ["Transfer"]
    assert found[0] == receipt.events[0]
    assert await chain.events(block, block, ["JobCreated"]) == []
    assert await chain.events(block + 1, block) == []
    roles = await chain.events(0, block, ["RoleGranted"])
    assert {event.contract for event in roles} == {
        "MetaScheduler",
        "JobRepository",
        "ProviderManager",
    }
    assert all(isinstance(event.args["account"], Address) for event in roles)


async def test_web3_on_the_same_node(grid: DevGrid) -> None:
    """web3.py is there for what the client has no method for."""
    chain = await grid.connect()
    assert await chain.w3.eth.chain_id == CHAIN_ID
    await chain.w3.provider.disconnect()
