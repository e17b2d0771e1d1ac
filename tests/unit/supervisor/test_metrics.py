"""What machines see of a supervisor: metrics, health, readiness, log lines, the systemd unit."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from dsq.core import errors
from dsq.core.errors import SettingsError
from dsq.supervisor.health import PATHS, health, readiness, served
from dsq.supervisor.logcontext import configure_logging, job_context
from dsq.supervisor.metrics import COUNTERS, EVENTS, GAUGES, Metrics, P
from dsq.supervisor.scheduler.stats import AccountingState
from dsq.supervisor.settings import parse_settings
from dsq.supervisor.systemd import quoted, unit
from tests.support.provider import Provider, provider, settings
from tests.support.virtual import run_virtual

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", [*GAUGES, *COUNTERS, *EVENTS])
def test_every_metric_is_in_the_reference(name: str) -> None:
    """docs/reference/metrics.md has a row for each."""
    total = "_total" if name in COUNTERS or (name in EVENTS and "seconds" not in name) else ""
    assert f"| `{P}{name}{total}` |" in (DOCS / "reference" / "metrics.md").read_text()


def test_the_reference_names_no_metric_that_is_not_there() -> None:
    """In the section of dsq-provider."""
    section = (DOCS / "reference" / "metrics.md").read_text().split("## dsq-provider")[1]
    section = section.split("\n## ")[0]
    named = set(re.findall(rf"^\| `{P}(\w+)`", section, re.M))
    assert {name.removesuffix("_total") for name in named} == {*GAUGES, *COUNTERS, *EVENTS}


def values(metrics: Metrics) -> dict[str, float]:
    """Samples as ``name{label}``."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}".removeprefix(P)] = sample.value
    return found


def test_a_jobs_life_shows_in_the_metrics(tmp_path: Path) -> None:
    """Claimed, submitted, ended and paid: counts by status, both latencies, what was earned."""

    async def story(p: Provider) -> None:
        assert p.agent is not None
        metrics = Metrics(now=p.world.clock.now)
        metrics.watch(p.agent)
        await p.until(lambda: p.chain.registrations)
        p.chain.approve()
        job_id = p.chain.request(script="seconds=90")
        p.chain.offer(job_id)
        await p.until(lambda: (record := p.record(job_id)) and record.slurm_state == "RUNNING")
        during = values(metrics)
        assert during["slurm_jobs{state=running}"] == 1
        assert during["submissions_total{}"] == 1
        assert during["up{service=chain}"] == during["up{service=cluster}"] == 1
        await p.until_over(job_id)
        after = values(metrics)
        assert after["jobs_ended_total{status=FINISHED}"] == 1
        assert after["claim_to_submit_seconds_count{}"] == 1
        assert after["end_to_report_seconds_count{}"] == 1
        assert after["end_to_report_seconds_sum{}"] < 60
        assert after["earned_credits_total{}"] > 0
        assert after["mode{mode=claiming}"] == 1
        answer = readiness(p.agent)
        assert health(p.agent)["open_jobs"] == 0
        assert answer["services"]["cluster"] is True

    async def main() -> None:
        async with provider(tmp_path) as made:
            await story(made)

    run_virtual(main())


async def test_the_pages_answer(tmp_path: Path) -> None:
    """Alive from the start; not ready, with the reasons, before anybody has answered."""
    made = Provider(tmp_path)
    agent = made.start()
    metrics = Metrics()
    metrics.watch(agent)
    reasons = readiness(agent)["reasons"]
    assert [reason.split(":")[0] for reason in reasons] == ["chain", "cluster", "registration"]
    try:
        async with served(agent, metrics, "127.0.0.1:0") as address, ClientSession() as client:
            assert address.startswith("127.0.0.1:")
            answers: dict[str, tuple[int, str]] = {}
            for path in PATHS:
                async with client.get(f"http://{address}{path}") as response:
                    answers[path] = response.status, await response.text()
        assert answers["/health"][0] == 200
        assert json.loads(answers["/health"][1])["status"] == "ok"
        answer = json.loads(answers["/ready"][1])
        assert answers["/ready"][0] == (503 if answer["reasons"] else 200)
        assert "dsq_provider_info" in answers["/metrics"][1]
    finally:
        await made.kill()


def test_silent_accounting_degrades(tmp_path: Path) -> None:
    """Jobs are taken, so it is ready; what waits for it shows, and goes again by itself."""

    async def main() -> None:
        async with provider(tmp_path) as p:
            assert p.agent is not None
            metrics = Metrics(now=p.world.clock.now)
            metrics.watch(p.agent)
            await p.until(lambda: p.chain.registrations)
            p.chain.approve()
            await asyncio.sleep(30)
            assert "accounting" not in readiness(p.agent)["services"]
            assert readiness(p.agent)["degraded"] == []
            state = AccountingState(ok=False, detail="sacct gave no answer in 20 s.")
            p.slurm.accounting = lambda: state  # type: ignore[attr-defined]
            await asyncio.sleep(30)
            answer = readiness(p.agent)
            assert answer["ready"]
            assert answer["degraded"] == ["accounting: sacct gave no answer in 20 s."]
            assert health(p.agent)["status"] == "degraded"
            assert values(metrics)["up{service=accounting}"] == 0
            assert values(metrics)["untold_jobs{}"] == 0
            state = AccountingState(ok=True)
            await asyncio.sleep(30)
            assert readiness(p.agent)["degraded"] == []
            assert health(p.agent)["status"] == "ok"
            assert values(metrics)["up{service=accounting}"] == 1

    run_virtual(main())


