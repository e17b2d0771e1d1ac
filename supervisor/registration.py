"""Telling the grid what this provider has: hardware, labels, prices; and keeping it true.

Nothing waits for the operator's approval: claiming begins when the chain says that the
provider is valid. A registration is sent only if it would change something, compared
with the proposal that waits, else with the approved record.
"""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dsq.core.errors import ContractError, DsqError
from dsq.core.model import Label, Provider, ProviderHardware, ProviderPrices
from dsq.supervisor.capacity import Room
from dsq.supervisor.poller import Poller
from dsq.supervisor.scheduler.port import ClusterInfo, Node
from dsq.supervisor.services import Services, Waker, bounded
from dsq.supervisor.settings import ProviderSettings, normalise

log = logging.getLogger("dsq.supervisor.registration")

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0
STEADY_LOOKS = 2
"""While the provider is registered, changed hardware counts after so many discoveries in
a row: a node that reboots is no news for the grid."""


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


def wanted(info: ClusterInfo, settings: ProviderSettings) -> Registration:
    """What this provider should have on chain."""
    nodes = sorted(info.nodes, key=lambda node: node.name)
    return Registration(
        hardware=ProviderHardware(
            gpus_per_node=tuple(node.gpus for node in nodes),
            cpus_per_node=tuple(node.cpus for node in nodes),
            mem_per_node=tuple(node.mem_mb for node in nodes),
        ),
        prices=settings.prices.wei,
        labels=labels(info, settings),
    )


def labels(info: ClusterInfo, settings: ProviderSettings) -> tuple[Label, ...]:
    """Discovered labels under the operator's, which win; sorted by key."""
    found = discovered_labels(info, here=settings.cluster.kind != "ssh")
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
    name, _, version = info.version.partition(" ")
    if name == "slurm" and version:
        found["slurm.version"] = normalise(version)
    return {key: value for key, value in found.items() if value}


def main_gpu(nodes: tuple[Node, ...]) -> str:
    """The type of most GPUs, "" without GPUs."""
    counts: Counter[str] = Counter()
    for node in nodes:
        if node.gpus and node.gpu_type:
            counts[node.gpu_type] += node.gpus
    return min(counts, key=lambda kind: (-counts[kind], kind), default="")


class Registrar:
    """Registers, and keeps the provider's records as the chain has them.

    Attributes:
        provider: The approved record, empty before there is one; None before it was read.
        proposal: What waits for approval, None if nothing does.
        room: The approved hardware, None without an approved record.
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
        self.waker = Waker()
        self.provider: Provider | None = None
        self.proposal: Provider | None = None
        self.room: Room | None = None
        self.can_raise_limit: bool | None = None
        self.native_balance: int | None = None
        self.credit_balance: int | None = None
        self.state = "not registered yet"

    async def run(self, is_stopping: Callable[[], bool]) -> None:
        """Registers when there is reason to, until the agent stops."""
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
        if self.can_raise_limit is None:
            self.can_raise_limit = await bounded(self._s.scheduler.can_raise_limit(), "The cluster")
            if not self.can_raise_limit:
                log.warning(
                    "top-ups cannot lengthen running jobs: the account on the cluster may not "
                    "raise limits (make it an operator of Slurm's accounting)"
                )
        self._on_record()
        target = wanted(info, self._settings)
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

    async def _read(self) -> None:
        me, chain = self._s.me, self._s.chain
        provider = await bounded(chain.provider(me), "The chain")
        proposal = await bounded(chain.proposal(me), "The chain")
        self.provider = provider
        self.proposal = proposal if proposal.is_waiting else None
        self.room = Room.of_hardware(provider.hardware) if provider.is_approved else None
        self.native_balance = await bounded(chain.native_balance(me), "The chain")
        self.credit_balance = await bounded(chain.balance(me), "The chain")
        if self.native_balance == 0:
            log.warning("the provider's account has no coins for gas: %s", me)

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
