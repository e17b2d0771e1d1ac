"""Limits of addresses: token buckets, open streams, proxies, and who may read metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from dsq.core.errors import TryAgainError
from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import ReadRequest, WatchListRequest, WriteRequest
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import ChallengeRequest
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.signing import watch_list_text
from dsq.core.wallet import Wallet
from dsq.sbatch.service import limits
from dsq.sbatch.service.limits import Addresses, LocalBudget, NoLimit, StreamLimit, grpc_peer
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import WORKFLOW, Jobs, Raw

QUERY = {"query": "{__typename}"}


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_bucket_fills_and_empties() -> None:
    """As many at once as a minute gives, then one a second; what is asked for free costs nothing."""
    hand = Hand()
    budget = LocalBudget(60, hand)
    assert [await budget.take("a") for _ in range(60)] == [0.0] * 60
    assert await budget.take("a") == pytest.approx(1.0)
    assert await budget.take("b") == 0.0
    hand.now = 1.0
    assert await budget.take("a", cost=0) == 0.0
    assert await budget.take("a") == 0.0
    assert await budget.take("a") == pytest.approx(1.0)
    hand.now = 1000.0
    assert [await budget.take("a") for _ in range(61)].count(0.0) == 60
    assert await NoLimit().take("a") == 0.0


async def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of addresses does not fill the memory."""
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 10)
    budget = LocalBudget(60, Hand())
    for number in range(100):
        await budget.take(str(number))
    assert len(budget._buckets) == 10


def test_streams_are_counted() -> None:
    """Of one address and of all; what leaves makes room."""
    streams = StreamLimit(3, 2)
    assert [streams.enter("a"), streams.enter("a"), streams.enter("a")] == [True, True, False]
    assert [streams.enter("b"), streams.enter("c")] == [True, False]
    streams.leave("a")
    assert streams.enter("c")
    assert streams.total == 3


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "unknown"),
        ("::ffff:203.0.113.5", "", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "", "fe80::/64"),
        ("", "", "unknown"),
    ],
)
def test_who_asks(peer: str, forwarded: str, address: str) -> None:
    """Only what trusted proxies wrote is believed, from the end on."""
    import ipaddress

    assert Addresses([ipaddress.ip_network("10.0.0.0/8")]).of(peer, forwarded) == address


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:1.2.3.4:5", "1.2.3.4"),
        ("ipv6:[2001:db8::1]:5", "2001:db8::1"),
        ("ipv6:%5B::1%5D:50051", "::1"),
        ("unix:/run/x", "unknown"),
        ("", "unknown"),
    ],
)
def test_peers_of_grpc(peer: str, address: str) -> None:
    """Addresses as gRPC writes them."""
    assert grpc_peer(peer) == address


@pytest.fixture
async def narrow(tmp_path: Path, jobs: Jobs) -> AsyncIterator[Service]:
    """A service that takes five requests a minute and two streams, behind a proxy on loopback."""
    settings = ServiceSettings.model_validate(
        {
            "data_dir": tmp_path,
            "http_port": 0,
            "grpc_port": 0,
            "requests_per_minute": 5,
            "max_streams_per_address": 2,
            "trusted_proxies": ["127.0.0.0/8"],
        }
    )
    service = Service(settings, jobs)
    await service.start()
    yield service
    await service.stop()


def _from(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address}


async def test_too_many_requests_over_http(narrow: Service) -> None:
    """429 in GraphQL's shape with a time to wait; others, and health, go on; it is counted."""
    base = f"http://127.0.0.1:{narrow.http_port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
        for _ in range(5):
            assert (await http.post("/graphql", json=QUERY, headers=_from("6.6.6.6"))).is_success
        refused = await http.post("/graphql", json=QUERY, headers=_from("6.6.6.6"))
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 13
        (error,) = refused.json()["errors"]
        assert error["extensions"] == {"type": "limit"}
        assert refused.json()["data"] is None
        assert (await http.post("/graphql", json=QUERY, headers=_from("7.7.7.7"))).is_success
        assert (await http.get("/health", headers=_from("6.6.6.6"))).is_success
        metrics = (await http.get("/metrics")).text
    assert 'dsq_sbatch_refused_total{limit="requests"} 1.0' in metrics
    assert 'dsq_sbatch_http_requests_total{route="/graphql",status="429"} 1.0' in metrics


async def test_the_client_is_told_to_try_again(narrow: Service) -> None:
    """Exit code 75, not a broken workflow."""
    client = GraphQLClient(f"http://127.0.0.1:{narrow.http_port}/graphql", patience=0)
    for _ in range(5):
        await client.submit(WORKFLOW)
    with pytest.raises(TryAgainError, match="Too many requests"):
        await client.submit(WORKFLOW)
    await client.close()


