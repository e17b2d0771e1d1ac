"""What the start of a console does not do."""

from __future__ import annotations

import subprocess
import sys

from dsq.console.user.later import REST, load_rest

HEAVY = ("aiohttp", "asyncssh", "eth_utils", "google.protobuf", "grpc", "httpx", "web3", "yaml")


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_picture_waits_for_no_other_view() -> None:
    """Neither other views and their dialogs nor what talks to the grid is imported before it."""
    code = (
        "import sys; import dsq.console.console_command, dsq.console.user.app\n"
        f"print(sorted(set(sys.modules) & set({(*REST, *HEAVY)!r})))"
    )
    assert ran(code) == "[]"


async def test_the_rest_is_there_soon_after() -> None:
    """What was left out is imported beside the screen; none of its names is out of date."""
    await load_rest()
    assert set(REST) <= set(sys.modules)


def test_what_stands_is_not_looked_through_again() -> None:
    """Only a command that has started quickly gives its objects to the collector's blind eye."""
    code = (
        "import gc; from dsq.console import quick\n"
        "usual = gc.get_threshold(); quick.steady(); assert not gc.get_freeze_count()\n"
        "quick.start(); assert gc.get_threshold() != usual\n"
        "quick.steady(); assert gc.get_threshold() == usual\n"
        "print(gc.get_freeze_count() > 0)"
    )
    assert ran(code) == "True"
