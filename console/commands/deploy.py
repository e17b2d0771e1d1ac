"""``deploy``: the contracts of a new grid."""

from __future__ import annotations

from pathlib import Path

import click

from dsq.console.commands.common import (
    CREDITS,
    Session,
    asynchronous,
    debug_option,
    json_option,
    key_options,
    session,
)
from dsq.console.output import put_fields, put_json, say


@click.command(short_help="Deploy the grid's contracts on a chain.")
@click.option(
    "--rpc-url", metavar="URL", envvar="DSQ_RPC_URL", help="JSON-RPC endpoint (DSQ_RPC_URL)."
)
@click.option(
    "--chain-id", type=int, required=True, metavar="N", help="The chain that the endpoint must be."
)
@click.option(
    "--supply",
    "supply_wei",
    type=CREDITS,
    default="1000000",
    show_default=True,
    help="Credits that the deploying account gets.",
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the addresses are kept; else in the state folder.",
)
@json_option
@key_options
@debug_option
@session
@asynchronous
async def deploy(
    call: Session,
    rpc_url: str | None,
    chain_id: int,
    supply_wei: int,
    record: Path | None,
    as_json: bool,
) -> None:
    """Deploy the grid's contracts on a chain, with the wallet's key as their operator.

    An endpoint that serves another chain than --chain-id is refused. The record remembers
    each step: after a failure the same command goes on where it stopped, and run again it
    deploys nothing new.
    """
    from dsq.core.chain import deploy as deploy_contracts
    from dsq.core.config import settings_dir, state_dir
    from dsq.core.errors import UsageError
    from dsq.core.wallet import KeyRef, load_wallet

    if not rpc_url:
        raise UsageError("Which chain is meant?", hint="Name its endpoint with --rpc-url URL.")
    default_key = settings_dir() / "keys" / "default.json"
    key = call.key(None) or (KeyRef(key_file=default_key) if default_key.exists() else None)
    wallet = load_wallet(key, passphrase_file=call.passphrase_file)
    path = record or state_dir() / f"deployment-{chain_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = await deploy_contracts(
        rpc_url, chain_id, wallet, initial_supply_wei=supply_wei, record=path, progress=_tell
    )
    addresses = {name: str(value) for name, value in done.addresses.to_json().items()}
    if as_json:
        put_json(
            {
                "chain_id": chain_id,
                "block_number": done.block_number,
                "addresses": addresses,
                "gas_used": dict(done.gas_used),
                "record": str(path),
            }
        )
        return
    gas = {**done.gas_used, "total": done.total_gas}
    put_fields(list(addresses.items()))
    put_fields([(f"gas of {step}", f"{used:,}".replace(",", " ")) for step, used in gas.items()])
    say(f"Deployed at block {done.block_number}; the record is {path}.")


def _tell(step: str) -> None:
    if step.startswith("mined "):
        say(step)
