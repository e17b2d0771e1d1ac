"""``dsq up``: a whole grid on this machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsq.console.local import processes
from dsq.console.local.clusters import default_cluster
from dsq.console.local.held import hold, is_kept
from dsq.console.local.home import Home, Options, merge_options
from dsq.console.local.progress import ProgressFile, Tell, to_stderr
from dsq.core.errors import DsqError, TryAgainError, UsageError

START_SECONDS = 180.0


def options_for(home: Home, asked: dict[str, Any]) -> Options:
    """The options in force for a home.

    Raises:
        UsageError: They contradict each other, or the running or earlier grid of the home.
    """
    known = home.load_state()
    if known is None and asked.get("cluster") is None:
        asked = {**asked, "cluster": default_cluster()}
    chain = asked.get("chain")
    if chain not in (None, "local") and known is None:
        if asked.get("chain_id") is None:
            raise UsageError(
                "--chain URL needs --chain-id.", hint="A grid is never deployed on a chain unasked."
            )
        if not asked.get("operator_key"):
            raise UsageError("--chain URL needs --operator-key, a key file with coins for fees.")
    options = merge_options(known, asked)
    if is_kept(home) and known is not None and options != known.options:
        raise UsageError(
            "The grid of this home runs with other options.", hint="'dsq down' it first."
        )
    return options


def up(
    path: Path,
    asked: dict[str, Any],
    *,
    detach: bool = False,
    tell: Tell = to_stderr,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Starts the grid of a home, or finds it running.

    Args:
        path: The home.
        asked: Fields of :class:`Options` that were given; None for the rest.
        detach: Return when every part is ready, instead of at ctrl+C.
        tell: Gets a line a step.
        on_ready: Gets the text of ``grid.json`` once the grid takes jobs.
    """
    home = Home(path)
    options = options_for(home, asked)
    if is_kept(home):
        on_ready(_running(home, tell))
    elif detach:
        on_ready(_detached(home, options, tell))
    else:
        asyncio.run(foreground(home, options, tell, on_ready))


def _running(home: Home, tell: Tell) -> str:
    """Waits for a keeper that is still starting."""
    progress = ProgressFile(home.run / "progress")
    if progress.path.exists():
        _follow(home, progress, tell)
    return home.grid_file.read_text()


def _detached(home: Home, options: Options, tell: Tell) -> str:
    home.create()
    progress = ProgressFile(home.run / "progress")
    progress.clear()
    request = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    processes.start(
        [
            sys.executable, "-m", "dsq.console.local.up",
            "--home", str(home.path), "--options", json.dumps(request),
        ],
        pid_file=home.run / "keeper.json",
        log_file=home.logs / "keeper.log",
        env=processes.clean_environment(),
    )  # fmt: skip
    _follow(home, progress, tell)
    return home.grid_file.read_text()


def _follow(home: Home, progress: ProgressFile, tell: Tell) -> None:
    """Shows a keeper's progress until it is ready.

    Raises:
        DsqError: It failed, with its own sentence and exit code.
    """
    offset, deadline = 0, time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        records, offset = progress.read(offset)
        for record in records:
            if "text" in record:
                tell(str(record["text"]))
            if record.get("ready"):
                return
            if "failed" in record:
                error = DsqError(str(record["failed"]))
                error.exit_code = int(str(record["exit_code"]))  # type: ignore[misc]
                raise error
        if not records and processes.find(home.run / "keeper.json") is None and not is_kept(home):
            raise DsqError(
                "The grid's keeper ended while it started.",
                hint=f"Its log is {home.logs / 'keeper.log'}.",
            )
        time.sleep(0.05)
    raise TryAgainError("The grid was not ready in time.", hint=f"Its logs are in {home.logs}.")


async def foreground(
    home: Home, options: Options, tell: Tell, on_ready: Callable[[str], None]
) -> None:
    """Runs a grid until SIGINT or SIGTERM, then ends it in order."""
    # Late: whoever only waits for a detached grid needs none of it.
    from dsq.console.local.closing import control
    from dsq.console.local.keeper import Keeper

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    home.run.mkdir(parents=True, exist_ok=True)
    with hold(home) as free:
        if not free:
            raise UsageError("The grid of this home is being started by another command.")
        keeper = Keeper(home, options, tell)
        for name in keeper.names:
            control(home, name, "run")
        starting = asyncio.ensure_future(keeper.start())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        try:
            text = await starting
        except asyncio.CancelledError:
            await keeper.stop()
            return
        except BaseException:
            await keeper.give_up()
            raise
        on_ready(text)
        await keeper.keep(stop)
        await keeper.stop(wait=_down_waits(home))


def _down_waits(home: Home) -> bool:
    """Whether ``dsq down --wait`` asked for this end."""
    request = home.run / "down.json"
    with contextlib.suppress(OSError, ValueError):
        waits = bool(json.loads(request.read_text()).get("wait"))
        request.unlink(missing_ok=True)
        return waits
    return False


def main() -> None:
    """The keeper of a detached grid (started by :func:`up`)."""
    parser = argparse.ArgumentParser(prog="dsq-keeper")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--options", required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    home = Home(arguments.home)
    progress = ProgressFile(home.run / "progress")
    options = Options(**json.loads(arguments.options))
    try:
        asyncio.run(foreground(home, options, progress.tell, lambda _: progress.ready()))
    except DsqError as error:
        progress.failed(str(error), error.exit_code)
        raise SystemExit(error.exit_code) from None
    except BaseException as error:
        progress.failed(f"The grid could not be started: {type(error).__name__}: {error}", 70)
        raise


if __name__ == "__main__":
    main()
