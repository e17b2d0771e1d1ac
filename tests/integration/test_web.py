"""dsq-console --web: the console for a browser, for who has the link only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

ENVIRONMENT = {
    "DSQ_RPC_URL": "http://127.0.0.1:9",
    "DSQ_CHAIN_ID": "31337",
    "DSQ_METASCHEDULER": "0x" + "12" * 20,
    "ETH_PRIVATE_KEY": "11" * 32,
}
"""A grid that does not answer: the console says so."""


@contextlib.asynccontextmanager
async def served(tmp_path: Path, *arguments: str) -> AsyncIterator[str]:
    """The link that a running ``dsq-console --web`` has printed."""
    folders = {name: str(tmp_path / name) for name in ("DSQ_CONFIG_DIR", "DSQ_STATE_DIR")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dsq.console.console_command", "--web", *arguments,
        env={**os.environ, **ENVIRONMENT, **folders},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
        assert found is not None, line
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 20)


async def test_the_console_is_shown_to_the_browser_with_the_link(tmp_path: Path) -> None:
    """The link opens the page; over its socket comes the console's first picture."""
    async with (
        served(tmp_path) as link,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        base = link.partition("/?")[0]
        async with browser.get(link) as page:
            assert page.status == 200
            assert page.url.query_string == ""
            text = await page.text()
            assert "textual" in text.lower()
            assert "takeKeys" in text
            assert "css/xterm.css" in text
            assert "https://" not in text, "nothing is loaded from another site"
            assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        async with browser.ws_connect(f"{base}/ws?width=100&height=30", origin=base) as socket:
            seen = b""
            async with asyncio.timeout(60):
                while b"Offline" not in seen:
                    message = await socket.receive()
                    assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT)
                    seen += message.data if isinstance(message.data, bytes) else b""
            assert b"Jobs" in seen
            await socket.send_json(["stdin", "4"])
            async with asyncio.timeout(30):
                while b"balance" not in seen:
                    data = (await socket.receive()).data
                    seen += data if isinstance(data, bytes) else b""


async def test_without_the_link_nothing_is_shown(tmp_path: Path) -> None:
    """No token, a wrong one, another name for the address, another site: 403."""
    async with served(tmp_path) as link, aiohttp.ClientSession() as stranger:
        base = link.partition("/?")[0]
        for path in ("/", "/?token=wrong", "/ws", "/static/js/textual.js"):
            async with stranger.get(base + path) as answer:
                assert answer.status == 403, path
        async with stranger.get(link, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
        async with stranger.get(link, headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--web"], "--key-file"), (["--port", "8000"], "--port is for --web")],
)
async def test_what_cannot_be_served_is_explained(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """One sentence and exit code 64."""
    values = {**ENVIRONMENT, "DSQ_CONFIG_DIR": str(tmp_path)}
    del values["ETH_PRIVATE_KEY"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dsq.console.console_command", *arguments,
        env={**os.environ, **values},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 64
    assert words in errors.decode()
