"""Starting: TLS on both ports, settings that cannot work, folders and ports in use."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dsq.core.errors import SettingsError, UnreachableError
from dsq.core.rpc.graphql import GraphQLClient
from dsq.core.rpc.sbatch import SBatchClient
from dsq.core.wallet import Wallet
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import WORKFLOW, Jobs


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
    for http, grpc in ((first.http_port, 0), (0, first.grpc_port)):
        settings = ServiceSettings(data_dir=tmp_path / "b", http_port=http, grpc_port=grpc)
        second = Service(settings, Jobs())
        with pytest.raises(SettingsError, match="cannot listen on"):
            await second.start()
    await first.stop()
    again = Service(first.settings.model_copy(update={"http_port": first.http_port}), Jobs())
    await again.start()
    await again.stop()
