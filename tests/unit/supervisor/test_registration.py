"""What a provider puts on chain, and when."""

from __future__ import annotations

import asyncio
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsq.core.errors import ContractError
from dsq.core.metascheduler.matching import MAX_MINUTES_LABEL
from dsq.core.model import Label, ProviderHardware
from dsq.supervisor.benchmark.store import Result
from dsq.supervisor.registration import Registration, main_gpu, wanted
from dsq.supervisor.scheduler.port import ClusterInfo, Node
from dsq.supervisor.settings import normalise
from tests.support.provider import Provider, provider, settings
from tests.support.virtual import run_virtual

INFO = ClusterInfo(
    (
        Node("n2", 8, 32_000, gpus=2, gpu_type="A100 SXM"),
        Node("n1", 4, 16_000),
    ),
    "main",
    60,
    "slurm 22.05.8",
)


def test_hardware_prices_and_labels(tmp_path: Path) -> None:
    """Nodes in the order of their names; discovered labels below the operator's."""
    target = wanted(INFO, settings(tmp_path))
    assert target.hardware == ProviderHardware((0, 2), (4, 8), (16_000, 32_000))
    assert target.prices.cpu_per_min == 95 * 10**16
    assert {label.key: label.value for label in target.labels} == {
        "arch": normalise(platform.machine()),
        "gpu": "a100-sxm",
        "gpu.a100-sxm": "2",
        "max-minutes": "60",
        "name": "gaia",
        "os": "linux",
        "slurm.version": "22.05.8",
    }
    assert list(target.labels) == sorted(target.labels)


def test_the_operators_labels_win(tmp_path: Path) -> None:
    """He may call his GPU and his machine what he likes."""
    own = settings(tmp_path).model_copy(update={"labels": {"gpu": "H100", "Region": "eu"}})
    labels = {label.key: label.value for label in wanted(INFO, own).labels}
    assert labels["gpu"] == "h100"
    assert labels["region"] == "eu"


def test_what_jobs_may_ask_for_is_among_the_labels(tmp_path: Path) -> None:
    """The longest limit under the name that matching knows, features and GPU types counted;
    what was measured stands over what was discovered."""
    nodes = (
        Node("n1", 4, 16_000, 4, "a100", features=("ib", "avx512")),
        Node("n2", 4, 16_000, 1, "v100", features=("ib",)),
    )
    info = replace(INFO, nodes=nodes, max_minutes=600)
    measured = {"gpu": "nvidia-a100-sxm4-40gb", "apptainer.version": "1.3.4"}
    own = settings(tmp_path, max_minutes=90)
    found = {label.key: label.value for label in wanted(info, own, measured).labels}
    assert found[MAX_MINUTES_LABEL] == "90"
    assert (found["feature.ib"], found["feature.avx512"]) == ("2", "1")
    assert (found["gpu.a100"], found["gpu.v100"]) == ("4", "1")
    assert (found["gpu"], found["apptainer.version"]) == ("nvidia-a100-sxm4-40gb", "1.3.4")


def test_a_remote_cluster_is_not_described_by_this_machine(tmp_path: Path) -> None:
    """Over SSH the architecture here says nothing about the nodes there."""
    remote = settings(tmp_path, kind="ssh", host="login.example.org")
    keys = {label.key for label in wanted(INFO, remote).labels}
    assert "arch" not in keys
    assert "gpu" in keys


def test_the_gpu_label_is_the_type_of_most_gpus() -> None:
    """Counted over the nodes; "" where there are none."""
    nodes = (Node("a", 1, 1, 1, "v100"), Node("b", 1, 1, 4, "a100"), Node("c", 1, 1, 1, "v100"))
    assert main_gpu(nodes) == "a100"
    assert main_gpu((Node("a", 1, 1),)) == ""


def run(tmp_path: Path, story: Any) -> None:
    async def main() -> None:
        async with provider(tmp_path) as made:
            await story(made)

    run_virtual(main())


def test_it_registers_once_and_not_again_while_it_waits(tmp_path: Path) -> None:
    """The approved record differs: one registration; a restart with the proposal sends none."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(200)
        assert p.chain.registrations == 1
        assert p.agent is not None
        assert "waits for the grid's approval" in p.agent.registrar.state
        await p.stop()
        p.start()
        await asyncio.sleep(200)
        assert p.chain.registrations == 1
        p.chain.approve()
        await asyncio.sleep(100)
        assert p.agent.registrar.state == "approved"
        assert p.chain.registrations == 1

    run(tmp_path, story)


def test_changed_prices_are_registered_at_the_next_start(tmp_path: Path) -> None:
    """Only what changed is a reason."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(10)
        p.chain.approve()
        await p.stop()
        prices = p.settings.prices.model_copy(update={"cpu_per_min": "2"})
        p.settings = p.settings.model_copy(update={"prices": prices})
        p.start()
        await asyncio.sleep(30)
        assert p.chain.registrations == 2
        assert p.chain.proposal_record.prices.cpu_per_min == 2 * 10**18

    run(tmp_path, story)


