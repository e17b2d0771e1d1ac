"""Telling the grid what this provider has: hardware, labels, prices; and keeping it true.

Nothing waits for the operator's approval: claiming begins when the chain says that the
provider is valid. A registration is sent only if it would change something, compared
with the proposal that waits, else with the approved record.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsq.core.errors import ContractError, DsqError
from dsq.core.metascheduler.matching import MAX_MINUTES_LABEL
from dsq.core.model import Label, Provider, ProviderHardware, ProviderPrices
from dsq.supervisor.benchmark.kinds import MACHINE, node_features
from dsq.supervisor.benchmark.runner import PROBE_START_SECONDS, BenchmarkRunner
from dsq.supervisor.benchmark.store import ResultStore
from dsq.supervisor.capacity import Room
from dsq.supervisor.poller import Poller
from dsq.supervisor.scheduler.port import ClusterInfo, Node
from dsq.supervisor.services import Services
from dsq.supervisor.settings import ProviderSettings, normalise
from dsq.supervisor.waiting import Waker, bounded

log = logging.getLogger("dsq.supervisor.registration")

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0
STEADY_LOOKS = 2
"""While the provider is registered, changed hardware counts after so many discoveries in
a row: a node that reboots is no news for the grid."""


PROBE_SECONDS = PROBE_START_SECONDS + 30.0
"""The first registration waits so long for the small job's results."""

BENCHMARK_SECONDS = 300.0
"""Between looks whether a benchmark is due."""

KEY_BYTES, VALUE_BYTES, MOST_FEATURES = 128, 512, 32
"""What the contracts take of a label; features beside everything else."""


CANNOT_RAISE = (
    "top-ups cannot lengthen running jobs: the account on the cluster may not raise limits; "
    "credits of such top-ups come back "
    "(remedy: sacctmgr modify user NAME set adminlevel=operator)"
)
"""What is said where the account is neither operator nor root."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What is put on chain."""

    hardware: ProviderHardware
    prices: ProviderPrices
    labels: tuple[Label, ...]

    @classmethod
    def of(cls, provider: Provider) -> Registration:
        """What a record on chain says; labels in the order of their keys."""
        return cls(provider.hardware, provider.prices, tuple(sorted(provider.labels)))


def wanted(
    info: ClusterInfo, settings: ProviderSettings, measured: Mapping[str, str] | None = None
) -> Registration:
    """What this provider should have on chain.

    Args:
        info: The cluster.
        settings: Prices, limits, the operator's labels.
        measured: Labels that benchmarks gave.
    """
    nodes = sorted(info.nodes, key=lambda node: node.name)
    return Registration(
        hardware=ProviderHardware(
            gpus_per_node=tuple(node.gpus for node in nodes),
            cpus_per_node=tuple(node.cpus for node in nodes),
            mem_per_node=tuple(node.mem_mb for node in nodes),
        ),
        prices=settings.prices.wei,
        labels=labels(info, settings, measured),
    )


def labels(
    info: ClusterInfo, settings: ProviderSettings, measured: Mapping[str, str] | None = None
) -> tuple[Label, ...]:
    """Measured labels over discovered ones, the operator's over both; sorted by key.

    What the grid's contracts would refuse is cut off: values at :data:`VALUE_BYTES`, and
    features that come last where there are more than :data:`MOST_FEATURES`.
    """
    found = discovered_labels(info, here=settings.cluster.kind != "ssh")
    found.update(measured or {})
    cap = [cap for cap in (info.max_minutes, settings.max_minutes) if cap]
    if cap:
        found[MAX_MINUTES_LABEL] = str(min(cap))
    found = {key: value[:VALUE_BYTES].rstrip("-") for key, value in found.items()}
    found.update((label.key, label.value) for label in settings.operator_labels)
    return tuple(Label(key, value) for key, value in sorted(found.items()))


