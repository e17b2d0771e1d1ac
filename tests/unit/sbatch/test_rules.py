"""The rules of values: what they accept and refuse."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.sbatch.model.network_rules import Cidr, Hostname, HostnamePort, Ip, IpOrFqdn, Url
from dsq.sbatch.model.rules import (
    AlphanumUnderscore,
    EnvName,
    Image,
    NotReserved,
    OneOf,
    Rule,
)

TABLE: list[tuple[Rule, list[str], list[str]]] = [
    (EnvName(), ["A", "_x9", "a_B"], ["", "9a", "a-b", "a b", "A\nB", "A\n", "É", "a=b"]),
    (AlphanumUnderscore(), ["a", "9_"], ["", "a-b", "a\nb", "a\n", "é"]),
    (NotReserved(), ["HOME", "LD_PRELOAD", "dsq_x"], ["UID", "SHELLOPTS", "_dsq_x"]),
    (
        Image(),
        ["debian", "debian:12", "a/b.c-d_e:V1", "a:sha256:0f", "/x y/$(id)", "/"],
        ["", "Debian", "a@b", "a b", "a#b", "a\nb", "a:", "a:b c", "a:b\n"],
    ),
    (
        Hostname(),
        ["ab", "localhost", "registry-1.docker.io", "a1.b", "ab:5000", "reg.io:443"],
        [
            "",
            "a",
            "1a",
            "10.0.0.1",
            "a:5000",
            "ab:",
            "ab:0",
            "ab:65536",
            "ab:x",
            "ab:1:2",
            ":5000",
            "a..b",
            "a.bc",
            "ab.",
            "ab-",
            "ab\n",
            "a b",
        ],
    ),
    (
        HostnamePort(),
        ["a:1", ":443", "10.0.0.1:65535", "a.b-c:80"],
        ["a", "a:0", "a:65536", "[::1]:80", "::1:80", "a:", "a:b", "a b:1", "a:1\n", "a:٣"],
    ),
    (
        Ip(),
        ["1.1.1.1", "::1", "2001:db8::1"],
        ["", "1.1.1", "a", "01.1.1.1", "fe80::1%eth0", "1.1.1.1\n"],
    ),
    (
        Cidr(),
        ["10.0.0.2/24", "::1/128", "0.0.0.0/0"],
        ["10.0.0.2", "10.0.0.2/33", "a/1", "1.1.1.1/", "1.1.1.1/-1"],
    ),
    (
        IpOrFqdn(),
        ["1.1.1.1", "::1", "a.b", "bore.example.org."],
        ["a", "", "a.1", "a_b.c", "a.b\n"],
    ),
    (
        Url(),
        ["http://a", "https://u:p@a.b:8/c?d#e", "HTTPS://A"],
        [
            "",
            "a",
            "ftp://a",
            "javascript:x",
            "file:///etc/passwd",
            "http:///x",
            "http://a b",
            "http://a\n",
            "http://[",
            "//a",
        ],
    ),
    (Url(()), ["s3://bucket", "http://a"], ["bucket", "s3:", ""]),
    (OneOf(("", "rw")), ["", "rw"], ["ro", "RW", "rw "]),
]


@pytest.mark.parametrize(
    ("rule", "good", "bad"), TABLE, ids=lambda value: getattr(value, "tag", "")
)
def test_rules_accept_and_refuse(rule: Rule, good: list[str], bad: list[str]) -> None:
    """Each rule holds for the whole text; a second line never slips through."""
    assert [text for text in good if not rule.holds(text)] == []
    assert [text for text in bad if rule.holds(text)] == []


@given(st.text("aZ9-.", max_size=9))
def test_hostnames_are_those_of_the_reference(text: str) -> None:
    """The rule accepts what the reference's pattern accepts."""
    reference = re.fullmatch(r"[a-zA-Z]([a-zA-Z0-9\-]+[.]?)*[a-zA-Z0-9]", text)
    assert Hostname().holds(text) == (reference is not None)


def test_long_texts_are_judged_at_once() -> None:
    """No rule takes longer than linear time (the reference's host pattern would never end)."""
    for rule, _, _ in TABLE:
        rule.holds("a" * 200_000 + "!")
        rule.holds("a." * 100_000 + "!")


def test_rules_say_what_they_want() -> None:
    """Each rule has a tag for clients and words for people."""
    for rule, _, _ in TABLE:
        assert rule.tag
        assert rule.words()
