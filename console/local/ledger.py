"""The chain of a local grid: the node, the contracts, who has which role and money.

Every step looks first at what is there, so that a grid that was killed anywhere
is completed by the next ``dsq up``, and nothing is given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsq.console.local.home import Home, Options
from dsq.console.local.progress import Tell
from dsq.core.chain import Chain, Deployment, DevChain, Sender, deploy, find_anvil
from dsq.core.config import cache_dir
from dsq.core.errors import CreditsError
from dsq.core.model import ZERO_ADDRESS, Address
from dsq.core.units import CREDIT
from dsq.core.wallet import KeyRef, Wallet, load_wallet

USER_CREDITS = 10_000 * CREDIT
NATIVE_COINS = 100 * 10**18
INITIAL_SUPPLY = 1_000_000 * CREDIT
BLOCK_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Ledger:
    """A running chain with the grid's contracts on it."""

    rpc_url: str
    ws_url: str | None
    chain_id: int
    deployment: Deployment

    @property
    def metascheduler(self) -> Address:
        return self.deployment.addresses.metascheduler


async def start_node(home: Home, options: Options, port: int, tell: Tell) -> DevChain | None:
    """Starts the local node; None when the grid uses another chain."""
    if options.chain != "local":
        return None
    anvil = find_anvil(cache_dir())
    tell(f"chain      starting anvil on port {port}")
    node = DevChain(home.chain, port, anvil, block_time=BLOCK_SECONDS)
    await node.start()
    return node


async def settle(
    home: Home, options: Options, node: DevChain | None, provider_names: list[str], tell: Tell
) -> Ledger:
    """Deploys what is missing and gives keys their roles, coins and credits, once.

    Raises:
        CreditsError: On another chain than the local one the operator has no coins.
    """
    rpc_url = node.rpc_url if node is not None else options.chain
    websocket = node.ws_url if node is not None else ws_url(options.chain)
    operator = operator_wallet(home, options)
    names = ["user", "metascheduler", *(f"provider-{name}" for name in provider_names)]
    accounts = {name: Address.parse(home.key(name).address) for name in names}
    if node is not None:
        for address in (operator.address, *accounts.values()):
            if await node.native_balance(address) == 0:
                await node.set_balance(address, NATIVE_COINS)
    else:
        await _check_gas(options, [operator.address, *accounts.values()])
    tell("contracts  deploying, or checking what is deployed")
    deployment = await deploy(
        rpc_url,
        options.chain_id,
        operator,
        initial_supply_wei=INITIAL_SUPPLY,
        record=home.chain / "deployment.json",
    )
    ledger = Ledger(rpc_url, websocket, options.chain_id, deployment)
    await _give(ledger, operator, accounts)
    return ledger


def operator_wallet(home: Home, options: Options) -> Wallet:
    """The operator's key: the home's own, or the one that was named for another chain."""
    if not options.operator_key:
        home.key("operator")
        return home.wallet("operator")
    passphrase = Path(options.operator_passphrase) if options.operator_passphrase else None
    return load_wallet(KeyRef(None, Path(options.operator_key), passphrase), env={})


async def _give(ledger: Ledger, operator: Wallet, accounts: dict[str, Address]) -> None:
    """Roles to the meta-scheduler, credits to the user; the chain says what was given before."""
    async with await Chain.connect(
        ledger.rpc_url, chain_id=ledger.chain_id, metascheduler=ledger.metascheduler
    ) as chain:
        sender = Sender(chain, operator)
        await sender.start()
        try:
            role = ("MetaScheduler", "METASCHEDULER_ROLE", accounts["metascheduler"])
            if not await chain.has_role(*role):
                await sender.send(chain.calls.grant_role(*role))
            if not await _was_given(chain, accounts["user"]):
                await sender.send(chain.calls.mint(accounts["user"], USER_CREDITS))
        finally:
            await sender.close()


async def _was_given(chain: Chain, user: Address) -> bool:
    if await chain.balance(user):
        return True
    head = await chain.head()
    minted = await chain.events(0, head.number, names=("Transfer",))
    return any(
        event.args["sender"] == ZERO_ADDRESS and event.args["recipient"] == user for event in minted
    )


async def _check_gas(options: Options, accounts: list[Address]) -> None:
    async with await Chain.connect(options.chain, chain_id=options.chain_id) as chain:
        poor = [account for account in accounts if not await chain.native_balance(account)]
    if poor:
        raise CreditsError(
            f"These keys have no coins for fees on chain {options.chain_id}: "
            f"{', '.join(map(str, poor))}.",
            hint="Send them some, then run 'dsq up' again; it goes on where it stopped.",
        )


def ws_url(url: str) -> str | None:
    """The WebSocket endpoint that nodes serve beside an HTTP one."""
    for scheme, websocket in (("http://", "ws://"), ("https://", "wss://")):
        if url.startswith(scheme):
            return websocket + url.removeprefix(scheme)
    return None
