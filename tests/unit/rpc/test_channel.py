"""Addresses of gRPC services, and what their errors mean."""

from __future__ import annotations

import socket

import pytest

from dsq.core.errors import SettingsError, UnreachableError
from dsq.core.model import Address, Job, JobCost, JobDefinition, JobStatus, JobTime
from dsq.core.rpc.channel import Endpoint
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.logger import LogLine, LogReader, LogWriter
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:3001", Endpoint("127.0.0.1", 3001, tls=False)),
        ("localhost:3001", Endpoint("localhost", 3001, tls=False)),
        ("[::1]:3001", Endpoint("::1", 3001, tls=False)),
        ("sbatch.example.org:443", Endpoint("sbatch.example.org", 443, tls=True)),
        ("https://127.0.0.1:3001", Endpoint("127.0.0.1", 3001, tls=True)),
        ("grpcs://sbatch.example.org", Endpoint("sbatch.example.org", 443, tls=True)),
        ("http://10.0.0.4:3001", Endpoint("10.0.0.4", 3001, tls=False)),
        ("grpc://10.0.0.4/", Endpoint("10.0.0.4", 80, tls=False)),
    ],
)
def test_endpoint_forms(text: str, endpoint: Endpoint) -> None:
    """Plain text is for loopback unless the scheme asks for it; TLS is for everything else."""
    assert Endpoint.parse(text) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", ":80", "host:http", "host:99999", "ftp://h:1", "http://h:1/x", "a b"],
)
def test_what_is_no_endpoint(text: str) -> None:
    """Anything else is a setting that is wrong, found before the first call."""
    with pytest.raises(SettingsError, match="is not the address of a gRPC service"):
        Endpoint.parse(text)


def test_ipv6_target_has_brackets() -> None:
    """gRPC wants brackets around the colons of an IPv6 address."""
    assert Endpoint.parse("[::1]:5").target == "[::1]:5"


async def test_a_service_that_is_not_there_is_unreachable() -> None:
    """Each client says which service does not answer, and ends in seconds."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        endpoint, wallet = f"127.0.0.1:{port}", Wallet.generate()
        customer = Address(bytes(20))
        job = Job(
            1, JobStatus.SCHEDULED, customer, wallet.address, JobDefinition(1, 1, 1),
            JobCost(0), JobTime(),
        )  # fmt: skip
        async with SBatchClient(endpoint, wallet, timeout=5) as client:
            with pytest.raises(UnreachableError, match="sbatch service at 127"):
                await client.fetch(job)
        writer = LogWriter(endpoint, wallet, timeout=5)
        with pytest.raises(UnreachableError, match="log service at 127"):
            await writer.append(customer, job.hex_id, [LogLine(b"x")], first_index=0)
        await writer.close()
        reader = LogReader(endpoint, wallet)
        with pytest.raises(UnreachableError, match="log service at 127"):
            async for _ in reader.read(job.hex_id):
                pass
        await reader.close()
        graphql = GraphQLClient(f"http://{endpoint}/graphql", wallet, timeout=5)
        with pytest.raises(UnreachableError, match="sbatch API at http"):
            await graphql.submit({})
        await graphql.close()


@pytest.mark.parametrize("url", ["", "localhost:3000", "ftp://host/graphql", "http:///graphql"])
def test_what_is_no_graphql_url(url: str) -> None:
    """A wrong setting is found before the first request."""
    with pytest.raises(SettingsError, match="is not the address of an sbatch API"):
        GraphQLClient(url)
