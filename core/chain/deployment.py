"""Puts a grid's contracts on a chain and wires them.

Two waves, each of one or two blocks: first all contracts (their addresses follow from
the deployer's nonces, so that later ones can name earlier ones), then the roles. Every
transaction is in the record before it is sent, signed; what was stopped anywhere goes on
there, and nothing is deployed twice that is on chain. At the end the chain is asked
whether everything is as it should be.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from dsq import contracts
from dsq.core.chain.abi import contract
from dsq.core.chain.addresses import Addresses
from dsq.core.chain.client import Chain, refusal
from dsq.core.chain.failures import no_gas_money
from dsq.core.chain.fees import read_market
from dsq.core.chain.nonces import Outcome
from dsq.core.chain.published import refuse_published_key
from dsq.core.chain.record import Record, Step
from dsq.core.chain.rpc import RpcError, hexed, number
from dsq.core.chain.wire import Wire
from dsq.core.chain.wiring import Check, check, ties
from dsq.core.errors import TransactionError
from dsq.core.model import Address
from dsq.core.wallet import Wallet

log = logging.getLogger("dsq.core.chain.deployment")

CONTRACTS = (
    "Credit",
    "Constants",
    "JobRepository",
    "ProviderManager",
    "ProviderJobQueues",
    "Tools",
    "MetaScheduler",
)
"""What is deployed, in this order."""

FAUCET = "FaucetCredit"
"""What is deployed behind them, if it is wanted."""

PARTS = {
    FAUCET: ("Credit",),
    "ProviderJobQueues": ("JobRepository",),
    "MetaScheduler": (
        "Credit",
        "Constants",
        "ProviderManager",
        "ProviderJobQueues",
        "JobRepository",
    ),
}
"""The contracts that a contract's constructor takes."""

MINED_SECONDS = 180.0
"""How long a wave may take."""

Progress = Callable[[str], None]
"""Told of each step: ``signed Credit``, ``sent Credit``, ``mined Credit``, ``verified``."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A grid on a chain.

    Attributes:
        block_number: The block of its first contract: its history begins there.
        gas_used: Gas of each step, by its name.
        fee_wei: Native coins in wei that the deployer paid for it.
        checks: What was asked of the chain at the end. All of it is so, but for rights of the
            deployer that it has handed over since.
    """

    addresses: Addresses
    block_number: int
    gas_used: Mapping[str, int]
    fee_wei: int = 0
    checks: tuple[Check, ...] = ()

    @property
    def total_gas(self) -> int:
        return sum(self.gas_used.values())


async def deploy(
    rpc_url: str,
    chain_id: int,
    wallet: Wallet,
    *,
    initial_supply_wei: int,
    record: Path | None = None,
    progress: Progress | None = None,
    faucet: bool = False,
) -> Deployment:
    """Deploys and wires a grid, or completes and checks what a record tells.

    The wallet's account becomes the operator: it administers the roles, owns Credit and
    Constants, gets the initial supply, and may act as the meta-scheduler. What it has handed
    over since an earlier run is not taken back.

    Args:
        rpc_url: The node.
        chain_id: The chain that is meant; another one is refused.
        wallet: Who deploys. It needs native coins for gas.
        initial_supply_wei: Credits that exist at first.
        record: JSON file that keeps the progress; None for a deployment that cannot be resumed.
        progress: Is told of each step.
        faucet: Deploy a faucet too, if the record has none yet.

    Raises:
        WrongChainError: The node serves another chain.
        WalletError: A key that is published with development chains, on another chain.
        SettingsError: The record belongs to another chain or another deployer, or is damaged.
        CreditsError: The account has too few native coins.
        TransactionError: A step was not mined.
    """
    async with await Chain.connect(rpc_url, chain_id=chain_id) as chain:
        refuse_published_key(wallet.address, chain.chain_id)
        wire = Wire(chain.rpc, wallet.address)
        steps = Record(record, await wire.identity(), wallet.address)
        deployer = _Deployer(chain, wallet, wire, steps, progress or (lambda _: None))
        at = await deployer.deploy_contracts(initial_supply_wei, faucet=faucet)
        addresses = _addresses(at)
        await deployer.wire_contracts(addresses)
    checks = await _verify(rpc_url, chain_id, wallet.address, addresses, at["Tools"])
    deployer.tell("verified")
    return Deployment(
        addresses, steps.first_block(), steps.gas_used(), steps.fee_wei(), tuple(checks)
    )