def discovered_labels(info: ClusterInfo, *, here: bool) -> dict[str, str]:
    """What the cluster tells about itself.

    Args:
        info: The cluster.
        here: It is this machine, or one like it: then system and architecture are known.
    """
    found: dict[str, str] = {}
    if here:
        found["os"] = normalise(platform.system())
        found["arch"] = normalise(platform.machine())
    if kind := main_gpu(info.nodes):
        found["gpu"] = normalise(kind)
    for kind, count in gpu_counts(info.nodes).items():
        found[f"gpu.{normalise(kind)}"] = str(count)
    features = node_features(info.nodes)
    for feature in sorted(features, key=lambda name: (-features[name], name))[:MOST_FEATURES]:
        if normalise(feature):
            found[f"feature.{normalise(feature)}"] = str(features[feature])
    name, _, version = info.version.partition(" ")
    if name == "slurm" and version:
        found["slurm.version"] = normalise(version)
    return {key[:KEY_BYTES]: value for key, value in found.items() if value}


def gpu_counts(nodes: tuple[Node, ...]) -> Counter[str]:
    """GPUs of each type that has a name."""
    counts: Counter[str] = Counter()
    for node in nodes:
        if node.gpus and node.gpu_type:
            counts[node.gpu_type] += node.gpus
    return counts


def main_gpu(nodes: tuple[Node, ...]) -> str:
    """The type of most GPUs, "" without GPUs."""
    counts = gpu_counts(nodes)
    return min(counts, key=lambda kind: (-counts[kind], kind), default="")


