"""Values of the grid: addresses, ids, labels, exit codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.errors import UsageError
from dsq.core.model import (
    Address,
    Affinity,
    JobStatus,
    Label,
    encode_job_name,
    exit_code_of,
    job_hex_id,
    parse_job_id,
    wait_status_of,
)

EIP55 = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
"""An address of the examples in EIP-55."""


def test_addresses_compare_as_bytes_and_show_their_checksum() -> None:
    """Case never decides whether two addresses are the same."""
    address = Address.parse(EIP55)
    assert address == Address.parse(EIP55.lower())
    assert str(address) == EIP55
    assert address.short == "0x5aAe…eAed"


@pytest.mark.parametrize(
    "text", ["", "0x", EIP55[:-1], EIP55[2:], EIP55[:-1] + "D", "0x" + "g" * 40]
)
def test_no_address(text: str) -> None:
    """Too short, no 0x, a wrong checksum, no hexadecimal digit."""
    with pytest.raises(UsageError):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "affinity"),
    [
        ("mem>=64000", Affinity("mem", ">=", "64000")),
        ("os=linux", Affinity("os", "==", "linux")),
        ("os==linux", Affinity("os", "==", "linux")),
        ("zone!=eu", Affinity("zone", "!=", "eu")),
        ("cpu:in:epyc", Affinity("cpu", "in", "epyc")),
        ("a<b>c", Affinity("a", "<", "b>c")),
    ],
)
def test_affinities(text: str, affinity: Affinity) -> None:
    """The first operator splits; the rest belongs to the value."""
    assert Affinity.parse(text) == affinity


@pytest.mark.parametrize("text", ["", "os", "=linux", ">=3"])
def test_no_affinity(text: str) -> None:
    """No operator, or no key."""
    with pytest.raises(UsageError):
        Affinity.parse(text)


def test_labels() -> None:
    """A label's value may hold further equal signs."""
    assert Label.parse("a=b=c") == Label("a", "b=c")
    with pytest.raises(UsageError):
        Label.parse("gpu")


def test_statuses() -> None:
    """Names in any case; a misspelt one gets its close match."""
    assert JobStatus.parse("out-of-credits") is JobStatus.OUT_OF_CREDITS
    assert [status for status in JobStatus if status.is_hot] == list(JobStatus)[:4]
    with pytest.raises(UsageError, match="Did you mean 'RUNNING'"):
        JobStatus.parse("runing")


@given(st.integers(0, 255))
def test_exit_codes_are_wait_statuses_on_chain(code: int) -> None:
    """Exit code 3 is 768 on chain, and comes back as 3."""
    assert wait_status_of(code) == code * 256
    assert exit_code_of(wait_status_of(code)) == code


def test_signals() -> None:
    """A job killed by signal 9 has exit code 137."""
    assert exit_code_of(wait_status_of(0, 9)) == 137


def test_job_ids() -> None:
    """Decimal or hexadecimal with 0x; nothing below 1."""
    assert parse_job_id("41") == parse_job_id(job_hex_id(41)) == 41
    for text in ("0", "-1", "x", "0x", "1" * 80):
        with pytest.raises(UsageError):
            parse_job_id(text)


def test_job_names_have_32_bytes() -> None:
    """Bytes count, not characters; nothing is cut silently."""
    assert encode_job_name("é" * 16) == "é".encode() * 16
    with pytest.raises(UsageError, match="34 bytes"):
        encode_job_name("é" * 17)
