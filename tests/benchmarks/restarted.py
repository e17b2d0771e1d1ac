"""A supervisor in a process of its own, for the benchmark of restarts.

    python -m tests.benchmarks.restarted CONFIG [PROFILE]

Reads the provider's key from standard input. Ends when every open job of the journal was
judged with what the chain and the cluster say of it now, every event up to the chain's head was
heard, and the provider is registered; then prints one line of JSON (:class:`Restarted`). Nothing
is a fake here but the programs of Slurm (:mod:`tests.support.slurm_books`). With PROFILE, what
took the time is written there (cProfile).
"""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import gc
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from dsq.core.chain.endpoint import Endpoint
from dsq.core.wallet import Wallet
from dsq.supervisor.agent import Agent
from dsq.supervisor.records import Phase
from dsq.supervisor.run import built_agent
from dsq.supervisor.settings import load_settings

REASON = "Resources"
"""Why jobs wait, or the node they run on, by the cluster; the journal does not know it yet."""

PATIENCE = 120.0


@dataclass(frozen=True)
class Restarted:
    """What a restart took.

    Attributes:
        jobs: Open jobs.
        events: Events heard.
        wall: Seconds until all was judged and heard, from the opening of the journal on.
        judged: Seconds until all jobs were judged.
        cpu: Seconds of the processor until then, programs of Slurm left out.
        requests, calls: HTTP requests to the node, and the JSON-RPC calls in them.
        rss, uss, peak: MB of the process afterwards, of its own, and at most.
    """

    jobs: int
    events: int
    wall: float
    judged: float
    cpu: float
    requests: int
    calls: int
    rss: float
    uss: float
    peak: float


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts what goes to the node: HTTP requests, and the calls in them."""
    found: Counter[str] = Counter()
    post = Endpoint._post

    async def seen(self: Endpoint, body: Any) -> Any:
        found["requests"] += 1
        found["calls"] += len(body) if isinstance(body, list) else 1
        return await post(self, body)

    Endpoint._post = seen  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Endpoint._post = post  # type: ignore[method-assign]


def are_judged(agent: Agent) -> bool:
    """Every open job was judged with the newest look into the cluster."""
    return not agent._stepper._busy and all(
        record.phase is Phase.SEEN and REASON in (record.slurm_reason, record.nodes)
        for record in agent.services.journal.open_records()
    )


def heard(agent: Agent) -> Counter[str]:
    """Counts the events that the agent hears."""
    found: Counter[str] = Counter()
    hear = agent.hearing.hear

    async def seen(batch: Any) -> None:
        found["events"] += len(batch.events)
        await hear(batch)
        found["block"] = batch.head.number

    agent.hearing.hear = seen  # type: ignore[method-assign]
    return found


async def restart(config: Path, wallet: Wallet) -> Restarted:
    """Runs a supervisor until it is at peace with chain and cluster."""
    settings = load_settings(config)
    stop = asyncio.Event()
    with counted() as asked:
        began, used = time.perf_counter(), time.process_time()
        async with built_agent(settings, wallet) as agent:
            events = heard(agent)
            target, judged = (await agent.services.chain.head()).number, 0.0
            task = asyncio.create_task(agent.run(stop))
            while True:
                await asyncio.sleep(0.1)
                assert not task.done(), task.exception()
                assert time.perf_counter() < began + PATIENCE, agent.registrar.state
                if not judged and not agent.poller.is_dark and are_judged(agent):
                    judged = time.perf_counter() - began
                is_registered = "approv" in agent.registrar.state
                if judged and events["block"] >= target and is_registered:
                    break
            wall, cpu = time.perf_counter() - began, time.process_time() - used
            requests, calls = asked["requests"], asked["calls"]
            gc.collect()
            memory = psutil.Process().memory_full_info()
            jobs = len(agent.services.journal.open_records())
            sent = [row.label for row in agent.services.txs.rows() if "register" not in row.label]
            assert not sent, sent[:3]
            stop.set()
            await task
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Restarted(
        jobs, events["events"], wall, judged, cpu, requests, calls,
        memory.rss / 2**20, memory.uss / 2**20, peak,
    )  # fmt: skip


def main() -> None:
    """Runs it, and prints what it took."""
    wallet = Wallet.from_key(sys.stdin.readline().strip())
    profile = cProfile.Profile() if len(sys.argv) > 2 else None
    if profile:
        profile.enable()
    done = asyncio.run(restart(Path(sys.argv[1]), wallet))
    if profile:
        profile.disable()
        profile.dump_stats(sys.argv[2])
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
