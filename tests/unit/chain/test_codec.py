"""Values of the model as tuples of the ABI, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.chain import codec
from dsq.core.chain.abi import CODEC, contract, decode
from dsq.core.errors import DsqError, UsageError
from dsq.core.model import (
    JOB_NAME_BYTES,
    Address,
    Affinity,
    Job,
    JobCost,
    JobDefinition,
    JobStatus,
    JobTime,
    Label,
    ProviderHardware,
    ProviderPrices,
    StorageType,
)

uint64 = st.integers(0, 2**64 - 1)
uint256 = st.integers(0, 2**256 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=40)
addresses = st.binary(min_size=20, max_size=20).map(Address)
labels = st.builds(Label, text, text)
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"])
affinities = st.builds(Affinity, text, operators, text)
definitions = st.builds(
    JobDefinition,
    ntasks=uint64,
    cpus_per_task=uint64,
    mem_per_cpu=uint64,
    gpus=uint64,
    batch_location_hash=text,
    storage_type=st.sampled_from(StorageType),
    uses=st.lists(labels, max_size=4).map(tuple),
    affinity=st.lists(affinities, max_size=4).map(tuple),
)
names = text.filter(
    lambda name: len(name.encode()) <= JOB_NAME_BYTES and "\0" not in name,
)
jobs = st.builds(
    Job,
    id=uint256,
    status=st.sampled_from(JobStatus),
    customer=addresses,
    provider=addresses,
    definition=definitions,
    cost=st.builds(JobCost, uint256, uint256, uint256, st.booleans()),
    time=st.builds(JobTime, uint256, uint256, uint256, uint256, uint256, uint256),
    name=names,
    has_cancel_request=st.booleans(),
    last_error=text,
    exit_status=st.integers(-(2**63), 2**63 - 1),
)


def _through(kind: str, value: Any) -> Any:
    return decode([kind], CODEC.encode([kind], [value]))[0]


JOB = contract("JobRepository").functions["get"].outputs[0].type
DEFINITION = contract("MetaScheduler").functions["requestNewJob"].inputs[0].type
HARDWARE = contract("ProviderManager").functions["register"].inputs[0].type


@given(jobs)
def test_job_round_trip(job: Job) -> None:
    """A job is the same after it went through the ABI."""
    assert codec.job_from_tuple(_through(JOB, codec.job_to_tuple(job))) == job


@given(definitions)
def test_definition_round_trip(definition: JobDefinition) -> None:
    """A job definition is the same after it went through the ABI."""
    wire = _through(DEFINITION, codec.definition_to_tuple(definition))
    assert codec.definition_from_tuple(wire) == definition


@given(st.lists(st.tuples(uint64, uint64, uint64), max_size=5))
def test_hardware_round_trip(nodes: list[tuple[int, int, int]]) -> None:
    """A provider's nodes are the same after they went through the ABI."""
    columns = list(zip(*nodes, strict=True)) or [(), (), ()]
    hardware = ProviderHardware(*columns)
    wire = _through(HARDWARE, codec.hardware_to_tuple(hardware))
    assert codec.hardware_from_tuple(wire) == hardware


def test_prices_keep_their_order() -> None:
    """Prices are GPU, CPU, memory."""
    assert codec.prices_to_tuple(ProviderPrices(1, 2, 3)) == (1, 2, 3)


def test_text_that_is_no_utf8_is_readable() -> None:
    """What others wrote on chain never stops a client."""
    good = CODEC.encode(["string"], ["ab"])
    assert decode(["string"], good.replace(b"ab", b"a\xff")) == ("a\ufffd",)
    name = b"\xff\xfe".ljust(32, b"\0")
    job = Job(
        id=1,
        status=JobStatus.PENDING,
        customer=Address(bytes(20)),
        provider=Address(bytes(20)),
        definition=JobDefinition(1, 1, 1),
        cost=JobCost(0),
        time=JobTime(),
    )
    fields = list(codec.job_to_tuple(job))
    fields[7] = name
    assert codec.job_from_tuple(fields).name == "\ufffd\ufffd"


def test_data_of_another_type_is_told() -> None:
    """An answer that does not fit is an error of dsq, not of the codec."""
    with pytest.raises(DsqError, match=r"not of the type \(string\)"):
        decode(["string"], b"\x01" * 31)


def test_operator_that_does_not_fit() -> None:
    """An affinity operator has at most two bytes on chain."""
    with pytest.raises(UsageError, match="'==='"):
        codec.affinity_to_tuple(Affinity("a", "===", "b"))


@pytest.mark.parametrize("job_id", [-1, 2**256])
def test_job_id_out_of_range(job_id: int) -> None:
    """A number that is no bytes32 is no job id."""
    with pytest.raises(UsageError, match="not a job id"):
        codec.job_id_to_bytes(job_id)
