"""Deployments that are stopped, repeated, and sent to the wrong chain."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dsq.core.chain import Chain, DevChain, Sender, deploy
from dsq.core.chain.deployment import CONTRACTS, created_address
from dsq.core.errors import CreditsError, SettingsError, UnreachableError, WrongChainError
from dsq.core.model import Address
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.support.anvil import CHAIN_ID, COINS, dev_chain

pytestmark = pytest.mark.anvil

SUPPLY = 1_000 * CREDIT


class StoppedError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
async def node(tmp_path: Path, anvil: Path) -> AsyncIterator[DevChain]:
    async with dev_chain(tmp_path / "chain", anvil, block_time=0.05) as fresh:
        yield fresh


async def _operator(node: DevChain) -> Wallet:
    wallet = Wallet.generate()
    await node.set_balance(wallet.address, COINS)
    return wallet


async def test_deployment_reports_what_it_did(node: DevChain, tmp_path: Path) -> None:
    """All contracts, their gas and the first block are reported and recorded."""
    operator = await _operator(node)
    record = tmp_path / "deployment.json"
    done = await deploy(node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, record=record)
    assert set(CONTRACTS) <= set(done.gas_used)
    assert done.total_gas == sum(done.gas_used.values()) > 5_000_000
    assert all(gas > 20_000 for gas in done.gas_used.values())
    steps = json.loads(record.read_text())["steps"]
    assert all(step["raw"] is None for step in steps.values())
    assert done.block_number == min(step["block_number"] for step in steps.values())
    async with await Chain.connect(
        node.rpc_url, chain_id=CHAIN_ID, metascheduler=done.addresses.metascheduler
    ) as chain:
        assert chain.addresses == done.addresses
        assert await chain.balance(operator.address) == SUPPLY
        code = await chain.rpc.request("eth_getCode", [done.addresses.jobs.lower, "latest"])
        assert len(code) > 100


async def test_second_deployment_with_a_record_does_nothing(node: DevChain, tmp_path: Path) -> None:
    """A complete deployment is checked, and nothing is sent."""
    operator = await _operator(node)
    record = tmp_path / "deployment.json"
    options = {"initial_supply_wei": SUPPLY, "record": record}
    first = await deploy(node.rpc_url, CHAIN_ID, operator, **options)  # type: ignore[arg-type]
    coins = await node.native_balance(operator.address)
    second = await deploy(node.rpc_url, CHAIN_ID, operator, **options)  # type: ignore[arg-type]
    assert second == first
    assert await node.native_balance(operator.address) == coins


async def test_deployment_stopped_at_each_step_goes_on(node: DevChain, tmp_path: Path) -> None:
    """Stopped between any two transactions, it is completed; no contract is deployed twice."""
    seen: list[str] = []
    operator = await _operator(node)
    await deploy(node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, progress=seen.append)
    stops = [place for place, step in enumerate(seen) if place == 0 or "signed" not in step]
    for stop_at in stops:
        operator = await _operator(node)
        record = tmp_path / f"deployment-{stop_at}.json"
        told: list[str] = []

        def stop(step: str, told: list[str] = told, stop_at: int = stop_at) -> None:
            told.append(step)
            if len(told) > stop_at:
                raise StoppedError

        with pytest.raises(StoppedError):
            await deploy(
                node.rpc_url,
                CHAIN_ID,
                operator,
                initial_supply_wei=SUPPLY,
                record=record,
                progress=stop,
            )
        done = await deploy(
            node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, record=record
        )
        made = [created_address(operator.address, nonce) for nonce in range(len(CONTRACTS))]
        assert done.addresses.credit == made[0], stop_at
        assert done.addresses.metascheduler == made[-1], stop_at
        async with await Chain.connect(node.rpc_url, chain_id=CHAIN_ID) as chain:
            beyond = created_address(operator.address, 12)
            assert await chain.rpc.request("eth_getCode", [beyond.lower, "latest"]) == "0x"
            assert await _nonce(chain, operator.address) == 12


async def test_a_faucet_comes_with_the_grid_or_later(node: DevChain, tmp_path: Path) -> None:
    """It gives the grid's credits, belongs to the deployer, and is there once."""
    operator = await _operator(node)
    record = tmp_path / "deployment.json"
    options: dict[str, Any] = {"initial_supply_wei": SUPPLY, "record": record}
    bare = await deploy(node.rpc_url, CHAIN_ID, operator, **options)
    assert bare.addresses.faucet is None
    later = await deploy(node.rpc_url, CHAIN_ID, operator, faucet=True, **options)
    assert dataclasses.replace(later.addresses, faucet=None) == bare.addresses
    again = await deploy(node.rpc_url, CHAIN_ID, operator, **options)
    assert again == later
    assert later.total_gas == bare.total_gas + later.gas_used["FaucetCredit"]
    assert [one.what for one in later.checks if "Faucet" in one.what] == [
        "FaucetCredit is on chain",
        "FaucetCredit.credit is Credit",
        "FaucetCredit: the deployer is its owner",
    ]