def created_address(deployer: Address, nonce: int) -> Address:
    """The address of the contract that an account's transaction with this nonce creates."""
    # RLP of [deployer, nonce], which is short enough for one-byte lengths.
    raw = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded = raw if len(raw) == 1 and raw[0] < 0x80 else bytes([0x80 + len(raw)]) + raw
    payload = b"\x94" + bytes(deployer) + encoded
    return Address(bytes(keccak(bytes([0xC0 + len(payload)]) + payload))[12:])


@dataclass(frozen=True, slots=True)
class _Plan:
    """A transaction to be: ``to`` None creates a contract, with ``parts`` as arguments."""

    name: str
    to: Address | None
    data: bytes
    parts: tuple[Address, ...] = ()


class _Deployer:
    def __init__(
        self, chain: Chain, wallet: Wallet, wire: Wire, record: Record, tell: Progress
    ) -> None:
        self._chain = chain
        self._wallet = wallet
        self._wire = wire
        self._record = record
        self.tell = tell

    async def deploy_contracts(self, supply: int, *, faucet: bool) -> dict[str, Address]:
        """All contracts; those that are there already are kept, also an earlier faucet."""
        await self._settle_open()
        at: dict[str, Address] = {}
        missing: list[_Plan] = []
        nonce = await self._wire.pending()
        has_faucet = faucet or self._record.get(FAUCET) is not None
        for name in (*CONTRACTS, FAUCET) if has_faucet else CONTRACTS:
            parts = tuple(at[part] for part in PARTS.get(name, ()))
            found = await self._deployed(name, parts)
            if found is None:
                found = created_address(self._wallet.address, nonce + len(missing))
                args = (supply,) if name == "Credit" else parts
                missing.append(_Plan(name, None, _creation(name, args), parts))
            at[name] = found
        await self._wave(missing, nonce)
        return at

    async def wire_contracts(self, addresses: Addresses) -> None:
        """The roles and the ownership that are not in place yet."""
        chain = Chain(self._chain.rpc, self._chain.chain_id, addresses)
        missing = []
        for tie in ties(chain, self._wallet.address):
            call = tie.call
            if not await tie.is_done() and not (tie.is_own and await self._was_given(call.label)):
                missing.append(_Plan(call.label, call.to, call.data))
        await self._wave(missing, await self._wire.pending())

    async def _was_given(self, name: str) -> bool:
        """An earlier run gave this right, and the chain still knows the transaction."""
        step = self._record.get(name)
        return step is not None and bool(await self._wire.receipts([step.tx_hash]))

    async def _deployed(self, name: str, parts: tuple[Address, ...]) -> Address | None:
        """Where a contract of the record is, if it is on chain and names the same others.

        Its code may be older than ours: a grid keeps its contracts over updates of dsq.
        """
        step = self._record.get(name)
        if step is None or step.address is None or step.parts != parts:
            return None
        code = await self._chain.rpc.request("eth_getCode", [step.address.lower, "latest"])
        return step.address if code != "0x" else None

    async def _settle_open(self) -> None:
        """Brings in what an earlier run signed and did not see mined."""
        opened = self._record.open_steps()
        if not opened:
            return
        used = await self._wire.used()
        receipts = await self._wire.receipts([step.tx_hash for step in opened])
        waiting = []
        for step in opened:
            if step.tx_hash not in receipts and step.nonce < used:
                # Another transaction has this nonce: the step will never be mined.
                self._record.drop(step.name)
            else:
                waiting.append(step)
        await self._send_all(waiting)

    async def _wave(self, plans: Sequence[_Plan], first_nonce: int) -> None:
        if not plans:
            return
        market = await read_market(self._chain.rpc)
        gas = await asyncio.gather(*(self._estimate(plan) for plan in plans))
        steps = []
        for place, (plan, estimate) in enumerate(zip(plans, gas, strict=True)):
            nonce = first_nonce + place
            fields = {
                "chainId": self._chain.chain_id,
                "nonce": nonce,
                "to": bytes(plan.to) if plan.to else b"",
                "data": plan.data,
                "value": 0,
                "gas": min(estimate * 12 // 10 + 20_000, market.gas_limit),
                **market.fees.fields(),
            }
            signed, tx_hash = self._wallet.sign_transaction(fields)
            address = created_address(self._wallet.address, nonce) if plan.to is None else None
            steps.append(Step(plan.name, nonce, tx_hash, signed, address, plan.parts))
        for step in steps:
            self._record.put(step)
        self._record.save()
        for step in steps:
            self.tell(f"signed {step.name}")
        await self._send_all(steps)

    async def _estimate(self, plan: _Plan) -> int:
        call = {"from": self._wallet.address.lower, "data": hexed(plan.data)}
        if plan.to is not None:
            call["to"] = plan.to.lower
        try:
            return number(await self._chain.rpc.request("eth_estimateGas", [call, "latest"]))
        except RpcError as error:
            raise refusal(error) from error

    async def _send_all(self, steps: Sequence[Step]) -> None:
        """Sends signed steps in the order of their nonces and waits until all are mined."""
        waiting = sorted(steps, key=lambda step: step.nonce)
        await self._send(waiting)
        deadline = time.monotonic() + MINED_SECONDS
        resend_at = time.monotonic() + 5.0
        while waiting:
            receipts = await self._wire.receipts([step.tx_hash for step in waiting])
            for step in [step for step in waiting if step.tx_hash in receipts]:
                self._take(step, receipts[step.tx_hash])
                waiting.remove(step)
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise TransactionError(
                    f"{waiting[0].name} is not mined after {MINED_SECONDS:.0f} s.",
                    hint="Run it again: it goes on where it stopped.",
                )
            if time.monotonic() > resend_at:
                await self._send(waiting)
                resend_at = time.monotonic() + 5.0
            await asyncio.sleep(0.1)

    async def _send(self, steps: Sequence[Step]) -> None:
        for step in steps:
            outcome, words = await self._wire.broadcast(step.raw)
            if outcome is Outcome.NO_FUNDS:
                raise no_gas_money(self._wallet.address, step.name)
            if outcome is Outcome.REFUSED:
                raise TransactionError(f"The node does not take {step.name}: {words}.")
            self.tell(f"sent {step.name}")

    def _take(self, step: Step, receipt: Mapping[str, Any]) -> None:
        if number(receipt["status"]) != 1:
            self._record.drop(step.name)
            raise TransactionError(
                f"{step.name} failed on chain.", hint="Run it again; it may have run out of gas."
            )
        gas = number(receipt["gasUsed"])
        price = number(receipt.get("effectiveGasPrice", "0x0"))
        self._record.mined(step.name, number(receipt["blockNumber"]), gas, gas * price)
        log.info("deployed=%s address=%s", step.name, step.address or "-")
        self.tell(f"mined {step.name}")


def _creation(name: str, args: tuple[Any, ...]) -> bytes:
    """A contract's bytecode with its constructor's arguments."""
    code = bytes.fromhex(contracts.load(name).bytecode.removeprefix("0x"))
    return code + contract(name).encode_constructor(*args)


def _addresses(at: Mapping[str, Address]) -> Addresses:
    return Addresses(
        metascheduler=at["MetaScheduler"],
        credit=at["Credit"],
        provider_manager=at["ProviderManager"],
        provider_job_queues=at["ProviderJobQueues"],
        jobs=at["JobRepository"],
        constants=at["Constants"],
        faucet=at.get(FAUCET),
    )


async def _verify(
    rpc_url: str, chain_id: int, operator: Address, wanted: Addresses, tools: Address
) -> list[Check]:
    """Asks the chain whether the grid is whole, beginning with the MetaScheduler alone."""
    async with await Chain.connect(
        rpc_url, chain_id=chain_id, metascheduler=wanted.metascheduler, faucet=wanted.faucet
    ) as chain:
        checks = await check(Chain(chain.rpc, chain.chain_id, wanted), operator, tools)
        if not await chain.new_jobs_enabled():
            log.warning("new_jobs=disabled metascheduler=%s", wanted.metascheduler)
    wrong = [one.what for one in checks if not one.is_so and not one.is_own]
    if wrong:
        raise TransactionError(
            f"The deployment is not whole: {'; '.join(wrong)}.", hint="Run it again."
        )
    return checks
