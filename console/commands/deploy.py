"""``deploy``: the contracts of a new grid, and the address book that settings read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from dsq.core.chain import Deployment
    from dsq.core.wallet import KeyRef


@click.command(short_help="Deploy the grid's contracts on a chain.")
@click.option(
    "--rpc-url", metavar="URL", envvar="DSQ_RPC_URL", help="JSON-RPC endpoint (DSQ_RPC_URL)."
)
@click.option(
    "--chain-id", type=int, required=True, metavar="N", help="The chain that the endpoint must be."
)
@click.option(
    "--name", metavar="NAME", help="What the settings call the grid; else chain-N of its chain."
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
    "--faucet", is_flag=True, help="Deploy a faucet too; also later, with the same record."
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where each step is kept; else in the state folder.",
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
    name: str | None,
    supply_wei: int,
    faucet: bool,
    record: Path | None,
    as_json: bool,
) -> None:
    """Deploy the grid's contracts on a chain, with the wallet's key as their operator.

    An endpoint that serves another chain than --chain-id is refused. The record remembers
    each step: after a failure the same command goes on where it stopped, and run again it
    deploys nothing new. At the end every contract, link, role and owner is looked up on
    chain, and an address book is written: 'dsq --grid NAME' then means this grid.
    """
    from dsq.core.chain import deploy as deploy_contracts
    from dsq.core.config import settings_dir, state_dir
    from dsq.core.errors import UsageError
    from dsq.core.wallet import KeyRef, load_wallet

    if not rpc_url:
        raise UsageError("Which chain is meant?", hint="Name its endpoint with --rpc-url URL.")
    title = name or f"chain-{chain_id}"
    path = record or state_dir() / f"deployment-{name or chain_id}.json"
    _refuse_other_grid(title, path)
    default_key = settings_dir() / "keys" / "default.json"
    key = call.key(None) or (KeyRef(key_file=default_key) if default_key.exists() else None)
    wallet = load_wallet(key, passphrase_file=call.passphrase_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = await deploy_contracts(
        rpc_url,
        chain_id,
        wallet,
        initial_supply_wei=supply_wei,
        record=path,
        progress=_tell,
        faucet=faucet,
    )
    operator = _operator(str(wallet.address), key, call.passphrase_file)
    book = _write_book(title, rpc_url, chain_id, done, operator, path)
    if as_json:
        put_json(_to_json(title, chain_id, done, path, book))
    else:
        _show(title, done, path, book)


def _refuse_other_grid(name: str, record: Path) -> None:
    """Refuses a name that means another grid already, before anything is deployed."""
    from dsq.core.addressbook import check_name
    from dsq.core.chain.record import recorded_address
    from dsq.core.config import load_settings
    from dsq.core.errors import UsageError

    check_name(name)
    known = load_settings().grids.get(name)
    if known is None or (known.home is None and known.metascheduler is None):
        return
    where = recorded_address(record, "MetaScheduler")
    if known.home is not None or where is None or known.metascheduler != str(where):
        what = f"a local grid in {known.home}" if known.home else f"at {known.metascheduler}"
        raise UsageError(
            f"The settings know a grid '{name}' already, {what}.",
            hint="Choose another name with --name, or the record of that grid with --record.",
        )


def _operator(address: str, key: KeyRef | None, passphrase: Path | None) -> dict[str, str] | None:
    """Where the operator's key lies, for the address book; never the key itself."""
    if key is None or key.key_file is None or os.environ.get("ETH_PRIVATE_KEY"):
        return None
    found = {"address": address, "key_file": str(key.key_file.expanduser().absolute())}
    file = passphrase or key.passphrase_file
    if file is not None:
        found["passphrase_file"] = str(file.expanduser().absolute())
    return found


def _write_book(
    name: str,
    rpc_url: str,
    chain_id: int,
    done: Deployment,
    operator: dict[str, str] | None,
    record: Path,
) -> Path:
    from dsq.core.addressbook import write_book
    from dsq.core.config import settings_dir

    addresses = done.addresses.to_json()
    values: dict[str, Any] = {
        "rpc_url": rpc_url,
        "chain_id": chain_id,
        "metascheduler": addresses["metascheduler"],
        "start_block": done.block_number,
        "addresses": addresses,
        "record": str(record.absolute()),
    }
    if "faucet" in addresses:
        values["faucet"] = addresses["faucet"]
    if operator is not None:
        values["operator"] = operator
    return write_book(settings_dir(), name, values)


def _to_json(
    name: str, chain_id: int, done: Deployment, record: Path, book: Path
) -> dict[str, Any]:
    return {
        "name": name,
        "chain_id": chain_id,
        "block_number": done.block_number,
        "addresses": done.addresses.to_json(),
        "gas_used": dict(done.gas_used),
        "gas_total": done.total_gas,
        "fee_wei": str(done.fee_wei),
        "checks": [{"what": one.what, "is_so": one.is_so} for one in done.checks],
        "record": str(record),
        "address_book": str(book),
    }


def _show(name: str, done: Deployment, record: Path, book: Path) -> None:
    from dsq.core.units import format_credits

    put_fields(list(done.addresses.to_json().items()))
    gas = {**done.gas_used, "total": done.total_gas}
    rows = [(f"gas of {step}", f"{used:,}".replace(",", " ")) for step, used in gas.items()]
    put_fields([*rows, ("paid", f"{format_credits(done.fee_wei)} native coins")])
    right = sum(one.is_so for one in done.checks)
    say(f"Checked on chain: {right} of {len(done.checks)} contracts, links, roles and owners.")
    for one in done.checks:
        if not one.is_so:
            say(f"Handed over since: {one.what}.")
    say(f"Deployed at block {done.block_number}; the record is {record}.")
    say(
        f"'dsq --grid {name}' means this grid ({book}); [grids.{name}] in config.toml adds its "
        "services' endpoints."
    )


def _tell(step: str) -> None:
    if step.startswith("mined "):
        say(step)
