"""Looks images of a workflow up in their registries: are they there, and where do they start?

An image that is not there is an error at submit instead of a failed job. A registry that may
not be asked, does not answer, or answers oddly is a warning in the log: the job may know it
under another name, or have it already.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic_core import from_json

from dsq.core.clock import Clock
from dsq.core.errors import DsqError
from dsq.sbatch.crosscheck import all_steps
from dsq.sbatch.model import ContainerRun, Workflow
from dsq.sbatch.outbound import Outbound, OutboundPolicy, Reply
from dsq.sbatch.validation import check

log = logging.getLogger("dsq.sbatch.service.registry")

DOCKER_HUB = "registry-1.docker.io"
LOGIN_HOSTS = {"nvcr.io": "authn.nvidia.com"}
"""Registries that send whoever logs in to another site; with others that gets no password."""

MAX_IMAGES = 50
"""Most images of a workflow that are looked up."""

ALL_SECONDS = 30.0
"""How long all look-ups of a workflow may take together."""

KEEP_SECONDS = 600.0
"""How long an answer that needed no password is believed."""

CACHE = 1000

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)

_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


class NoSuchImageError(DsqError):
    """The registry says that there is no such image, or not for this user."""

    code = "no_such_image"


class _NoAnswer(Exception):  # noqa: N818 - an outcome
    """The registry's answer says nothing about the image."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image in a registry.

    Attributes:
        registry: Host.
        repository: Name without tag.
        reference: Tag or digest.
        user: Who asks; "" for nobody.
        password: His password.
    """

    registry: str
    repository: str
    reference: str
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, container: ContainerRun) -> ImageName:
        """The image of a container that comes from a registry."""
        registry = container.registry or DOCKER_HUB
        name, colon, reference = container.image.partition(":")
        if "docker.io" in registry and "/" not in name:
            name = f"library/{name}"
        if registry == "docker.io":
            registry = DOCKER_HUB
        user = container.username or ""
        password = container.password or ""
        known = bool(user and password)
        return cls(
            registry,
            name,
            reference if colon else "latest",
            user if known else "",
            password if known else "",
        )

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.reference}"


class Registries:
    """Looks images up, a few at once.

    Args:
        policy: Which hosts may be asked.
    """

    def __init__(self, policy: OutboundPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._places = asyncio.Semaphore(8)
        self._known: OrderedDict[tuple[str, str, str], tuple[float, str | None]] = OrderedDict()

    async def complete(self, workflow: Workflow) -> Workflow:
        """Looks all images up.

        Returns:
            The workflow; steps in Apptainer without ``workDir`` have their image's.

        Raises:
            NoSuchImageError: An image is not there.
        """
        wanted: dict[ImageName, list[tuple[str | int, ...]]] = {}
        for placed in all_steps(workflow):
            run = placed.step.run
            container = run.container if run else None
            if run is None or container is None:
                continue
            if container.image.startswith("/") or container.deepsquare_hosted:
                continue
            places = wanted.setdefault(ImageName.of(container), [])
            if container.apptainer and run.work_dir is None:
                places.append(placed.path)
        if len(wanted) > MAX_IMAGES:
            log.warning("images not looked up count=%d", len(wanted) - MAX_IMAGES)
        images = list(wanted)[:MAX_IMAGES]
        found = await asyncio.gather(*(self._folder_of(image) for image in images))
        folders = {
            path: folder
            for image, folder in zip(images, found, strict=True)
            for path in wanted[image]
            if folder
        }
        return _with_folders(workflow, folders) if folders else workflow

    async def _folder_of(self, image: ImageName) -> str:
        """Where an image starts; "" if that cannot be told."""
        key = (image.registry, image.repository, image.reference)
        at, known = self._known.get(key, (float("-inf"), ""))
        if not image.user and self._clock.monotonic() - at < KEEP_SECONDS:
            if known is None:
                raise _missing(image)
            return known
        folder: str | None = None
        try:
            async with (
                self._places,
                asyncio.timeout(ALL_SECONDS),
                Outbound(self._policy) as outbound,
            ):
                folder = await _Registry(outbound, image).folder()
        except NoSuchImageError:
            self._keep(key, image, None)
            raise
        except (DsqError, TimeoutError, _NoAnswer) as error:
            log.warning(
                "registry not asked host=%s reason=%s", image.registry, type(error).__name__
            )
            return ""
        self._keep(key, image, folder)
        return folder

    def _keep(self, key: tuple[str, str, str], image: ImageName, folder: str | None) -> None:
        if not image.user:
            self._known[key] = (self._clock.monotonic(), folder)
            while len(self._known) > CACHE:
                self._known.popitem(last=False)


class _Registry:
    """One look-up."""

    def __init__(self, outbound: Outbound, image: ImageName) -> None:
        self._outbound = outbound
        self._image = image
        self._headers: dict[str, str] = {}

    async def folder(self) -> str:
        manifest = await self._manifest(self._image.reference)
        listed = manifest.get("manifests")
        if isinstance(listed, list):
            manifest = await self._manifest(_for_amd64(listed))
        digest = _text(manifest.get("config"), "digest")
        blob = await self._get(f"blobs/{digest}", "application/json")
        config = _object(_json(blob)).get("config")
        folder = config.get("WorkingDir") if isinstance(config, dict) else None
        # Apptainer starts in the root where the image says nothing.
        return folder if isinstance(folder, str) and folder.startswith("/") else "/"

    async def _manifest(self, reference: str) -> dict[str, Any]:
        return _object(_json(await self._get(f"manifests/{reference}", ", ".join(MANIFESTS))))

    async def _get(self, path: str, accept: str) -> Reply:
        image = self._image
        url = f"{self._base()}/v2/{image.repository}/{path}"
        headers = {"accept": accept}
        reply = await self._outbound.get(url, headers={**headers, **self._headers})
        if reply.status == 401 and not self._headers:
            await self._log_in(reply.headers.get("www-authenticate", ""))
            reply = await self._outbound.get(url, headers={**headers, **self._headers})
        if reply.status in (401, 403, 404):
            raise _missing(image)
        if reply.status != 200:
            raise _NoAnswer
        return reply

    def _base(self) -> str:
        """Registries of the site itself speak plain text, and at the port that the list says:
        a workflow names no port."""
        registry = self._image.registry
        for entry in self._outbound.policy.private_hosts:
            if entry == registry or entry.startswith(f"{registry}:"):
                return f"http://{entry}"
        return f"https://{registry}"

    async def _log_in(self, challenge: str) -> None:
        scheme, _, rest = challenge.partition(" ")
        given = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _PARAMETER.findall(rest)
        }
        image = self._image
        secret = base64.b64encode(f"{image.user}:{image.password}".encode()).decode()
        if scheme.lower() == "basic":
            if not image.user:
                raise _missing(image)
            self._headers = {"authorization": f"Basic {secret}"}
            return
        realm = given.get("realm", "")
        if scheme.lower() != "bearer" or not realm:
            raise _NoAnswer
        query = {name: given[name] for name in ("service", "scope") if name in given}
        headers = {}
        if image.user and may_have_password(image.registry, urlsplit(realm).hostname or ""):
            headers["authorization"] = f"Basic {secret}"
        joint = "&" if urlsplit(realm).query else "?"
        reply = await self._outbound.get(f"{realm}{joint}{urlencode(query)}", headers=headers)
        if reply.status in (401, 403):
            raise _missing(image)
        answer = _object(_json(reply)) if reply.status == 200 else {}
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str):
            raise _NoAnswer
        self._headers = {"authorization": f"Bearer {token}"}


def may_have_password(registry: str, login_host: str) -> bool:
    """Tells whether a registry's password may go to the host where it wants a log-in.

    A registry is named by whoever submits, but its answer could name anybody.
    """
    host = registry.partition(":")[0].lower()
    if login_host in (host, LOGIN_HOSTS.get(host)):
        return True
    return host.count(".") >= 1 and login_host.split(".")[-2:] == host.split(".")[-2:]


def _with_folders(workflow: Workflow, folders: Mapping[tuple[str | int, ...], str]) -> Workflow:
    wire: Any = workflow.to_wire()
    for path, folder in folders.items():
        step = wire
        for part in path:
            step = step[part]
        step["run"]["workDir"] = folder
    # An image may say nonsense: then none of them counts.
    return check(Workflow, wire)[0] or workflow


def _missing(image: ImageName) -> NoSuchImageError:
    return NoSuchImageError(
        f"There is no image {image}, or it is not for this user.",
        hint="Check name, tag and registry, and 'username' and 'password' for a private one.",
    )


def _for_amd64(manifests: list[Any]) -> str:
    for manifest in manifests:
        platform = manifest.get("platform") if isinstance(manifest, dict) else None
        if isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == (
            "linux",
            "amd64",
        ):
            return _text(manifest, "digest")
    raise _NoAnswer


def _json(reply: Reply) -> Any:
    try:
        return from_json(reply.body)
    except ValueError:
        raise _NoAnswer from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _NoAnswer
    return value


def _text(value: Any, name: str) -> str:
    found = _object(value).get(name)
    if not isinstance(found, str) or not re.fullmatch(r"[a-z0-9+._-]+:[0-9a-zA-Z=_-]+", found):
        raise _NoAnswer
    return found
