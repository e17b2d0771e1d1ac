"""``sbatch serve`` and ``metascheduler run``: the grid's services as processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dsq.console.commands.common import (
    ENDPOINT,
    Session,
    grid_options,
    key_options,
    serve,
    session,
)
from dsq.console.commands.groups import Group

FILE = click.Path(path_type=Path)


@click.group(cls=Group, short_help="Run the sbatch API.")
def sbatch() -> None:
    """Run the sbatch API: GraphQL for users, gRPC for providers, logs for both."""


@sbatch.command("serve")
@click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    type=FILE,
    help="All settings and limits, in TOML (docs/reference/settings.md).",
)
@click.option("--data-dir", metavar="DIR", type=FILE, help="Scripts, logs and the service's key.")
@click.option(
    "--data-key",
    "key_files",
    metavar="FILE",
    type=FILE,
    multiple=True,
    help="Key that encrypts what is kept; further ones only open what is older.",
)
@click.option("--http", type=ENDPOINT, help="Where GraphQL listens, else at 127.0.0.1:3000.")
@click.option("--grpc", type=ENDPOINT, help="Where gRPC listens, else at 127.0.0.1:3001.")
@click.option("--logger-endpoint", metavar="HOST:PORT", help="Log service to tell.")
@click.option(
    "--pre-hook",
    "pre_hook_file",
    metavar="FILE",
    type=FILE,
    help="Shell text for the top of every script.",
)
@click.option(
    "--post-hook",
    "post_hook_file",
    metavar="FILE",
    type=FILE,
    help="Shell text for the end of every script.",
)
@click.option("--tls-cert", metavar="FILE", type=FILE, help="Certificate chain (PEM).")
@click.option("--tls-key", metavar="FILE", type=FILE, help="Its key (PEM).")
@click.option("--allow-unsigned-logs", is_flag=True, help="Take unsigned lines of old writers.")
@grid_options
@session
def sbatch_serve(
    call: Session,
    /,
    settings_file: Path | None,
    http: tuple[str, int] | None,
    grpc: tuple[str, int] | None,
    key_files: tuple[Path, ...],
    allow_unsigned_logs: bool,
    **chosen: Any,
) -> None:
    """Serve the sbatch API and the log service until SIGTERM or ctrl+C.

    The grid's settings, or the file, need rpc_url, chain_id and metascheduler. Without TLS,
    listen on loopback only: secrets of jobs pass here. Scripts go to Redis when
    DSQ_SBATCH_REDIS_URL (or redis_url in the file) says so. Port 0 takes a free one.
    """
    from dsq.core.config import state_dir
    from dsq.core.errors import SettingsError, UsageError

    if (chosen["tls_cert"] is None) != (chosen["tls_key"] is None):
        raise UsageError("--tls-cert and --tls-key come together.")
    defaults: dict[str, Any] = {"data_dir": state_dir() / "sbatch"}
    try:
        config = call.config()
    except SettingsError:
        # A file may say all that a grid does.
        if settings_file is None or call.grid or call.home:
            raise
    else:
        for name in ("rpc_url", "rpc_urls", "chain_id", "metascheduler"):
            defaults[name] = getattr(config, name)

    from dsq.sbatch.service.serve import serve as serve_sbatch
    from dsq.sbatch.service.settings import read_settings

    settings = read_settings(
        settings_file,
        defaults,
        http_host=http and http[0],
        http_port=http and http[1],
        grpc_host=grpc and grpc[0],
        grpc_port=grpc and grpc[1],
        key_files=key_files or None,
        redis_url=os.environ.get("DSQ_SBATCH_REDIS_URL"),
        allow_unsigned_logs=allow_unsigned_logs or None,
        **chosen,
    )
    serve(lambda stop: serve_sbatch(settings, stop), debug=call.debug)


@click.group(cls=Group, short_help="Run the meta-scheduler.")
def metascheduler() -> None:
    """Run the meta-scheduler, which gives waiting jobs to providers."""


@metascheduler.command("run")
@click.option(
    "--listen",
    type=ENDPOINT,
    default="127.0.0.1:3002",
    show_default=True,
    help="Where the oracle listens; port 0 takes a free one.",
)
@click.option("--state-dir", metavar="DIR", type=FILE, help="Its snapshot and transactions.")
@click.option("--standby", is_flag=True, help="Wait while another one with this key is at work.")
@click.option(
    "--max-fee", type=click.IntRange(min=1), metavar="GWEI", help="The most for a unit of gas."
)
@key_options
@grid_options
@session
def run(
    call: Session,
    listen: tuple[str, int],
    state_dir: Path | None,
    standby: bool,
    max_fee: int | None,
) -> None:
    """Run the meta-scheduler and its oracle until SIGTERM or ctrl+C.

    The key must have the role METASCHEDULER_ROLE and coins for fees; in a home it is the
    operator's.
    """
    from dsq.core import config as settings
    from dsq.core.metascheduler.service import MetaSchedulerSettings, run_metascheduler

    config = call.config()
    wallet = call.wallet(config, operator=True)
    chosen = MetaSchedulerSettings(
        rpc_url=config.rpc_url,
        rpc_urls=config.rpc_urls,
        reorg_depth=config.reorg_depth,
        fee_cap=max_fee * 10**9 if max_fee else None,
        standby=standby,
        ws_url=config.ws_url,
        chain_id=config.chain_id,
        metascheduler=config.metascheduler,
        host=listen[0],
        port=listen[1],
        state_dir=state_dir or settings.state_dir() / "metascheduler",
    )
    serve(lambda stop: run_metascheduler(chosen, wallet, stop), debug=call.debug)
