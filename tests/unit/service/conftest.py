"""The service over real sockets, with the chain's jobs in memory; one a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import Jobs, Raw, TestClock


@pytest.fixture(scope="module")
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture(scope="module")
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(autouse=True)
def _as_before(jobs: Jobs, clock: TestClock) -> Iterator[None]:
    """Each test finds the chain up and the clock right."""
    yield
    jobs.down = False
    clock.offset = 0.0


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    folder = tmp_path_factory.mktemp("service") / "data"
    return ServiceSettings(data_dir=folder, http_port=0, grpc_port=0, log_end_seconds=0.3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    settings: ServiceSettings, jobs: Jobs, clock: TestClock
) -> AsyncIterator[Service]:
    running = Service(settings, jobs, clock)
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{service.http_port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def raw(service: Service) -> AsyncIterator[Raw]:
    calls = Raw(service)
    yield calls
    await calls.channel.close()


@pytest.fixture(scope="session")
def customer() -> Wallet:
    return Wallet.generate()


@pytest.fixture(scope="session")
def provider() -> Wallet:
    return Wallet.generate()


@pytest.fixture(scope="session")
def stranger() -> Wallet:
    return Wallet.generate()