class Registrar:
    """Registers, and keeps the provider's records as the chain has them.

    Attributes:
        provider: The approved record, empty before there is one; None before it was read.
        proposal: What waits for approval, None if nothing does.
        room: The approved hardware, None without an approved record.
        can_raise_limit: Whether top-ups can lengthen running jobs; None before it is known.
        state: Words for the screen.
    """

    def __init__(
        self,
        services: Services,
        settings: ProviderSettings,
        poller: Poller,
        *,
        on_record: Callable[[], None],
    ) -> None:
        self._s = services
        self._settings = settings
        self._poller = poller
        self._on_record = on_record
        self._seen_change: tuple[Registration, ClusterInfo] | None = None
        self._looks = 0
        self._is_first = True
        self.results = ResultStore(settings.state_dir)
        self._runner = BenchmarkRunner(
            services.scheduler,
            settings.probe_settings,
            self.results,
            env=settings.job_environment,
            clock=services.clock,
        )
        self._measuring: asyncio.Task[None] | None = None
        self._measure_at = float("-inf")
        self._measure_since = 0.0
        self.waker = Waker()
        self.provider: Provider | None = None
        self.proposal: Provider | None = None
        self.room: Room | None = None
        self.can_raise_limit: bool | None = None
        self.native_balance: int | None = None
        self._is_broke = False
        self.credit_balance: int | None = None
        self.state = "not registered yet"

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Registers when there is reason to, until the agent stops."""
        try:
            await self._run(is_stopping)
        finally:
            if self._measuring is not None:
                self._measuring.cancel()
                await asyncio.wait([self._measuring], timeout=2.0)

    async def _run(self, is_stopping: Callable[[], bool]) -> None:
        while not is_stopping():
            pause = RETRY_SECONDS
            try:
                if await self.look():
                    pause = REFRESH_SECONDS
            except ContractError as error:
                self._say(f"the grid refuses the registration: {error}")
                pause = REFRESH_SECONDS
            except DsqError as error:
                self._say(f"registration waits: {error}")
            except Exception:
                log.exception("registration=failed")
            if self._poller.info is None:
                pause = min(pause, 1.0)
            await self.waker.pause(pause)

    def _say(self, words: str) -> None:
        if words != self.state:
            log.info("registration: %s", words)
            self.state = words

    async def look(self) -> bool:
        """Reads the records, registers if they differ. Returns False before discovery."""
        await self._read()
        info = self._poller.info
        if info is None:
            self._say("waits for the cluster")
            self._on_record()
            return False
        if await self._is_probing(info):
            self._say("looks at a compute node first")
            self._on_record()
            return False
        await self._learn_rights()
        self._on_record()
        target = wanted(info, self._settings, self.results.labels())
        if not target.hardware.nodes:
            self._say("the cluster has no usable node; nothing to register")
            return True
        if self._differs(target, info):
            await self._register(target)
            await self._read()
            self._on_record()
        else:
            self._say(self._standing())
        self._is_first = False
        return True

    async def _is_probing(self, info: ClusterInfo) -> bool:
        """Starts what is to be measured; True while the first registration waits for it.

        It waits for the small job alone, and not for ever: what takes longer is registered
        as a change.
        """
        now = self._s.clock.monotonic()
        is_running = self._measuring is not None and not self._measuring.done()
        if not is_running and now >= self._measure_at and info.nodes:
            self._measure_at = now + BENCHMARK_SECONDS
            if kinds := self._runner.due(info):
                self._measure_since, is_running = now, True
                work = self._measure(kinds, info)
                self._measuring = asyncio.create_task(work, name="dsq-benchmark")
        is_known = self.results.get(MACHINE) is not None
        return (
            self._is_first
            and is_running
            and self._settings.probe_settings.probe
            and not is_known
            and now - self._measure_since < PROBE_SECONDS
        )

    async def _measure(self, kinds: list[str], info: ClusterInfo) -> None:
        for kind in kinds:
            try:
                await self._runner.run([kind], info)
            except DsqError as error:
                log.warning("benchmark=%s failed=%r", kind, str(error))
            except Exception:
                log.exception("benchmark=%s failed", kind)
            self.waker.set()

    async def _learn_rights(self) -> None:
        """Whether limits can be raised: tried on a real job, else by the account's rank."""
        probe = self.results.get(MACHINE)
        tried = probe.can_raise_limit if probe is not None else None
        if tried is None and self.can_raise_limit is not None:
            return
        before = self.can_raise_limit
        if tried is None:
            tried = await bounded(self._s.scheduler.can_raise_limit(), "The cluster")
        self.can_raise_limit = tried
        if tried is False and before is not False:
            log.warning("%s", CANNOT_RAISE)

    async def _read(self) -> None:
        me, chain = self._s.me, self._s.chain
        provider = await bounded(chain.provider(me), "The chain")
        proposal = await bounded(chain.proposal(me), "The chain")
        self.provider = provider
        self.proposal = proposal if proposal.is_waiting else None
        self.room = Room.of_hardware(provider.hardware) if provider.is_approved else None
        self.native_balance = await bounded(chain.native_balance(me), "The chain")
        self.credit_balance = await bounded(chain.balance(me), "The chain")
        if self.native_balance == 0 and not self._is_broke:
            log.warning("the provider's account has no coins for gas: send some to %s", me)
        self._is_broke = self.native_balance == 0

    def _differs(self, target: Registration, info: ClusterInfo) -> bool:
        standing = self.proposal or self.provider
        if standing is None or not (standing.is_approved or standing.is_waiting):
            return True
        if Registration.of(standing) == target:
            self._seen_change = None
            return False
        if self._is_first:
            return True
        # A change at run time: count discoveries, not looks.
        if self._seen_change is None or self._seen_change[0] != target:
            self._seen_change, self._looks = (target, info), 1
        elif self._seen_change[1] is not info:
            self._seen_change, self._looks = (target, info), self._looks + 1
        return self._looks >= STEADY_LOOKS

    async def _register(self, target: Registration) -> None:
        call = self._s.chain.calls.register(target.hardware, target.prices, target.labels)
        await self._s.txs.send(call)
        self._seen_change = None
        self._say(f"registered {target.hardware.nodes} nodes; waits for the grid's approval")

    def _standing(self) -> str:
        provider = self.provider
        if provider is not None and provider.is_banned:
            return "banned by the grid"
        if self.proposal is not None:
            change = "a change waits" if provider and provider.is_approved else "waits"
            return f"{change} for the grid's approval"
        return "approved"
