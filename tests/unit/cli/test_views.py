"""The JSON objects."""

from __future__ import annotations

import json

from dsq.core.model import Affinity, JobCost, JobDefinition, JobStatus, JobTime, Label
from dsq.core.units import CREDIT
from dsq.core.views import job_to_dict, provider_to_dict, rfc3339

from .double import GAIA, ME, NOW, PROVIDER, job


def test_a_job_that_waits() -> None:
    """Nothing has happened yet: nulls, not zeros and not guesses."""
    shown = job_to_dict(job(41))
    assert shown == {
        "affinity": [],
        "batch_location_hash": "key",
        "cpus_per_task": 1,
        "customer": str(ME),
        "ended_at": None,
        "exit_code": None,
        "final_cost_wei": "0",
        "gpus": 0,
        "has_cancel_request": False,
        "hex_id": "0x" + "0" * 62 + "29",
        "id": 41,
        "last_error": "",
        "locked_wei": str(100 * CREDIT),
        "mem_per_cpu": 100,
        "name": "train",
        "ntasks": 1,
        "pending_top_up_wei": "0",
        "provider": None,
        "started_at": None,
        "status": "PENDING",
        "submitted_at": "2026-11-18T11:06:40Z",
        "uses": [],
    }


def test_a_job_that_ended() -> None:
    """Wei to the last digit as text, the process's exit code, times in UTC."""
    ended = job(
        7,
        JobStatus.FAILED,
        exit_status=3 << 8,
        last_error="exit code 3",
        cost=JobCost(10**24 + 1, 1, 5),
        time=JobTime(NOW, NOW + 1, NOW + 2),
        definition=JobDefinition(
            2, 3, 4, 5, uses=(Label("gpu", "a100"),), affinity=(Affinity("m", "in", "x"),)
        ),
    )
    shown = job_to_dict(ended)
    assert shown["locked_wei"] == "1000000000000000000000001"
    assert (shown["final_cost_wei"], shown["pending_top_up_wei"]) == ("1", "5")
    assert (shown["exit_code"], shown["provider"]) == (3, str(GAIA))
    assert shown["ended_at"] == "2026-11-18T11:06:42Z"
    assert (shown["uses"], shown["affinity"]) == (["gpu=a100"], ["m:in:x"])
    assert json.loads(json.dumps(shown)) == shown


def test_a_success_has_exit_code_0() -> None:
    """Zero is a value; null means not yet."""
    assert job_to_dict(job(1, JobStatus.FINISHED))["exit_code"] == 0
    assert job_to_dict(job(1, JobStatus.RUNNING))["exit_code"] is None


def test_a_provider() -> None:
    """Nodes as objects, labels as a list, prices as text."""
    shown = provider_to_dict(PROVIDER)
    assert shown["labels"][1] == {"key": "gpu", "value": "a100"}
    assert shown["cpu_wei_per_minute"] == str(CREDIT)
    assert json.loads(json.dumps(shown)) == shown


def test_times() -> None:
    """RFC 3339 in UTC; zero is not yet."""
    assert rfc3339(1_769_851_921) == "2026-01-31T09:32:01Z"
    assert rfc3339(0) is None