async def test_the_client_waits_as_it_is_told(
    narrow: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep of many submits is slowed down, not ended."""
    hand = Hand()
    monkeypatch.setattr(narrow._gate, "_budget", LocalBudget(60, hand))
    client = GraphQLClient(f"http://127.0.0.1:{narrow.http_port}/graphql")
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        hand.now += seconds

    monkeypatch.setattr(client, "_sleep", sleep)
    for _ in range(62):
        assert await client.submit(WORKFLOW)
    assert 1 <= len(slept) <= 2
    assert all(1 <= seconds <= 2 for seconds in slept)
    await client.close()


async def test_too_many_calls_over_grpc(narrow: Service) -> None:
    """RESOURCE_EXHAUSTED for one address only, by the same rule about proxies."""
    raw = Raw(narrow)
    for _ in range(5):
        await raw.auth.Challenge(ChallengeRequest(), metadata=_from("6.6.6.6").items())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw.auth.Challenge(ChallengeRequest(), metadata=_from("6.6.6.6").items())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "try again in" in str(caught.value.details())
    await raw.auth.Challenge(ChallengeRequest(), metadata=_from("7.7.7.7").items())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in raw.logger.Read(ReadRequest(), metadata=_from("6.6.6.6").items()):
            pass
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await raw.channel.close()


async def test_writers_pay_for_what_is_refused(narrow: Service) -> None:
    """A provider may write all day; who only tries is stopped after five tries."""
    raw, codes = Raw(narrow), []
    for _ in range(7):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw.logger.Write(iter([WriteRequest()]))
        codes.append(caught.value.code())
    assert codes[:5] == [grpc.StatusCode.INVALID_ARGUMENT] * 5
    assert codes[5:] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    await raw.channel.close()


async def test_too_many_streams(narrow: Service, customer: Wallet) -> None:
    """The third stream of an address is refused; when one ends another may begin."""
    raw = Raw(narrow)

    def watch(address: str) -> Any:
        import time

        stamp = time.time_ns() // 10**6
        text = watch_list_text(customer.address, stamp)
        request = WatchListRequest(
            address=customer.address.lower, timestamp=stamp, signed_hash=customer.sign_text(text)
        )
        return raw.logger.WatchList(request, metadata=_from(address).items())

    calls = [watch("6.6.6.6"), watch("6.6.6.6")]
    for call in calls:
        await call.read()
    third = watch("6.6.6.6")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await third.read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    other = watch("7.7.7.7")
    await other.read()
    calls[0].cancel()
    for _ in range(100):
        if narrow._gate._streams.total < 3:
            break
        await asyncio.sleep(0.01)
    again = watch("6.6.6.6")
    await again.read()
    for call in (*calls, other, again):
        call.cancel()
    await raw.channel.close()


async def test_a_store_that_is_away_lets_in(
    narrow: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is no reason to be down when only Redis is."""

    class Away:
        async def take(self, address: str, *, cost: int = 1) -> float:
            raise TryAgainError("away")

    monkeypatch.setattr(narrow._gate, "_budget", Away())
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"http://127.0.0.1:{narrow.http_port}/graphql"
        assert [(await http.post(url, json=QUERY)).status_code for _ in range(7)] == [200] * 7


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, _from("127.0.0.1"), 403),
        ({"metrics_allow": []}, {}, 403),
        ({"metrics_allow": ["10.0.0.0/8"]}, {}, 403),
        ({"trusted_proxies": ["127.0.0.1/32"]}, _from("6.6.6.6"), 403),
        (
            {"trusted_proxies": ["127.0.0.1/32"], "metrics_allow": ["10.0.0.0/8"]},
            _from("10.1.2.3"),
            200,
        ),
    ],
)
async def test_who_may_read_metrics(
    tmp_path: Path, jobs: Jobs, settings: Any, headers: dict[str, str], status: int
) -> None:
    """Loopback by default; what an unknown proxy brings could be anybody's."""
    given = {"data_dir": tmp_path, "http_port": 0, "grpc_port": 0, **settings}
    service = Service(ServiceSettings.model_validate(given), jobs)
    await service.start()
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"http://127.0.0.1:{service.http_port}/metrics"
        response = await http.get(url, headers=headers)
    assert response.status_code == status
    if status == 200:
        assert "text/plain" in response.headers["content-type"]
        assert "# TYPE dsq_sbatch_submits_total counter" in response.text
    await service.stop()
