"""One supervisor a key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsq.core.model import Address
from dsq.supervisor.lock import AnotherSupervisorError, only_supervisor

ONE = Address(os.urandom(20))
TWO = Address(os.urandom(20))
GRID = Address(os.urandom(20))


def test_the_same_journal_is_refused(tmp_path: Path) -> None:
    """Whatever the key; the sentence names the process."""
    with (
        only_supervisor(tmp_path, 1, GRID, ONE),
        pytest.raises(AnotherSupervisorError, match=f"process {os.getpid()}") as caught,
        only_supervisor(tmp_path, 1, GRID, TWO),
    ):
        pass
    assert caught.value.exit_code == 75


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_the_same_key_is_refused_wherever_its_journal_lies(tmp_path: Path) -> None:
    """Two state folders do not make two providers of one key; another grid does."""
    with only_supervisor(tmp_path / "a", 1, GRID, ONE):
        with (
            pytest.raises(AnotherSupervisorError, match="uses the key"),
            only_supervisor(tmp_path / "b", 1, GRID, ONE),
        ):
            pass
        with only_supervisor(tmp_path / "c", 2, GRID, ONE):
            pass


def test_the_place_is_free_again_after_a_kill(tmp_path: Path) -> None:
    """However the holder ended."""
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from dsq.core.model import Address\n"
        "from dsq.supervisor.lock import only_supervisor\n"
        f"with only_supervisor(Path({str(tmp_path)!r}), 1, Address({bytes(GRID)!r}),"
        f" Address({bytes(ONE)!r})):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with only_supervisor(tmp_path, 1, GRID, ONE):
        pass
