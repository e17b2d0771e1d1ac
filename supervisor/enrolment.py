"""What would be registered, and what that changes: for a person to look at before it is sent.

The supervisor registers by itself (:mod:`.registration`); this shows the same, measures on
request, and sends it while no supervisor runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsq.core.errors import SettingsError
from dsq.core.model import Address, Provider
from dsq.core.units import format_credits
from dsq.supervisor.benchmark.runner import BenchmarkRunner
from dsq.supervisor.benchmark.store import ResultStore
from dsq.supervisor.lock import only_supervisor
from dsq.supervisor.registration import Registration, wanted
from dsq.supervisor.scheduler.build import build_scheduler
from dsq.supervisor.scheduler.port import ClusterInfo
from dsq.supervisor.settings import ProviderSettings

if TYPE_CHECKING:
    from dsq.core.chain import Chain
    from dsq.core.wallet import Wallet

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that differs from what the chain has; "" where there is none."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.what} {self.after}"
        if not self.after:
            return f"- {self.what} {self.before}"
        return f"~ {self.what} {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What would be registered, beside what the chain has.

    Attributes:
        address: The provider.
        info: The cluster as it was found.
        target: What should be on chain.
        standing: The proposal that waits, else the approved record; None if there is neither.
        state: ``unregistered``, ``waiting``, ``approved`` or ``banned``.
        can_raise_limit: Whether top-ups can lengthen running jobs.
        failures: Benchmarks that gave nothing, with the reason.
    """

    address: Address
    info: ClusterInfo
    target: Registration
    standing: Registration | None
    state: str
    can_raise_limit: bool
    failures: dict[str, str]

    @property
    def changes(self) -> list[Change]:
        """What a registration would change, nothing if identical data is on chain."""
        return changes(self.standing, self.target)

    def as_json(self) -> dict[str, Any]:
        """As docs/provider.md describes it: stored values only, wei as strings."""
        hardware, prices = self.target.hardware, self.target.prices
        return {
            "address": str(self.address),
            "state": self.state,
            "partition": self.info.partition,
            "version": self.info.version,
            "max_minutes": self.info.max_minutes,
            "can_raise_limit": self.can_raise_limit,
            "hardware": {
                "cpus_per_node": list(hardware.cpus_per_node),
                "gpus_per_node": list(hardware.gpus_per_node),
                "mem_per_node": list(hardware.mem_per_node),
            },
            "prices": {
                "cpu_per_min": str(prices.cpu_per_min),
                "gpu_per_min": str(prices.gpu_per_min),
                "mem_per_min": str(prices.mem_per_min),
            },
            "labels": {label.key: label.value for label in self.target.labels},
            "benchmark_failures": self.failures,
            "changes": [
                {"what": one.what, "before": one.before or None, "after": one.after or None}
                for one in self.changes
            ],
        }


def facts(registration: Registration) -> dict[str, str]:
    """A registration as words, for comparing."""
    hardware, prices = registration.hardware, registration.prices
    nodes = zip(hardware.cpus_per_node, hardware.mem_per_node, hardware.gpus_per_node, strict=True)
    counts: dict[str, int] = {}
    for cpus, mem, gpus in nodes:
        shape = f"of {cpus} CPUs, {mem} MB" + (f", {gpus} GPUs" if gpus else "")
        counts[shape] = counts.get(shape, 0) + 1
    return {
        **{f"nodes {shape}": str(count) for shape, count in sorted(counts.items())},
        "price of a CPU": format_credits(prices.cpu_per_min),
        "price of a GPU": format_credits(prices.gpu_per_min),
        "price of a MB": format_credits(prices.mem_per_min),
        **{f"label {label.key}": label.value for label in registration.labels},
    }


def changes(standing: Registration | None, target: Registration) -> list[Change]:
    """What differs; the order of nodes and labels does not count as a difference in words."""
    before = facts(standing) if standing is not None else {}
    after = facts(target)
    names = [*after, *(name for name in before if name not in after)]
    found = [Change(name, before.get(name, ""), after.get(name, "")) for name in names]
    found = [one for one in found if one.before != one.after]
    if not found and standing != target:
        found = [Change("order of the nodes", "as registered", "as found")]
    return found


def standing_of(provider: Provider, proposal: Provider) -> tuple[Registration | None, str]:
    """What counts on chain, and how it stands."""
    if provider.is_banned:
        return Registration.of(provider), "banned"
    if proposal.is_waiting:
        return Registration.of(proposal), "waiting"
    if provider.is_approved:
        return Registration.of(provider), "approved"
    return None, "unregistered"


async def enrol(
    settings: ProviderSettings,
    chain: Chain,
    address: Address,
    *,
    benchmark: bool = False,
    say: Say | None = None,
) -> Enrolment:
    """Looks at the cluster and at the chain; measures what is due, or all of it.

    Args:
        settings: The provider's settings.
        chain: The grid.
        address: The provider.
        benchmark: Run every kind of benchmark now, also those not due.
        say: Told what is being done.

    Raises:
        UnreachableError: Cluster or chain do not answer.
        SettingsError: The cluster has no usable node.
    """
    scheduler = build_scheduler(settings)
    store = ResultStore(settings.state_dir)
    try:
        info = await scheduler.discover()
        if not info.nodes:
            raise SettingsError(f"The partition '{info.partition}' has no usable node.")
        runner = BenchmarkRunner(
            scheduler, settings.probe_settings, store, env=settings.job_environment, say=say
        )
        await runner.run(runner.due(info, force=benchmark), info)
        probe = store.get("machine")
        raised = probe.can_raise_limit if probe is not None else None
        if raised is None:
            raised = await scheduler.can_raise_limit()
    finally:
        await scheduler.close()
    standing, state = standing_of(await chain.provider(address), await chain.proposal(address))
    return Enrolment(
        address=address,
        info=info,
        target=wanted(info, settings, store.labels()),
        standing=standing,
        state=state,
        can_raise_limit=raised,
        failures={kind: one.error for kind, one in store.all().items() if one.error},
    )


@contextlib.asynccontextmanager
async def connected(settings: ProviderSettings) -> AsyncIterator[Chain]:
    """The grid's chain, closed after the ``with``."""
    from dsq.core.chain import Chain

    chain = await Chain.connect(
        settings.chain.endpoints,
        chain_id=settings.chain.chain_id,
        metascheduler=settings.chain.metascheduler_address,
    )
    try:
        yield chain
    finally:
        await chain.close()


async def send(settings: ProviderSettings, chain: Chain, wallet: Wallet, found: Enrolment) -> None:
    """Registers what was found; waits until it is mined.

    Raises:
        AnotherSupervisorError: A supervisor with this key runs; it registers by itself.
        ContractError: The grid refuses.
    """
    from dsq.core.chain import Sender

    contract = settings.chain.metascheduler_address
    with only_supervisor(settings.state_dir, settings.chain.chain_id, contract, wallet.address):
        sender = Sender(chain, wallet, store=settings.state_dir / "tx.db")
        await sender.start()
        try:
            target = found.target
            await sender.send(chain.calls.register(target.hardware, target.prices, target.labels))
        finally:
            await sender.close()
