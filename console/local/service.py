"""Entry of the services of a local grid: ``python -m dsq.console.local.service NAME --home DIR``.

Addresses and ports come from the home, so that nothing secret stands in an argument. A service
is started while the chain is made ready: it loads what it needs, and begins when the gate opens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import logging
import signal
from pathlib import Path

from dsq.console.local.held import wait_for_gate
from dsq.console.local.home import Home, State
from dsq.core.errors import DsqError, SettingsError


def rpc_url(state: State) -> str:
    """The chain's HTTP endpoint."""
    if state.options.chain == "local":
        return f"http://127.0.0.1:{state.ports['rpc']}"
    return state.options.chain


async def run_sbatch(home: Home, state: State, stop: asyncio.Event) -> None:
    """Runs the sbatch API and the log service."""
    from dsq.sbatch.service.serve import serve
    from dsq.sbatch.service.settings import ServiceSettings

    grpc = f"127.0.0.1:{state.ports['grpc']}"
    await serve(
        ServiceSettings(
            data_dir=home.services / "sbatch",
            http_host="127.0.0.1",
            http_port=state.ports["http"],
            grpc_host="127.0.0.1",
            grpc_port=state.ports["grpc"],
            rpc_url=rpc_url(state),
            chain_id=state.options.chain_id,
            metascheduler=state.metascheduler,
            logger_endpoint=grpc,
            # All callers are this machine's.
            requests_per_minute=0,
            max_streams_per_address=4000,
        ),
        stop,
    )


async def run_metascheduler(home: Home, state: State, stop: asyncio.Event) -> None:
    """Runs the meta-scheduler and its oracle."""
    from dsq.console.local.ledger import ws_url
    from dsq.core.metascheduler.service import MetaSchedulerSettings
    from dsq.core.metascheduler.service import run_metascheduler as run

    await run(
        MetaSchedulerSettings(
            rpc_url=rpc_url(state),
            ws_url=ws_url(rpc_url(state)),
            chain_id=state.options.chain_id,
            metascheduler=state.metascheduler,
            host="127.0.0.1",
            port=state.ports["oracle"],
            state_dir=home.services / "metascheduler",
        ),
        home.wallet("metascheduler"),
        stop,
    )


SERVICES = {"sbatch": run_sbatch, "metascheduler": run_metascheduler}

LOADED = {
    "sbatch": "dsq.sbatch.service.serve",
    "metascheduler": "dsq.core.metascheduler.service",
    "provider": "dsq.supervisor.run",
}
"""What a service loads while it waits."""


async def _run(name: str, home: Home) -> None:
    state = home.load_state()
    if state is None:
        raise SettingsError(f"There is no grid in {home.path}.")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await SERVICES[name](home, state, stop)


def main() -> None:
    """Runs one service until SIGTERM."""
    parser = argparse.ArgumentParser(prog="dsq-service")
    parser.add_argument("name", help="sbatch, metascheduler, or provider-NAME")
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    name, home = arguments.name, Home(arguments.home)
    kind, _, provider = name.partition("-")
    importlib.import_module(LOADED[kind])
    if not wait_for_gate(home):
        raise SystemExit("The keeper of the grid has ended.")
    if provider:
        from dsq.console.provider_command import run

        raise SystemExit(run(["--headless", "--config", str(home.provider_config(provider))]))
    _serve(name, home)


def _serve(name: str, home: Home) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "web3", "websockets", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(name, home))
    except DsqError as error:
        logging.getLogger("dsq.service").error("%s", error)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
