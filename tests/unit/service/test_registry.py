"""Look-ups of images in a registry that answers as real ones do, on a socket of this machine."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dsq.core.errors import WorkflowError
from dsq.core.rpc.graphql import GraphQLClient
from dsq.sbatch.model import ContainerRun, Workflow
from dsq.sbatch.outbound import OutboundPolicy
from dsq.sbatch.service.prepare import Preparation
from dsq.sbatch.service.registry import (
    DOCKER_HUB,
    ImageName,
    NoSuchImageError,
    Registries,
    may_have_password,
)
from dsq.sbatch.service.serve import Service
from dsq.sbatch.service.settings import ServiceSettings
from tests.unit.service.support import WORKFLOW, Jobs, TestClock

DIGEST, LIST_DIGEST, CONFIG = (f"sha256:{letter * 64}" for letter in "abc")
USER, PASSWORD = "ann", "pa:ss"


class FakeRegistry:
    """``/v2`` with tokens, lists of platforms and config blobs."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.passwords: list[str] = []
        self.login = "bearer"
        self.broken: Any = None
        self.folder: Any = "/data"
        self.port = 0

    async def serve(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", self.manifest)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", self.blob)
        app.router.add_get("/token", self.token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def _refuse(self, request: web.Request) -> web.Response | None:
        self.asked.append(request.path)
        given = request.headers.get("authorization", "")
        name = request.match_info["name"]
        if self.login == "bearer":
            challenge = (
                f'Bearer realm="http://{self.host}/token",service="a service",'
                f'scope="repository:{name}:pull,push"'
            )
            allowed = given == f"Bearer token-of-repository:{name}:pull,push"
        else:
            challenge = 'Basic realm="here"'
            allowed = given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if allowed and (name != "private/image" or self.passwords or self.login == "basic"):
            return None
        return web.Response(status=401, headers={"www-authenticate": challenge})

    async def token(self, request: web.Request) -> web.Response:
        if given := request.headers.get("authorization"):
            self.passwords.append(base64.b64decode(given.split()[1]).decode())
        assert request.query["service"] == "a service"
        return web.json_response({"access_token": f"token-of-{request.query['scope']}"})

    async def manifest(self, request: web.Request) -> web.Response:
        if refusal := self._refuse(request):
            return refusal
        if self.broken is not None:
            status, body = self.broken
            return web.Response(status=status, body=body)
        reference, name = request.match_info["reference"], request.match_info["name"]
        if name == "no/image" or reference == "none":
            return web.json_response({"errors": []}, status=404)
        if reference == "single" or reference == DIGEST:
            return web.json_response({"config": {"digest": CONFIG}})
        arm = {"digest": LIST_DIGEST, "platform": {"os": "linux", "architecture": "arm64"}}
        amd = {"digest": DIGEST, "platform": {"os": "linux", "architecture": "amd64"}}
        return web.json_response({"manifests": [{}, arm, amd]})

    async def blob(self, request: web.Request) -> web.Response:
        if refusal := self._refuse(request):
            return refusal
        assert request.match_info["digest"] == CONFIG
        return web.json_response({"config": {"WorkingDir": self.folder}})


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    runner = await fake.serve()
    yield fake
    await runner.cleanup()


@pytest.fixture
def registries(registry: FakeRegistry, clock: TestClock) -> Registries:
    host = registry.host
    return Registries(OutboundPolicy(hosts=(host,), private_hosts=(host,), seconds=5), clock)


def workflow(registry: FakeRegistry, image: str, **container: Any) -> Workflow:
    run = {
        "command": "true",
        "container": {"image": image, "registry": "localhost", "apptainer": True, **container},
    }
    steps = [{"catch": [{"run": run}]}, {"run": run}]
    return Workflow.model_validate({**WORKFLOW, "steps": steps})


def folders(workflow: Workflow) -> list[str | None]:
    assert workflow.steps[0].catch is not None
    runs = [workflow.steps[0].catch[0].run, workflow.steps[1].run]
    return [run.work_dir if run else None for run in runs]


async def test_an_image_that_is_there(registry: FakeRegistry, registries: Registries) -> None:
    """Through a token, a list of platforms and a blob to the folder; once for both steps."""
    given = workflow(registry, "a/b:1")
    assert folders(await registries.complete(given)) == ["/data", "/data"]
    assert registry.asked.count("/v2/a/b/manifests/1") == 2
    assert f"/v2/a/b/manifests/{DIGEST}" in registry.asked
    before = len(registry.asked)
    assert folders(await registries.complete(given)) == ["/data", "/data"]
    assert len(registry.asked) == before


@pytest.mark.parametrize(("said", "folder"), [("", "/"), (None, "/"), ("x", "/"), ("/a b", "/a b")])
async def test_where_it_starts(
    registry: FakeRegistry, registries: Registries, said: Any, folder: str
) -> None:
    """An image that says nothing, or no path, starts in the root."""
    registry.folder = said
    assert folders(await registries.complete(workflow(registry, "a/b:single"))) == [folder] * 2


async def test_what_the_user_says_counts(registry: FakeRegistry, registries: Registries) -> None:
    """A step with workDir, and one in Enroot, stay as they are, and are looked up all the same."""
    given = workflow(registry, "a/b:single", apptainer=False)
    assert await registries.complete(given) == given
    assert registry.asked


@pytest.mark.parametrize("image", ["a/b:none", "no/image", "private/image"])
async def test_an_image_that_is_not_there(
    registry: FakeRegistry, registries: Registries, image: str
) -> None:
    """Not found, or refused although logged in as nobody: one sentence, remembered."""
    for _ in range(2):
        with pytest.raises(NoSuchImageError, match=f"no image localhost/{image}"):
            await registries.complete(workflow(registry, image))


@pytest.mark.parametrize("login", ["bearer", "basic"])
async def test_a_private_image(registry: FakeRegistry, registries: Registries, login: str) -> None:
    """The password goes to the registry's own log-in; answers to it are not shared."""
    registry.login = login
    private = workflow(registry, "private/image", username=USER, password=PASSWORD)
    assert folders(await registries.complete(private)) == ["/data", "/data"]
    assert registry.passwords == ([f"{USER}:{PASSWORD}"] if login == "bearer" else [])
    registry.passwords.clear()
    with pytest.raises(NoSuchImageError):
        await registries.complete(workflow(registry, "private/image"))


@pytest.mark.parametrize(
    "broken",
    [(500, b""), (429, b""), (200, b"no json"), (200, b"[]"), (200, b"{}"),
     (200, b'{"config": {"digest": "../../x"}}'), (200, b'{"manifests": []}'),
     (200, b"x" * (5 << 20))],
)  # fmt: skip
async def test_an_odd_answer_is_a_warning(
    registry: FakeRegistry, registries: Registries, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The job may go on: nothing is known of the image."""
    registry.broken = broken
    given = workflow(registry, "a/b")
    with caplog.at_level(logging.WARNING):
        assert await registries.complete(given) == given
    assert "registry not asked host=localhost" in caplog.text


async def test_hosts_that_are_not_listed(
    registry: FakeRegistry, clock: TestClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not asked; neither is a listed one at a private address."""
    given = workflow(registry, "a/b")
    for policy in (OutboundPolicy(hosts=("ghcr.io",)), OutboundPolicy(hosts=(registry.host,))):
        with caplog.at_level(logging.WARNING):
            assert await Registries(policy, clock).complete(given) == given
    assert caplog.text.count("registry not asked") == 2
    assert registry.asked == []


@pytest.mark.parametrize(
    ("registry_host", "login_host", "may"),
    [
        (DOCKER_HUB, "auth.docker.io", True),
        ("ghcr.io", "ghcr.io", True),
        ("nvcr.io", "authn.nvidia.com", True),
        ("registry.example.org", "evil.example.com", False),
        ("ghcr.io", "ghcr.io.evil.example", False),
        ("localhost", "127.0.0.1", False),
        ("localhost", "localhost", True),
    ],
)
def test_who_may_have_the_password(registry_host: str, login_host: str, may: bool) -> None:
    """The registry's own site."""
    assert may_have_password(registry_host, login_host) is may


@pytest.mark.parametrize(
    ("image", "registry", "name"),
    [
        ("ubuntu", None, f"{DOCKER_HUB}/library/ubuntu:latest"),
        ("ubuntu:22.04", "docker.io", f"{DOCKER_HUB}/library/ubuntu:22.04"),
        ("a/b:sha256:0f", "ghcr.io", "ghcr.io/a/b:sha256:0f"),
    ],
)
def test_names(image: str, registry: str | None, name: str) -> None:
    """As the reference reads them."""
    container = ContainerRun(image=image, registry=registry)
    assert str(ImageName.of(container)) == name


async def test_at_submit(registry: FakeRegistry, tmp_path: Path, jobs: Jobs) -> None:
    """Switched on, a missing image is refused and a present one starts in its folder."""
    settings = ServiceSettings(
        data_dir=tmp_path,
        http_port=0,
        grpc_port=0,
        registry_lookups=True,
        outbound_hosts=(registry.host,),
        outbound_private_hosts=(registry.host,),
    )
    rendered: list[Workflow] = []

    def render(workflow: Workflow) -> str:
        rendered.append(workflow)
        return "#!/bin/bash\n"

    service = Service(settings, jobs, render=render)
    await service.start()
    client = GraphQLClient(f"http://127.0.0.1:{service.http_port}/graphql")
    assert await client.submit(workflow(registry, "a/b").to_wire())
    assert folders(rendered[0]) == ["/data", "/data"]
    with pytest.raises(WorkflowError, match="There is no image"):
        await client.submit(workflow(registry, "no/image").to_wire())
    await client.close()
    await service.stop()


async def test_modules_are_not_fetched_unless_allowed(tmp_path: Path, clock: TestClock) -> None:
    """The service asks nobody by default; files of its own are never read."""
    from dsq.sbatch.service.engine import DomainError

    preparation = Preparation(ServiceSettings(data_dir=tmp_path), clock)
    for source, said in (
        ("github.com/a/b@v1", "outbound requests are off"),
        ("./etc/passwd", "only files of yours"),
    ):
        given = {**WORKFLOW, "steps": [{"use": {"source": source}}]}
        with pytest.raises(DomainError, match=said):
            await preparation.complete(Workflow.model_validate(given))
    with pytest.raises(ValueError, match="registry_lookups needs outbound_hosts"):
        ServiceSettings(data_dir=tmp_path, registry_lookups=True)
