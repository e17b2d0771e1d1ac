"""What all commands share: the grid and the key they mean, their types, how they run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    import asyncio

    from dsq.core.config import GridConfig
    from dsq.core.grid import Grid
    from dsq.core.model import Address
    from dsq.core.wallet import KeyRef, Wallet

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Session:
    """What the options of one call say, wherever on the line they stood."""

    grid: str | None = None
    home: Path | None = None
    key_file: Path | None = None
    passphrase_file: Path | None = None
    debug: bool = False

    @classmethod
    def of(cls, context: click.Context) -> Session:
        """The session of a call."""
        return context.find_root().ensure_object(cls)

    def config(self) -> GridConfig:
        """The grid that is meant."""
        from dsq.core.config import load_grid

        return load_grid(self.grid, self.home)

    def key(self, config: GridConfig | None, *, operator: bool = False) -> KeyRef | None:
        """Where the key lies: ``--key-file``, else the grid's operator or user."""
        from dsq.core.wallet import KeyRef

        if self.key_file is not None:
            return KeyRef(None, self.key_file, self.passphrase_file)
        if config is None:
            return None
        if operator and config.operator is not None:
            return config.operator.ref
        return config.wallet

    def wallet(self, config: GridConfig | None, *, operator: bool = False) -> Wallet:
        """The opened wallet; asks for its passphrase where there is somebody to ask."""
        from dsq.core.wallet import load_wallet

        key = self.key(config, operator=operator)
        return load_wallet(key, passphrase_file=self.passphrase_file)

    def account(self, config: GridConfig) -> Address:
        """The account in use, without opening its key where that can be spared."""
        import os

        from dsq.core.wallet import key_file_address

        key = self.key(config)
        if key is not None and not os.environ.get("ETH_PRIVATE_KEY"):
            address = key.address
            if address is None and key.key_file is not None:
                address = key_file_address(key.key_file)
            if address is not None:
                return address
        return self.wallet(config).address

    @contextlib.asynccontextmanager
    async def open(self, *, sign: bool = False, operator: bool = False) -> AsyncIterator[Grid]:
        """The grid, with the wallet open if something is to be signed.

        Args:
            sign: Open the user's wallet.
            operator: Open the operator's, where the grid names one.
        """
        from dsq.core.grid import Grid

        config = self.config()
        wallet = self.wallet(config, operator=operator) if sign or operator else None
        async with await Grid.open(config, wallet) as grid:
            yield grid


def session(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Gives a command the session as its first argument."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(Session.of(click.get_current_context()), *args, **kwargs)

    return wrapped


def asynchronous(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Runs a command that is a coroutine."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        import asyncio

        return asyncio.run(function(*args, **kwargs))

    return wrapped


# -- options ---------------------------------------------------------------------


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and value is not False and parameter.name:
        setattr(Session.of(context), parameter.name, value)


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_remember, **settings)


def debug_option(function: F) -> F:
    """``--debug``."""
    return _option("--debug", is_flag=True, help="Show tracebacks and what is logged.")(function)


def grid_options(function: F) -> F:
    """``--grid``, ``--home`` and ``--debug``."""
    for option in (
        debug_option,
        _option(
            "--home",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="The local grid in this folder (DSQ_HOME).",
        ),
        _option("--grid", metavar="NAME", help="The grid of this name in the settings (DSQ_GRID)."),
    ):
        function = option(function)
    return function


def key_options(function: F) -> F:
    """``--key-file`` and ``--passphrase-file``."""
    for option in (
        _option(
            "--passphrase-file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="File with the key's passphrase (DSQ_PASSPHRASE_FILE).",
        ),
        _option(
            "--key-file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Key file to use instead of the grid's.",
        ),
    ):
        function = option(function)
    return function


def json_option(function: F) -> F:
    """``--json``, as the argument ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


# -- types -----------------------------------------------------------------------


class _Parsed(click.ParamType[Any]):
    """A type that a parser of dsq reads; its errors are dsq's own."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Any:
        return self._parse(value) if isinstance(value, str) else value


def _job_id(text: str) -> int:
    from dsq.core.model import parse_job_id

    return parse_job_id(text)


def _credits(text: str) -> int:
    from dsq.core.units import parse_credits

    return parse_credits(text)


def _address(text: str) -> Address:
    from dsq.core.model import Address

    return Address.parse(text)


def _account(text: str) -> Address:
    from dsq.core.config import settings_dir
    from dsq.core.contacts import find_account, load_contacts

    return find_account(text, load_contacts(settings_dir()))


def _label(text: str) -> Any:
    from dsq.core.model import Label

    return Label.parse(text)


def _affinity(text: str) -> Any:
    from dsq.core.model import Affinity

    return Affinity.parse(text)


def _status(text: str) -> Any:
    from dsq.core.model import JobStatus

    return JobStatus.parse(text)


def _filter(text: str) -> Any:
    from dsq.core.readmodel import parse_filter

    return parse_filter(text)


def _order(text: str) -> Any:
    from dsq.core.readmodel import Order

    return Order.parse(text)


def _endpoint(text: str) -> tuple[str, int]:
    from dsq.core.errors import UsageError

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"'{text}' is not HOST:PORT.", hint="Write it as in 127.0.0.1:3000.")
    return host.strip("[]") or "127.0.0.1", int(port)


JOB_ID = _Parsed("ID", _job_id)
CREDITS = _Parsed("N", _credits)
ADDRESS = _Parsed("ADDR", _address)
LABEL = _Parsed("KEY=VALUE", _label)
AFFINITY = _Parsed("KEY<op>VALUE", _affinity)
STATUS = _Parsed("STATUS", _status)
ACCOUNT = _Parsed("ADDR", _account)
FILTER = _Parsed("filter", _filter)
ORDER = _Parsed("order", _order)
ENDPOINT = _Parsed("HOST:PORT", _endpoint)


def job_argument(function: F) -> F:
    """``ID``, as the argument ``job_id``."""
    return click.argument("job_id", metavar="ID", type=JOB_ID)(function)


def file_argument(function: F) -> F:
    """``FILE``: a workflow, ``-`` for standard input."""
    return click.argument("file", metavar="FILE")(function)


# -- running ---------------------------------------------------------------------


def read_text(file: str) -> str:
    """The text of a file, or of standard input for ``-``.

    Raises:
        NotFoundError: There is no such file, or it cannot be read.
    """
    import sys

    from dsq.core.errors import NotFoundError, WorkflowError

    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode()
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {file}.") from None
    except OSError as error:
        raise NotFoundError(f"The file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise WorkflowError(f"{file} is no text: byte {error.start} is not UTF-8.") from None


def serve(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], *, debug: bool) -> None:
    """Runs a service until SIGTERM or ctrl+C, logging to standard error."""
    import asyncio
    import logging
    import signal

    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for noisy in ("httpx", "web3", "websockets", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    asyncio.run(main())
