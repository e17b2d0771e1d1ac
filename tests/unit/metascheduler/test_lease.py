"""One active meta-scheduler a key on a machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dsq.core.errors import SettingsError
from dsq.core.metascheduler.lease import lease, refuse
from dsq.core.model import Address

CONTRACT, ME, OTHER = (Address(bytes([n]) * 20) for n in (1, 2, 3))
CHAIN_ID = os.getpid()
"""A number of its own, for names are those of the whole machine."""


def test_one_folder_has_one_active(tmp_path: Path) -> None:
    """The second is told the process that has the place, and gets it when it is left."""
    first, second = (lease(tmp_path / "state", CHAIN_ID, CONTRACT, ME) for _ in range(2))
    assert first.take() == ""
    assert first.take() == ""
    assert second.take() == f"uses {tmp_path / 'state'} (process {os.getpid()})"
    first.release()
    assert second.take() == ""
    second.release()


@pytest.mark.skipif(sys.platform != "linux", reason="names without files are Linux's")
def test_one_key_has_one_active_wherever_its_folder_is(tmp_path: Path) -> None:
    """Another folder does not help; another key, chain or grid does."""
    first = lease(tmp_path / "a", CHAIN_ID, CONTRACT, ME)
    assert first.take() == ""
    assert "uses the key of" in lease(tmp_path / "b", CHAIN_ID, CONTRACT, ME).take()
    others = [
        lease(tmp_path / "c", CHAIN_ID, CONTRACT, OTHER),
        lease(tmp_path / "d", CHAIN_ID + 1, CONTRACT, ME),
        lease(tmp_path / "e", CHAIN_ID, OTHER, ME),
    ]
    assert [one.take() for one in others] == ["", "", ""]
    for one in (first, *others):
        one.release()


def test_refusal(tmp_path: Path) -> None:
    """Who may not stand by ends with 75 and is told how to; a folder of no use is named."""
    error = refuse("uses /x")
    assert (error.exit_code, error.code) == (75, "locked")
    assert "--standby" in str(error)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used"):
        lease(tmp_path / "file", CHAIN_ID, CONTRACT, ME).take()
