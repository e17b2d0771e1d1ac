"""A provider's process as machines see it: pages, metrics, log lines, what it registered."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from dsq.core.model import JobStatus
from tests.integration.supervisor.conftest import Site

pytestmark = [pytest.mark.anvil, pytest.mark.slurm]


@pytest.mark.parametrize("cluster", ["slurm"], indirect=True)
async def test_a_providers_work_is_seen_from_outside(site: Site) -> None:
    """Ready once it is approved; a job's life in the metrics; every line of the log is an
    object, and those about the job name it; a compute node was looked at before it registered."""
    text = site.config.read_text().replace(
        "[chain]",
        '[http]\nlisten = "127.0.0.1:0"\n\n[log]\nformat = "json"\n\n[chain]',
        1,
    )
    site.config.write_text(text)
    await site.start()
    match = re.search(r"http=on listen=(127\.0\.0\.1:\d+)", site.log())
    assert match is not None, site.log()
    async with httpx.AsyncClient(base_url=f"http://{match[1]}", trust_env=False) as client:
        assert (await client.get("/health")).json()["status"] == "ok"

        async def is_ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await site.until(is_ready, "it is ready", 30)
        job_id = await site.submit("echo hello")
        job = await site.wait(job_id)
        assert job.status is JobStatus.FINISHED

        async def is_counted() -> bool:
            page = (await client.get("/metrics")).text
            return 'dsq_provider_jobs_ended_total{status="FINISHED"} 1.0' in page

        await site.until(is_counted, "the end is counted", 20)
        page = (await client.get("/metrics")).text
    assert "dsq_provider_claim_to_submit_seconds_count 1.0" in page
    assert "dsq_provider_end_to_report_seconds_count 1.0" in page
    assert re.search(r'cluster_commands_total\{program="sbatch"\} [1-9]', page)
    assert 'dsq_provider_up{service="cluster"} 1.0' in page
    assert 'dsq_chain_transactions_total{outcome="mined"}' in page
    assert re.search(r"dsq_chain_head [1-9]", page)
    assert re.search(r'dsq_chain_endpoint_current\{url="http://[^"]+"\} 1.0', page)
    labels = {label.key for label in (await site.chain.provider(site.me)).labels}
    assert {"max-minutes", "cpu.microarch", "slurm.version"} <= labels
    code, seconds = await site.stop()
    assert code == 0
    assert seconds < 8
    lines = [json.loads(line) for line in (site.folder / "provider.log").read_text().splitlines()]
    assert any(line.get("job") == job_id for line in lines)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
