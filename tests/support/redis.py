"""A throwaway Redis server for tests. Import the fixture ``redis_url`` into a ``conftest.py``."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dsq.core.loopback import free_port


@contextmanager
def redis_server(
    folder: Path, port: int | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis on a port of its own that keeps its data in ``folder``; its URL and process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server (Debian package redis-server)")
    port = port or free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    words += ["--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]
    with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port)
            yield f"redis://127.0.0.1:{port}/0", process
        finally:
            process.kill()


def _wait(port: int) -> None:
    import redis

    client = redis.Redis(port=port, socket_timeout=1)
    for _ in range(200):
        try:
            client.ping()
            break
        except redis.exceptions.RedisError:
            time.sleep(0.02)
    else:
        raise AssertionError("redis-server does not answer")
    client.close()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url