async def test_every_link_role_and_owner_is_looked_up(node: DevChain, tmp_path: Path) -> None:
    """Rights that were handed over since are told apart; a link that is missing is an error."""
    operator = await _operator(node)
    record = tmp_path / "deployment.json"
    options: dict[str, Any] = {"initial_supply_wei": SUPPLY, "record": record}
    done = await deploy(node.rpc_url, CHAIN_ID, operator, **options)
    assert len(done.checks) == 23
    assert all(one.is_so for one in done.checks)
    assert done.fee_wei == COINS - await node.native_balance(operator.address)
    async with await Chain.connect(
        node.rpc_url, chain_id=CHAIN_ID, metascheduler=done.addresses.metascheduler
    ) as chain:
        sender = Sender(chain, operator)
        role = ("MetaScheduler", "METASCHEDULER_ROLE", operator.address)
        await sender.send(chain.calls.revoke_role(*role))
        again = await deploy(node.rpc_url, CHAIN_ID, operator, **options)
        assert [one.what.split("(")[0] for one in again.checks if not one.is_so] == [
            "MetaScheduler.grantRole"
        ]
        assert not await chain.has_role(*role)
        link = ("JobRepository", "METASCHEDULER_ROLE", chain.addresses.metascheduler)
        await sender.send(chain.calls.revoke_role(*link))
        repaired = await deploy(node.rpc_url, CHAIN_ID, operator, **options)
        assert repaired.addresses == done.addresses
        assert await chain.has_role(*link)
        await sender.close()


async def _nonce(chain: Chain, account: Address) -> int:
    answer = await chain.rpc.request("eth_getTransactionCount", [account.lower, "latest"])
    return int(answer, 16)


async def test_step_whose_nonce_was_taken_is_made_anew(node: DevChain, tmp_path: Path) -> None:
    """Signed steps that another transaction of the account overtook are signed again."""
    operator = await _operator(node)
    record = tmp_path / "deployment.json"

    def stop(step: str) -> None:
        if step == f"signed {CONTRACTS[-1]}":
            raise StoppedError

    options = {"initial_supply_wei": SUPPLY, "record": record}
    with pytest.raises(StoppedError):
        await deploy(node.rpc_url, CHAIN_ID, operator, progress=stop, **options)  # type: ignore[arg-type]
    for nonce in range(3):
        fields = {"to": bytes(operator.address), "value": 0, "data": b"", "gas": 21_000}
        signed, _ = operator.sign_transaction(
            {**fields, "chainId": CHAIN_ID, "nonce": nonce, "gasPrice": 5 * 10**9}
        )
        await node.request("eth_sendRawTransaction", "0x" + signed.hex())
    await node.mine()
    done = await deploy(node.rpc_url, CHAIN_ID, operator, **options)  # type: ignore[arg-type]
    made = {created_address(operator.address, nonce) for nonce in range(3)}
    assert done.addresses.credit not in made
    async with await Chain.connect(
        node.rpc_url, chain_id=CHAIN_ID, metascheduler=done.addresses.metascheduler
    ) as chain:
        assert await chain.balance(operator.address) == SUPPLY


async def test_chain_that_was_made_anew_gets_a_new_deployment(tmp_path: Path, anvil: Path) -> None:
    """The record of a development chain that is gone is put aside."""
    record = tmp_path / "deployment.json"
    operator = Wallet.generate()
    for name in ("one", "two"):
        await asyncio.sleep(1.1)  # The first block's hash tells chains apart by their second.
        async with dev_chain(tmp_path / name, anvil) as node:
            await node.set_balance(operator.address, COINS)
            await deploy(node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, record=record)
    assert record.with_name("deployment.json.old").exists()


async def test_wrong_chain_is_refused(node: DevChain, tmp_path: Path) -> None:
    """Nothing is sent to a chain that was not named."""
    operator = await _operator(node)
    with pytest.raises(WrongChainError, match="serves chain 31337, not chain 1"):
        await deploy(node.rpc_url, 1, operator, initial_supply_wei=SUPPLY)
    assert await node.native_balance(operator.address) == COINS


async def test_record_of_another_deployer_or_chain_is_refused(
    node: DevChain, tmp_path: Path
) -> None:
    """A record is only used by who made it, on the chain that it was made for."""
    operator, other = await _operator(node), await _operator(node)
    record = tmp_path / "deployment.json"
    await deploy(node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, record=record)
    with pytest.raises(SettingsError, match=f"a deployment by {operator.address}"):
        await deploy(node.rpc_url, CHAIN_ID, other, initial_supply_wei=SUPPLY, record=record)
    data = json.loads(record.read_text())
    data["chain"] = "5" + data["chain"].removeprefix(str(CHAIN_ID))
    record.write_text(json.dumps(data))
    with pytest.raises(SettingsError, match="on chain 5, not on chain 31337"):
        await deploy(node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, record=record)
    record.write_text("{")
    with pytest.raises(SettingsError, match="is damaged"):
        await deploy(node.rpc_url, CHAIN_ID, operator, initial_supply_wei=SUPPLY, record=record)


async def test_deployer_without_coins(node: DevChain) -> None:
    """A deployer that cannot pay for gas is told so."""
    with pytest.raises(CreditsError, match="too few native coins"):
        await deploy(node.rpc_url, CHAIN_ID, Wallet.generate(), initial_supply_wei=SUPPLY)


async def test_no_node(tmp_path: Path) -> None:
    """A node that is not there is one clear error."""
    with pytest.raises(UnreachableError, match=r"http://127.0.0.1:1 does not answer"):
        await deploy("http://127.0.0.1:1", 1, Wallet.generate(), initial_supply_wei=SUPPLY)
