"""The sbatch API in a process of its own for benchmarks, its chain's jobs in memory.

    python -m tests.benchmarks.service_process DIR CUSTOMER PROVIDER [SETTINGS-AS-JSON]

Prints one line of JSON: the ports. There is one job, number 1, which runs. The end of
standard input ends the process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsq.core.model import Address, JobStatus
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import SWITCH_SECONDS, Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import Jobs


@dataclass(frozen=True)
class Running:
    """A service that runs."""

    pid: int
    http_port: int
    grpc_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/graphql"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def memory(self, field: str = "VmRSS") -> float:
        """MB of memory; ``VmHWM`` is the most it ever had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(field)


@contextmanager
def running(folder: Path, customer: Wallet, provider: Wallet, **settings: Any) -> Iterator[Running]:
    """Starts a service and stops it at the end."""
    words = [sys.executable, "-m", "tests.benchmarks.service_process", str(folder)]
    words += [str(customer.address), str(provider.address), json.dumps(settings)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        yield Running(process.pid, **ports)
        process.stdin.close()
        process.wait()


async def _main(folder: str, customer: str, provider: str, given: str = "{}") -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    jobs = Jobs()
    jobs.add("key", Address.parse(customer), Address.parse(provider), JobStatus.RUNNING)
    values = {"data_dir": folder, "http_port": 0, "grpc_port": 0, "requests_per_minute": 0}
    service = Service(ServiceSettings.model_validate({**values, **json.loads(given)}), jobs)
    await service.start()
    print(json.dumps({"http_port": service.http_port, "grpc_port": service.grpc_port}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await service.stop()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
