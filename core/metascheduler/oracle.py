"""The oracle: what the meta-scheduler knows, over HTTP, for everybody to read.

``GET /`` the jobs on providers, ``GET /jobs/{id}`` why a job waits, ``GET /health``,
``/ready`` and ``/metrics``. docs/metascheduler.md holds their contract.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dsq.core.chain import Chain
from dsq.core.errors import DsqError, NotFoundError, UsageError
from dsq.core.metascheduler.loop import MetaScheduler
from dsq.core.metascheduler.matching import offer
from dsq.core.metascheduler.metrics import Exporter
from dsq.core.model import Job, JobStatus, Provider, job_hex_id, parse_job_id

_STANDBY = {
    "error": "This meta-scheduler stands by; another one is at work.",
    "code": "standby",
}
_STARTING = {
    "error": "This meta-scheduler has not read the chain yet; ask again in a moment.",
    "code": "starting",
}

_LAST_SECOND = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def rfc3339(seconds: float | None) -> str | None:
    """A time as RFC 3339 UTC; None stays None, and so does what no calendar holds."""
    if seconds is None or seconds >= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def placed_jobs(service: MetaScheduler) -> dict[str, dict[str, str | None]]:
    """The body of ``GET /``."""
    state = service.state
    return {
        job_hex_id(job_id): {
            "status": tracked.status.name,
            "provider": str(tracked.provider),
            "max_end": rfc3339(state.max_end(tracked)),
        }
        for job_id, tracked in sorted(state.tracked.items())
    }


def explain(service: MetaScheduler, job: Job) -> dict[str, Any]:
    """The body of ``GET /jobs/{id}``."""
    state, now = service.state, service.now()
    waiting = [one.id for one in state.waiting(now)]
    if job.status is JobStatus.PENDING and job.id not in waiting:
        waiting.append(job.id)  # The chain is a moment ahead of what we heard.
    is_waiting = job.status is JobStatus.PENDING
    rows = [
        {
            "address": str(one.provider),
            "name": one.name,
            "reason": one.reason,
            "minutes": one.minutes,
            "wei_per_minute": str(one.wei_per_minute),
            **one.details,
        }
        for one in sorted(
            (
                offer(job.definition, job.cost.max_cost, provider, _reason(service, job, provider))
                for provider in state.providers.values()
            ),
            key=lambda one: (bool(one.reason), one.wei_per_minute, one.provider),
        )
    ]
    return {
        "id": job.id,
        "hex_id": job.hex_id,
        "status": job.status.name,
        "provider": None if job.provider.is_zero else str(job.provider),
        "place": waiting.index(job.id) + 1 if is_waiting else 0,
        "of": len(waiting),
        "providers": rows,
    }


def _reason(service: MetaScheduler, job: Job, provider: Provider) -> str:
    placing = service.state.placing.get(job.id)
    if provider.address in (job.provider, placing.provider if placing else None):
        return ""  # It has the job, or is about to: the job's own load is no obstacle.
    return service.state.why_not(job, provider, service.now())


def health(service: MetaScheduler) -> dict[str, Any]:
    """The body of ``GET /health``."""
    seen, head = service.snapshot(), service.head
    status = "ok" if seen.is_hearing else "waiting for the chain"
    return {
        "status": "standby" if seen.is_standby else status,
        "block": head.number if head is not None else None,
        "heard_at": rfc3339(service.heard_at),
        "waiting": seen.waiting,
        "placed": len(service.state.tracked),
        "providers": seen.providers,
        "nodes": [
            {
                "url": one.url,
                "state": one.state.value,
                "current": one.is_current,
                "block": one.head,
                "lag": one.lag,
                "last_error": one.last_error,
            }
            for one in seen.endpoints
        ],
    }


def _unready(service: MetaScheduler) -> dict[str, str] | None:
    """What is said instead of an answer that would look like an empty grid."""
    if service.is_standby:
        return _STANDBY
    return _STARTING if service.head is None else None


def create_app(service: MetaScheduler, chain: Chain) -> Starlette:
    """The HTTP application.

    Args:
        service: The meta-scheduler whose knowledge is served.
        chain: Where jobs that have ended are looked up.
    """

    exporter = Exporter(service.snapshot)

    async def index(_request: Request) -> JSONResponse:
        if unready := _unready(service):
            return JSONResponse(unready, 503)
        return JSONResponse(placed_jobs(service))

    async def job(request: Request) -> JSONResponse:
        if unready := _unready(service):
            return JSONResponse(unready, 503)
        try:
            job_id = parse_job_id(request.path_params["job_id"])
            return JSONResponse(explain(service, await chain.job(job_id)))
        except DsqError as error:
            status = {UsageError: 400, NotFoundError: 404}.get(type(error), 503)
            return JSONResponse({"error": str(error), "code": error.code}, status)

    async def check(_request: Request) -> JSONResponse:
        body = health(service)
        return JSONResponse(body, 503 if body["status"] == "waiting for the chain" else 200)

    async def ready(_request: Request) -> JSONResponse:
        body = health(service)
        return JSONResponse({"status": body["status"]}, 200 if body["status"] == "ok" else 503)

    async def metrics(_request: Request) -> Response:
        return Response(exporter.text(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/jobs/{job_id}", job),
            Route("/health", check),
            Route("/ready", ready),
            Route("/metrics", metrics),
        ]
    )
