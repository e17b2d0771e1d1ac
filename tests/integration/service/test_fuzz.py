"""Random requests against the service in a process of its own: no fault, no restart."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from dsq.core.model import job_hex_id
from dsq.core.rpc.logger import LogLine, LogWriter
from dsq.core.wallet import Wallet
from tests.benchmarks.service_process import Running, running
from tests.support.fuzz import Fuzzer, Grpc, Http

FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}
AT_ONCE = 16


class Attack:
    """Sends requests and notes what came of them."""

    def __init__(self, service: Running, fuzzer: Fuzzer) -> None:
        self._service = service
        self._fuzzer = fuzzer
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        options = [("grpc.enable_http_proxy", 0)]
        self._channel = grpc.aio.insecure_channel(service.grpc, options=options)
        base = f"http://127.0.0.1:{service.http_port}"
        self._http = httpx.AsyncClient(base_url=base, trust_env=False, timeout=30)

    async def run(self, count: int) -> None:
        requests = iter(range(count))

        async def some() -> None:
            for _ in requests:
                await self._send(self._fuzzer.next())

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        await self._channel.close()
        await self._http.aclose()

    async def _send(self, request: Http | Grpc) -> None:
        if isinstance(request, Http):
            await self._send_http(request)
        else:
            await self._send_grpc(request)

    async def _send_http(self, request: Http) -> None:
        response = await self._http.request(
            request.method, request.path, content=request.content, headers=request.headers
        )
        self.outcomes[f"http {response.status_code}"] += 1
        text = response.text
        if response.status_code >= 500 or "its log says where" in text:
            self.faults.append(f"{request!r:.1500} -> {response.status_code} {text:.300}")

    async def _send_grpc(self, request: Grpc) -> None:
        try:
            await asyncio.wait_for(self._call(request), 120)
            status: Any = grpc.StatusCode.OK
            details = ""
        except grpc.aio.AioRpcError as error:
            status, details = error.code(), error.details()
        except ValueError:
            return  # what the client itself refuses to send
        self.outcomes[f"grpc {status.name}"] += 1
        # The client's own words when the service ends a stream while it still sends: what the
        # service said is in its metrics.
        if status in FAULTS and details != "Internal error from Core":
            self.faults.append(f"{request!r:.1500} -> {status} {details}")

    async def _call(self, request: Grpc) -> None:
        name, metadata = request.path.rsplit("/", 1)[1], tuple(request.metadata)
        if name == "Write":
            await self._channel.stream_unary(request.path)(
                iter(request.messages), metadata=metadata
            )
        elif name in ("Read", "WatchList"):
            call = self._channel.unary_stream(request.path)(request.messages[0], metadata=metadata)
            async for _ in call:
                pass
        else:
            await self._channel.unary_unary(request.path)(request.messages[0], metadata=metadata)


@pytest.mark.parametrize(
    "count", [1500, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
async def test_random_requests(tmp_path: Path, count: int) -> None:
    """Each is answered or refused; the process is the same one at the end, and well."""
    seed = random.randrange(2**32)
    customer, provider = Wallet.generate(), Wallet.generate()
    with running(tmp_path, customer, provider) as service:
        writer = LogWriter(service.grpc, provider)
        lines = [LogLine(b"line %d" % number) for number in range(20)]
        await writer.append(customer.address, job_hex_id(1), lines, first_index=0)
        await writer.close()
        attack = Attack(service, Fuzzer(seed, customer, provider, job_hex_id(1)))
        await attack.run(count)
        assert not attack.faults, (seed, len(attack.faults), attack.faults[:5])
        async with httpx.AsyncClient(trust_env=False) as http:
            health = await http.get(f"http://127.0.0.1:{service.http_port}/ready")
            assert health.text == "ok"
            metrics = (await http.get(f"http://127.0.0.1:{service.http_port}/metrics")).text
        said = set(re.findall(r'^dsq_sbatch_\w+_total\{.*status="(\w+)"', metrics, re.MULTILINE))
        assert {"200", "422", "OK", "INVALID_ARGUMENT"} <= said
        assert not said & {"INTERNAL", "UNKNOWN", "UNAVAILABLE"}
        assert not [status for status in said if status.startswith("5")]
        assert 'submits_total{result="kept"}' in metrics
        assert service.memory() < 600
    print(seed, dict(attack.outcomes))
    outcomes = attack.outcomes
    assert outcomes["http 200"] > count * 0.05
    assert outcomes["http 422"] > count * 0.05
    assert outcomes["grpc UNAUTHENTICATED"] > count * 0.01
    assert outcomes["grpc OK"] > count * 0.01
