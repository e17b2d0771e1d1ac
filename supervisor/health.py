"""Metrics, health and readiness over HTTP, for the machines that watch this one.

``/health`` says that the process works: its loop turns. ``/ready`` says that jobs can be taken
and settled: chain and cluster answer, and the grid has approved the provider. ``/metrics`` is
Prometheus's. Nothing here changes anything, and no secret is in it; still it listens on
loopback unless the settings say otherwise.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dsq.core.errors import SettingsError
from dsq.supervisor.metrics import Metrics

if TYPE_CHECKING:
    from dsq.supervisor.agent import Agent

log = logging.getLogger("dsq.supervisor.health")

DEFAULT_LISTEN = "127.0.0.1:3003"
NEEDED = ("chain", "cluster")
"""Services without which no job can be taken or settled. Without the others jobs are, later."""

PATHS = ("/health", "/ready", "/metrics")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def health(agent: Agent) -> dict[str, Any]:
    """What ``/health`` answers."""
    return {
        "address": str(agent.services.me),
        "mode": str(agent.mode),
        "open_jobs": len(agent.services.journal.open_records()),
        "status": "degraded" if silent(agent) else "ok",
    }


def silent(agent: Agent) -> dict[str, str]:
    """The services that do not answer, and why."""
    return {one.name: one.detail for one in agent.services.health.all() if one.ok is False}


def readiness(agent: Agent) -> dict[str, Any]:
    """What ``/ready`` answers: ``ready``, in ``reasons`` what is missing for it.

    In ``degraded`` stands what else does not answer: jobs are taken, but some wait for it.
    """
    services = {one.name: one for one in agent.services.health.all()}
    reasons = [
        f"{name}: {services[name].detail or 'not asked yet'}"
        for name in NEEDED
        if services[name].ok is not True
    ]
    provider = agent.registrar.provider
    if provider is None or not provider.is_valid:
        reasons.append(f"registration: {agent.registrar.state}")
    if str(agent.mode) == "stopping":
        reasons.append("stopping")
    return {
        "degraded": [f"{name}: {why}" for name, why in silent(agent).items() if name not in NEEDED],
        "mode": str(agent.mode),
        "ready": not reasons,
        "reasons": reasons,
        "services": {name: one.ok for name, one in services.items()},
    }


def application(agent: Agent, metrics: Metrics) -> web.Application:
    """The three pages."""

    async def get_health(_: web.Request) -> web.Response:
        return web.json_response(health(agent))

    async def get_ready(_: web.Request) -> web.Response:
        answer = readiness(agent)
        return web.json_response(answer, status=200 if answer["ready"] else 503)

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": METRICS_TYPE})

    made = web.Application()
    for path, handler in zip(PATHS, (get_health, get_ready, get_metrics), strict=True):
        made.router.add_get(path, handler)
    return made


def reason(error: OSError) -> str:
    """Why, in the system's words; asyncio's repeat the address in them."""
    known = error.errno is not None and error.errno > 0
    return os.strerror(error.errno or 0).lower() if known else str(error.strerror or error)


@contextlib.asynccontextmanager
async def served(agent: Agent, metrics: Metrics, listen: str | None) -> AsyncIterator[str]:
    """Serves the pages for the length of a ``with``; gives the address, "" if there is none.

    Args:
        agent: The agent.
        metrics: Its metrics.
        listen: ``host:port``; None for the default, which may be taken by another provider of
            this machine: then there are no pages. "" for none.

    Raises:
        SettingsError: The address that the settings name cannot be used.
    """
    text = DEFAULT_LISTEN if listen is None else listen
    if not text:
        yield ""
        return
    host, _, port = text.rpartition(":")
    runner = web.AppRunner(application(agent, metrics), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, host.strip("[]"), int(port))
            await site.start()
        except OSError as error:
            if listen is not None:
                raise SettingsError(
                    f"http.listen: {text} cannot be used: {reason(error)}.",
                    hint='Name another address, or "" for none.',
                ) from error
            log.warning("http=off listen=%s reason=%r", text, reason(error))
            yield ""
            return
        address = runner.addresses[0]
        log.info("http=on listen=%s:%d", address[0], address[1])
        yield f"{address[0]}:{address[1]}"
    finally:
        await runner.cleanup()
