"""Starting: TLS on both ports, settings that cannot work, folders and ports in use."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import shutil
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dsq.core.errors import SettingsError, UnreachableError
from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2, sbatch_pb2_grpc
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings, read_settings
from tests.unit.service.support import SUBMIT, WORKFLOW, Jobs


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, secret


async def test_submit_and_fetch_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the certificate in SSL_CERT_FILE both clients work; without it both refuse."""
    chain, key = certificate(tmp_path)
    settings = ServiceSettings(
        data_dir=tmp_path / "data", http_port=0, grpc_port=0, tls_cert=chain, tls_key=key
    )
    jobs, customer, provider = Jobs(), Wallet.generate(), Wallet.generate()
    service = Service(settings, jobs)
    await service.start()
    url = f"https://127.0.0.1:{service.http_port}/graphql"
    endpoint = f"https://127.0.0.1:{service.grpc_port}"
    careful = GraphQLClient(url, customer)
    with pytest.raises(UnreachableError, match="(?i)certificate"):
        await careful.submit(WORKFLOW)
    await careful.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    client = GraphQLClient(url, customer)
    job = jobs.add(await client.submit(WORKFLOW), customer.address, provider.address)
    await client.close()
    async with SBatchClient(endpoint, provider) as scripts:
        assert "echo hello" in (await scripts.fetch(job)).text
    async with SBatchClient(endpoint.removeprefix("https://"), provider, timeout=2) as scripts:
        with pytest.raises(UnreachableError):
            await scripts.fetch(job)
    await service.stop()


async def test_standard_clients_over_tls(tmp_path: Path) -> None:
    """curl, and gRPC's own blocking client, with nothing but the certificate: as with any service."""
    chain, key = certificate(tmp_path)
    settings = ServiceSettings(
        data_dir=tmp_path / "data", http_port=0, grpc_port=0, tls_cert=chain, tls_key=key
    )
    service = Service(settings, Jobs())
    await service.start()

    async def curl(path: str, *words: str) -> str:
        url = f"https://127.0.0.1:{service.http_port}{path}"
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--noproxy", "*", "--cacert", str(chain), *words, url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        return (await process.communicate())[0].decode()

    if shutil.which("curl"):
        assert await curl("/health") == "ok"
        assert await curl("/ready") == "ok"
        assert "dsq_sbatch_http_requests_total" in await curl("/metrics")
        body = json.dumps({"query": SUBMIT, "variables": {"job": WORKFLOW}})
        words = ("-H", "content-type: application/json", "-d", body)
        assert len(json.loads(await curl("/graphql", *words))["data"]["submit"]) == 22
        assert "certificate" in await curl("/health", "--cacert", "/dev/null")

    def challenge() -> bytes:
        credentials = grpc.ssl_channel_credentials(chain.read_bytes())
        target, options = f"127.0.0.1:{service.grpc_port}", [("grpc.enable_http_proxy", 0)]
        with grpc.secure_channel(target, credentials, options) as channel:
            stub = sbatch_pb2_grpc.AuthAPIStub(channel)  # type: ignore[no-untyped-call]
            return bytes(stub.Challenge(sbatch_pb2.ChallengeRequest(), timeout=10).challenge)

    assert b'"message":"login"' in await asyncio.to_thread(challenge)
    await service.stop()


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    """One sentence, and no port is open."""
    chain, key = certificate(tmp_path)
    chain.write_text("no certificate")
    settings = ServiceSettings(
        data_dir=tmp_path / "data", http_port=0, grpc_port=0, tls_cert=chain, tls_key=key
    )
    with pytest.raises(SettingsError, match=r"cert.* cannot be used|cannot listen"):
        await Service(settings, Jobs()).start()


def test_settings_from_a_file(tmp_path: Path) -> None:
    """Options win over the file, the file over defaults; paths are below the file's folder."""
    file = tmp_path / "sbatch.toml"
    file.write_text(
        'data_dir = "data"\nkey_files = ["new.key", "/old.key"]\nmax_steps = 5\n'
        'trusted_proxies = ["10.0.0.0/8", "fd00::/8"]\nredis_url = "redis://:hidden@host"\n'
    )
    settings = read_settings(
        file, {"rpc_url": "http://x", "max_steps": 7}, http_port=0, tls_key=None
    )
    assert settings.data_dir == tmp_path / "data"
    assert settings.key_files == (tmp_path / "new.key", Path("/old.key"))
    assert (settings.max_steps, settings.http_port, settings.rpc_url) == (5, 0, "http://x")
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert "hidden" not in repr(settings)
    assert read_settings(None, data_dir=tmp_path).max_steps == 10_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_step = 5", "unknown field 'max_step'.*max_steps"),
        ("max_steps = 0", "field 'max_steps': input should be greater than 0"),
        ("max_steps = [", "do not parse"),
        ("serve_logs = false", "needs logger_endpoint"),
        ('trusted_proxies = ["x"]', "trusted_proxies.0"),
        ('redis_url = "redis://:hidden@host"\nmax_steps = "hidden"', "max_steps"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    """One sentence with the file, the field and the close match; never a value."""
    file = tmp_path / "sbatch.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        read_settings(file, {"data_dir": tmp_path})
    assert "hidden" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")


async def test_settings_that_cannot_work(tmp_path: Path) -> None:
    """Each is one sentence before anything listens."""
    with pytest.raises(ValueError, match="come together"):
        ServiceSettings(data_dir=tmp_path, tls_cert=tmp_path / "cert.pem")
    missing = ServiceSettings(
        data_dir=tmp_path / "a",
        http_port=0,
        grpc_port=0,
        tls_cert=tmp_path / "no.pem",
        tls_key=tmp_path / "no.pem",
    )
    with pytest.raises(SettingsError, match=r"no\.pem"):
        await Service(missing, Jobs()).start()
    (tmp_path / "file").write_text("")
    folder = ServiceSettings(data_dir=tmp_path / "file" / "data", http_port=0, grpc_port=0)
    with pytest.raises(SettingsError, match="folder .* cannot be used"):
        await Service(folder, Jobs()).start()
    hook = ServiceSettings(
        data_dir=tmp_path / "b", http_port=0, grpc_port=0, pre_hook_file=tmp_path / "no-hook"
    )
    with pytest.raises(SettingsError, match="hook .* cannot be read"):
        await Service(hook, Jobs()).start()


async def test_a_folder_that_is_taken(tmp_path: Path) -> None:
    """Two services on one folder would write over each other: the second one does not start."""
    settings = ServiceSettings(data_dir=tmp_path, http_port=0, grpc_port=0)
    first = Service(settings, Jobs())
    await first.start()
    with pytest.raises(SettingsError, match="Another sbatch API uses the folder"):
        await Service(settings, Jobs()).start()
    await first.stop()
    await first.start()
    await first.stop()


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The second service on a port says so and leaves nothing behind."""
    first = Service(ServiceSettings(data_dir=tmp_path / "a", http_port=0, grpc_port=0), Jobs())
    await first.start()
    for http, rpc in ((first.http_port, 0), (0, first.grpc_port)):
        settings = ServiceSettings(data_dir=tmp_path / "b", http_port=http, grpc_port=rpc)
        second = Service(settings, Jobs())
        with pytest.raises(SettingsError, match="cannot listen on"):
            await second.start()
    await first.stop()
    again = Service(first.settings.model_copy(update={"http_port": first.http_port}), Jobs())
    await again.start()
    await again.stop()