async def test_a_taken_address_stops_only_who_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default may belong to another provider of the machine; a named one is a mistake."""
    made = Provider(tmp_path)
    agent = made.start()
    try:
        async with served(agent, Metrics(), "127.0.0.1:0") as taken:
            with pytest.raises(SettingsError, match="http.listen"):
                async with served(agent, Metrics(), taken):
                    pass
            monkeypatch.setattr("dsq.supervisor.health.DEFAULT_LISTEN", taken)
            async with served(agent, Metrics(), None) as none:
                assert none == ""
        async with served(agent, Metrics(), "") as off:
            assert off == ""
    finally:
        await made.kill()


@pytest.mark.parametrize("style", ["text", "json"])
def test_each_line_about_a_job_names_it(style: str) -> None:
    """From the context, or from the words themselves; one line each, also with line breaks."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, levels = root.handlers[:], (root.level, logging.getLogger("dsq").level)
    try:
        configure_logging(stream=stream, style=style, level="info")
        log = logging.getLogger("dsq.supervisor.test")
        with job_context(41):
            log.info("runs in\nSlurm")
        log.info("job=42 claimed")
        log.debug("nothing")
    finally:
        root.handlers[:] = before
        root.setLevel(levels[0])
        logging.getLogger("dsq").setLevel(levels[1])
    first, second = stream.getvalue().splitlines()
    if style == "json":
        lines = [json.loads(first), json.loads(second)]
        assert [line["job"] for line in lines] == [41, 42]
        assert lines[0]["message"] == "runs in\nSlurm"
        assert set(lines[0]) == {"time", "level", "logger", "job", "message"}
    else:
        assert " job=41 runs in\\nSlurm" in first
        assert "job=42" in second


def remote(tmp_path: Path, **cluster: Any) -> Any:
    plain = settings(tmp_path).model_dump(exclude_defaults=True, mode="json")
    plain["cluster"] = {"kind": "ssh", "host": "login.example.org", **cluster}
    return parse_settings(plain, base=tmp_path, where="test")


def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
    """No mark is left open; systemd-analyze finds no fault where it is installed."""
    config = tmp_path / "my 100%.toml"
    program = tmp_path / "dsq-provider"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = unit(remote(tmp_path), program=str(program), config=config, user="dsq")
    assert "@" not in re.sub(r"@system-service", "", text)
    assert f'--config "{str(config).replace("%", "%%")}"' in text
    assert "PrivateDevices=yes" in text
    assert "KillMode=mixed" in text
    if shutil.which("systemd-analyze") is None:
        return
    path = tmp_path / "dsq-provider.service"
    path.write_text(text.replace("User=dsq", "User=daemon"))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if str(path) in line]
    assert complaints == []


def test_jobs_of_a_local_cluster_outlive_the_unit(tmp_path: Path) -> None:
    """systemd ends the supervisor alone; with another account for jobs it has to be root."""
    local = settings(tmp_path).cluster.model_copy(update={"kind": "local"})
    one = settings(tmp_path).model_copy(update={"cluster": local})
    text = unit(one, program="/bin/p", config=tmp_path / "p.toml", user="dsq")
    assert "KillMode=process" in text
    assert "PrivateDevices" not in text
    other = local.model_copy(update={"job_user": "nobody"})
    text = unit(
        one.model_copy(update={"cluster": other}), program="/bin/p", config=tmp_path, user="dsq"
    )
    assert "User=root\n" in text


def test_words_of_a_unit_are_quoted() -> None:
    """As systemd reads them; a line break would begin another setting."""
    assert quoted("/plain/path") == "/plain/path"
    assert quoted('a "b" $c %d\\') == '"a \\"b\\" $$c %%d\\\\"'
    with pytest.raises(SettingsError):
        quoted("a\nExecStart=/bin/sh")


def test_exit_codes_are_documented_as_they_are() -> None:
    """docs/provider.md has a row for each code that an error of dsq has."""
    guide = (DOCS / "provider.md").read_text().split("## Exit codes")[1]
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", guide, re.M)}
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DsqError)
    ]
    used = {kind.exit_code for kind in kinds} - {65, 79}  # workflows and credits: users alone
    assert used <= rows


def test_a_job_that_was_handed_back_is_no_end() -> None:
    """It counts by itself and has no latency."""
    from dsq.core.model import Address, JobDefinition
    from dsq.supervisor.records import JobRecord, Phase

    metrics = Metrics(now=lambda: 100.0)
    record = JobRecord(1, Address.parse("0x" + "11" * 20), JobDefinition(1, 1, 1))
    metrics.changed(None, record)
    metrics.changed(record, replace(record, phase=Phase.FINAL, handed_back=True))
    found = values(metrics)
    assert found["jobs_handed_back_total{}"] == 1
    assert found["claim_to_submit_seconds_count{}"] == 0
