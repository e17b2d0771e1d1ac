"""The artifacts and their loader."""

from __future__ import annotations

import pytest

from dsq import contracts

MARGIN = 1_200
"""Bytes of code that stay free below the limit of 24,576."""


def test_loading_twice_gives_the_same_object() -> None:
    """An artifact is read once."""
    assert contracts.load("Credit") is contracts.load("Credit")


def test_unknown_name_lists_the_contracts() -> None:
    """A name that is no contract is refused with those that are."""
    with pytest.raises(KeyError, match="no contract 'Credits'; there are Constants, Credit"):
        contracts.load("Credits")


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_code_fits_with_a_margin(name: str) -> None:
    """Every contract stays well below the size limit of the EVM."""
    size = len(bytes.fromhex(contracts.load(name).deployed_bytecode[2:]))
    assert 0 < size <= 24_576 - MARGIN


@pytest.mark.parametrize("name", contracts.ARTIFACTS)
def test_nothing_is_left_to_link(name: str) -> None:
    """Libraries are built in: the bytecode can be deployed as it is."""
    artifact = contracts.load(name)
    assert artifact.link_references == {}
    assert "_" not in artifact.bytecode