def test_a_node_that_reboots_is_no_news(tmp_path: Path) -> None:
    """Gone for one discovery: nothing; gone for good: registered."""

    async def story(p: Provider) -> None:
        await asyncio.sleep(10)
        p.chain.approve()
        discover = p.slurm.discover
        nodes = 1

        async def fewer() -> ClusterInfo:
            info = await discover()
            return replace(info, nodes=info.nodes[:nodes])

        p.slurm.discover = fewer  # type: ignore[method-assign]
        await asyncio.sleep(400)
        nodes = 2
        await asyncio.sleep(400)
        assert p.chain.registrations == 1
        nodes = 1
        await asyncio.sleep(1200)
        assert p.chain.registrations == 2

    run(tmp_path, story)


class SlowBenchmarks:
    """Stands in for the small job: takes its time, then knows the CPU."""

    def __init__(self, p: Provider, seconds: float, labels: dict[str, str]) -> None:
        self.p = p
        self.seconds = seconds
        self.labels = labels
        self.runs = 0

    def due(self, info: ClusterInfo, *, force: bool = False) -> list[str]:
        return [] if self.runs else ["machine"]

    async def run(self, kinds: list[str], info: ClusterInfo) -> None:
        self.runs += 1
        await asyncio.sleep(self.seconds)
        assert self.p.agent is not None
        result = Result(self.p.world.clock.now(), "h", self.labels, "", can_raise_limit=False)
        self.p.agent.registrar.results.put("machine", result)


def with_benchmarks(p: Provider, seconds: float) -> SlowBenchmarks:
    """Starts the provider anew with the small job switched on."""
    probe = p.settings.benchmark.model_copy(update={"probe": True})
    p.settings = p.settings.model_copy(update={"benchmark": probe})
    agent = p.start()
    made = SlowBenchmarks(p, seconds, {"cpu.microarch": "x86-64-v3"})
    agent.registrar._runner = made  # type: ignore[assignment]
    return made


def test_the_first_registration_waits_for_the_small_job(tmp_path: Path) -> None:
    """Its labels are in the one registration that is sent, and what it found of the account's
    rights counts, whatever its rank says."""

    async def main() -> None:
        p = Provider(tmp_path)
        background = [
            asyncio.create_task(p.chain.mine()),
            asyncio.create_task(p.slurm.live()),
        ]
        made = with_benchmarks(p, 20.0)
        await asyncio.sleep(10)
        assert p.chain.registrations == 0
        assert p.agent is not None
        assert "looks at a compute node" in p.agent.registrar.state
        await asyncio.sleep(60)
        assert (made.runs, p.chain.registrations) == (1, 1)
        keys = {label.key for label in p.chain.proposal_record.labels}
        assert "cpu.microarch" in keys
        assert p.agent.registrar.can_raise_limit is False
        await p.stop()
        for task in background:
            task.cancel()

    run_virtual(main())


def test_a_small_job_that_never_ends_holds_nothing_up(tmp_path: Path) -> None:
    """After a minute and a half the provider registers without it, and a stop is no slower."""

    async def main() -> None:
        p = Provider(tmp_path)
        background = [
            asyncio.create_task(p.chain.mine()),
            asyncio.create_task(p.slurm.live()),
        ]
        with_benchmarks(p, 1e6)
        await asyncio.sleep(120)
        assert p.chain.registrations == 1
        assert await p.stop() < 5
        for task in background:
            task.cancel()

    run_virtual(main())


def test_a_refused_registration_stops_nothing(tmp_path: Path) -> None:
    """Banned: it says so, and jobs go on being settled."""

    async def story(p: Provider) -> None:
        def banned(*_: Any) -> Any:
            raise ContractError("The provider is banned.", name="Banned")

        p.chain.on_register = banned  # type: ignore[method-assign]
        job_id = p.chain.request(script="seconds=5")
        p.chain.offer(job_id)
        await p.until_over(job_id)
        assert p.agent is not None
        assert "banned" in p.agent.registrar.state

    run(tmp_path, story)


def test_a_registration_is_compared_without_the_order_of_its_labels() -> None:
    """The chain may list them otherwise."""
    from tests.support.fakes import FakeChain, World

    record = FakeChain(World()).provider_record
    labels = (Label("b", "2"), Label("a", "1"))
    turned = replace(record, labels=labels[::-1])
    assert Registration.of(replace(record, labels=labels)) == Registration.of(turned)
