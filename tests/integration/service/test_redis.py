"""The store in Redis, on a real server: the contract, replicas, an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import httpx
import pytest

from dsq.core.errors import SettingsError, TryAgainError, UnreachableError, WalletError
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet
from dsq.sbatch.service.redis_store import RedisScriptStore
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.support.redis import redis_server
from tests.support.store_contract import Opener, StoreContract, script
from tests.unit.service.support import WORKFLOW, Jobs

pytestmark = pytest.mark.redis


@pytest.fixture
def opener(redis_url: str, request: pytest.FixtureRequest) -> Opener:
    prefix = f"{request.node.name}:"
    return lambda sealer: RedisScriptStore(redis_url, sealer, prefix=prefix)


class TestRedis(StoreContract):
    """Redis keeps the contract."""


async def test_nothing_readable_lies_in_redis(redis_url: str) -> None:
    """Who can read Redis reads neither script nor secret."""
    import redis.asyncio

    store = RedisScriptStore(redis_url, Sealer(bytes(32)), prefix="clear:")
    await store.put(script())
    client = redis.asyncio.from_url(redis_url)
    values = b"".join(
        [
            b"".join(
                part for pair in (await client.hgetall("clear:script:k")).items() for part in pair
            )
        ]
    )
    assert b"hidden" not in values
    assert len(values) > 50
    await client.aclose()
    await store.close()


async def test_a_budget_is_shared(redis_url: str) -> None:
    """What one replica took another cannot take; time gives it back."""
    stores = [RedisScriptStore(redis_url, Sealer(bytes(32)), prefix="b:") for _ in range(2)]
    one, two = (store.budget(600) for store in stores)
    taken = 0
    while not await (one if taken % 2 else two).take("10.0.0.1"):
        taken += 1
        assert taken < 700
    assert taken >= 600
    wait = await one.take("10.0.0.1")
    assert 0 < wait <= 0.1
    assert not await two.take("10.0.0.2", cost=0)
    await asyncio.sleep(wait)
    assert not await two.take("10.0.0.1")
    for store in stores:
        await store.close()


def test_a_url_that_is_none() -> None:
    """One sentence that does not repeat it: it may hold a password."""
    with pytest.raises(SettingsError, match="redis_url is redis://") as caught:
        RedisScriptStore("http://:hidden@host", Sealer(bytes(32)))
    assert "hidden" not in str(caught.value)


class Replicas:
    """Two services that share a Redis and a key, each with a folder of its own."""

    def __init__(self, folder: Path, url: str, jobs: Jobs) -> None:
        self.services = [
            Service(
                ServiceSettings(
                    data_dir=folder / str(number),
                    http_port=0,
                    grpc_port=0,
                    redis_url=url,  # type: ignore[arg-type]
                    redis_prefix=f"{folder.name}:",
                    key_files=(folder / "shared.key",),
                    requests_per_minute=60,
                    serve_logs=number == 0,
                    logger_endpoint="127.0.0.1:1",
                ),
                jobs,
            )
            for number in range(2)
        ]

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.services[number].http_port}/graphql"

    def grpc(self, number: int) -> str:
        return f"127.0.0.1:{self.services[number].grpc_port}"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as (url, _):
        yield url


@pytest.fixture
async def replicas(tmp_path: Path, own_redis: str) -> AsyncIterator[tuple[Replicas, Jobs]]:
    jobs = Jobs()
    both = Replicas(tmp_path, own_redis, jobs)
    for service in both.services:
        await service.start()
    yield both, jobs
    for service in both.services:
        await service.stop()


async def test_any_replica_serves_what_another_took(replicas: tuple[Replicas, Jobs]) -> None:
    """A submit here, a repeat and a fetch there; a challenge of one is good for the other once."""
    both, jobs = replicas
    customer, provider = Wallet.generate(), Wallet.generate()
    here, there = (GraphQLClient(both.url(number), customer) for number in range(2))
    key = await here.submit(WORKFLOW, idempotency_key="one")
    assert await there.submit(WORKFLOW, idempotency_key="one") == key
    keys = await asyncio.gather(
        *((here, there)[n % 2].submit(WORKFLOW, idempotency_key="two") for n in range(8))
    )
    assert len(set(keys)) == 1
    job = jobs.add(key, customer.address, provider.address)
    async with SBatchClient(both.grpc(1), provider) as client:
        assert "echo hello" in (await client.fetch(job)).text
    async with SBatchClient(both.grpc(0), Wallet.generate()) as thief:
        with pytest.raises(WalletError):
            await thief.fetch(job)
    for graphql in (here, there):
        await graphql.close()


async def test_the_budget_of_an_address_is_one(replicas: tuple[Replicas, Jobs]) -> None:
    """Sixty requests a minute at both together; then 429 with a time to wait."""
    both, _ = replicas
    async with httpx.AsyncClient(trust_env=False) as client:
        statuses = [
            (await client.get(both.url(n % 2), params={"query": "{__typename}"})).status_code
            for n in range(70)
        ]
    assert statuses[:60] == [200] * 60
    assert 429 in statuses[60:]


async def test_a_replica_without_logs(replicas: tuple[Replicas, Jobs]) -> None:
    """It has no log service, and says so as gRPC does."""
    both, _ = replicas
    async with grpc.aio.insecure_channel(both.grpc(1)) as channel:
        call = channel.unary_stream("/logger.v1alpha1.LoggerAPI/Read")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call(b""):
                pass
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_redis_goes_and_comes_back(tmp_path: Path) -> None:
    """Meanwhile nothing is refused for good, and what was kept is there again."""
    folder = tmp_path / "redis"
    folder.mkdir()
    jobs, customer, provider = Jobs(), Wallet.generate(), Wallet.generate()
    with redis_server(folder) as (url, first):
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        both = Replicas(tmp_path, url, jobs)
        service = both.services[0]
        await service.start()
        client = GraphQLClient(both.url(0), customer)
        key = await client.submit(WORKFLOW)
        job = jobs.add(key, customer.address, provider.address)
        first.kill()
        first.wait()
        with pytest.raises(TryAgainError, match="store does not answer"):
            await client.submit(WORKFLOW)
        async with SBatchClient(both.grpc(0), provider) as scripts:
            with pytest.raises(UnreachableError, match="store does not answer"):
                await scripts.fetch(job)
            assert await service.ready() == "The store does not answer."
            with redis_server(folder, port):
                assert await service.ready() == ""
                assert "echo hello" in (await scripts.fetch(job)).text
        await client.close()
        await service.stop()
