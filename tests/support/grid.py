"""A local grid for tests, driven as a user drives it: through the ``dsq`` command."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from dsq.core.chain import Chain
from dsq.core.config import read_grid_json
from dsq.core.model import Address
from tests.support.standins import Standins

T = TypeVar("T")

FINAL = ("CANCELLED", "FINISHED", "FAILED", "OUT_OF_CREDITS", "PANICKED")


class GridHome:
    """One home, and the commands on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.standins: Standins | None = None

    # -- commands ----------------------------------------------------------------

    def dsq(
        self,
        *args: str,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        home: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``dsq ARGS --home HOME`` and returns what it printed."""
        argv = [sys.executable, "-m", "dsq.console.cli", *args]
        if home:
            argv += ["--home", str(self.path)]
        result = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )
        if check and result.returncode:
            raise AssertionError(
                f"dsq {' '.join(args)} exited {result.returncode}\n{result.stdout}{result.stderr}"
            )
        return result

    def json(self, *args: str, **options: Any) -> Any:
        """Runs a command with ``--json`` and reads its answer."""
        return json.loads(self.dsq(*args, "--json", **options).stdout)

    def up(self, *args: str, timeout: float = 180) -> dict[str, Any]:
        """Starts the grid, detached."""
        answer = self.dsq("up", "--detach", "--json", *args, timeout=timeout)
        return dict(json.loads(answer.stdout))

    def down(self, *args: str) -> None:
        """Ends the grid."""
        self.dsq("down", *args, timeout=180)

    def submit(self, workflow: str | Path, *args: str, credits: str = "100") -> int:  # noqa: A002
        """Submits a workflow (a file, or its text) and returns the job's number."""
        if isinstance(workflow, str):
            path = self.path / f"workflow-{time.time_ns()}.yaml"
            path.write_text(workflow)
        else:
            path = workflow
        job = self.json("submit", str(path), "--credits", credits, *args)
        return int(job["id"])

    def job(self, job_id: int) -> dict[str, Any]:
        """The job's object."""
        return dict(self.json("job", "show", str(job_id)))

    def wait(self, job_id: int, *statuses: str, timeout: float = 60) -> dict[str, Any]:
        """Waits until the job has one of ``statuses`` (default: any end)."""
        wanted = statuses or FINAL
        deadline = time.monotonic() + timeout
        while True:
            job = self.job(job_id)
            if job["status"] in wanted:
                return job
            if time.monotonic() > deadline or (job["status"] in FINAL):
                raise AssertionError(f"job {job_id} is {job['status']}, not {wanted}: {job}")
            time.sleep(0.3)

    # -- state -------------------------------------------------------------------

    def configure_provider(self, name: str, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes settings of a provider before the grid's first start, as its owner would."""
        folder = self.path / "providers" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "provider.toml").write_text(tomli_w.dumps(dict(tables)))

    def on_chain(self, work: Callable[[Chain], Awaitable[T]]) -> T:
        """Runs ``work`` with a connection to the grid's chain."""
        config = read_grid_json(self.path)

        async def run() -> T:
            async with await Chain.connect(
                config.rpc_url, chain_id=config.chain_id, metascheduler=config.metascheduler_address
            ) as chain:
                return await work(chain)

        return asyncio.run(run())

    def address(self, key: str) -> Address:
        """The address of ``user``, ``operator`` or a provider's name."""
        config = read_grid_json(self.path)
        if key in ("user", "operator"):
            settings = getattr(config, key)
        else:
            settings = next(p for p in config.providers if p.name == key)
        return Address.parse(settings.address)

    def money(self, accounts: Iterable[Address]) -> dict[Address, int]:
        """Credits of accounts, in wei."""

        async def read(chain: Chain) -> dict[Address, int]:
            return {account: await chain.balance(account) for account in accounts}

        return self.on_chain(read)

    def pid(self, service: str) -> int:
        """The process of a service, such as ``provider-p1``."""
        return int(json.loads((self.path / "run" / f"{service}.pid").read_text())["pid"])
