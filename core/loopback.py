"""Ports of the loopback interface."""

from __future__ import annotations

import contextlib
import random
import socket

LISTENING = range(10_000, 20_000)
"""Where a port to listen on is looked for.

Below those that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere): what
listens there finds its port free again after a restart.
"""

_chance = random.SystemRandom()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    for _ in range(100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", _chance.choice(LISTENING)))
            return int(probe.getsockname()[1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
