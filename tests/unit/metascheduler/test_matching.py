"""Labels, affinities, price, standing: one sentence why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.metascheduler.matching import can_start, estimate, holds, meets, offer, why_not
from dsq.core.metascheduler.occupation import Occupation
from dsq.core.model import Affinity, JobDefinition, Label, Provider
from dsq.core.units import CREDIT

from .grids import definition, provider

A100 = "gpu=a100 mem=64000 zone=eu-west"


@pytest.mark.parametrize(
    ("label", "op", "value", "result"),
    [
        ("2000", ">", "1000", True),
        ("2000", ">", "30", True),  # numbers, not text
        ("10", "==", "10.0", True),
        ("1e3", "<=", "1000", True),
        ("-1", "<", "0", True),
        ("a100", "==", "a100", True),
        ("a100", "!=", "h100", True),
        ("b", ">", "a", True),
        ("Z", "<", "a", True),  # bytes, not a dictionary
        ("10", "<", "9a", True),  # one side is no number: text
        ("nan", "==", "nan", True),  # a word
        ("inf", ">", "5", True),  # a word as well: i is behind 5
        ("1_000", "==", "1000", False),
        ("1e999", "==", "1e998", False),  # too large for a number: text
        ("2024", "in", "02", True),
        ("eu-west", "in", "west", True),
        ("west", "in", "eu-west", False),
        ("x", "??", "x", True),
    ],
)
def test_operators_compare_label_with_value(label: str, op: str, value: str, result: bool) -> None:
    """Numbers if both are decimal, bytes else; ``in`` is a part of the label."""
    assert holds(label, op, value) is result


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">=", "in"])
def test_a_missing_key_never_matches(op: str) -> None:
    """Not even ``!=`` holds for a label that is not there."""
    assert not meets(Affinity("gpu", op, "a100"), [Label("cpu", "a100")])


def test_any_of_several_labels_with_one_key_may_match() -> None:
    """A provider with two kinds of GPU meets a demand for either."""
    labels = [Label("gpu", "a100"), Label("gpu", "h100")]
    assert meets(Affinity("gpu", "==", "a100"), labels)
    assert meets(Affinity("gpu", "==", "h100"), labels)


def test_two_affinities_on_one_key_must_both_hold() -> None:
    """A range is a range: each affinity is judged on its own."""
    needs = definition(affinity="mem>=1000 mem<2000")
    assert why_not(needs, 100 * CREDIT, provider(labels="mem=1500")) == ""
    assert why_not(needs, 100 * CREDIT, provider(labels="mem=500"))
    assert why_not(needs, 100 * CREDIT, provider(labels="mem=2500"))


numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: f"{x:.2f}")


@given(numbers, numbers)
def test_exactly_one_of_less_equal_greater_holds(left: str, right: str) -> None:
    """Numeric comparisons are an order, and the other operators follow from it."""
    less, equal, greater = (holds(left, op, right) for op in ("<", "==", ">"))
    assert less + equal + greater == 1
    assert holds(left, "<=", right) == (less or equal)
    assert holds(left, ">=", right) == (greater or equal)
    assert holds(left, "!=", right) != equal


@given(st.text(), st.text())
def test_text_compares_byte_wise_and_never_fails(left: str, right: str) -> None:
    """Whatever a label holds, every operator has an answer."""
    left, right = "x" + left, "x" + right  # no numbers
    assert holds(left, "<", right) == (left.encode() < right.encode())
    assert holds(left, "in", right) == (right in left)


@pytest.mark.parametrize(
    ("needs", "at", "sentence"),
    [
        (definition(), provider(labels=A100), ""),
        (
            definition(gpus=4),
            provider(nodes=((8, 8000, 2),)),
            "needs 4 GPUs, has 2 on all its nodes",
        ),
        (
            definition(gpus=4),
            provider(nodes=((8, 8000, 2), (8, 8000, 2))),
            "needs 4 GPUs on one node, has 2",
        ),
        (definition(gpus=1), provider(), "needs 1 GPU, has 0 on all its nodes"),
        (definition(1, 16), provider(), "needs 16 CPUs on one node for a task, has 8"),
        (definition(4, 4), provider(), "needs 16 CPUs, has 8 on all its nodes"),
        (
            definition(1, 2, 9000),
            provider(),
            "needs 18000 MB on one node for a task, has 16000",
        ),
        (definition(4, 1, 5000), provider(), "needs 20000 MB, has 16000 on all its nodes"),
        (
            definition(2, 3),
            provider(nodes=((5, 8000, 0), (2, 8000, 0))),
            "its nodes cannot be shared out to 2 tasks of 3 CPUs and 300 MB",
        ),
        (
            definition(uses="gpu=h100"),
            provider(labels=A100),
            "label gpu is a100, the job wants h100",
        ),
        (
            definition(uses="os=linux"),
            provider(labels=A100),
            "has no label os, the job wants os=linux",
        ),
        (
            definition(affinity="mem>=128000"),
            provider(labels=A100),
            "label mem is 64000, the job wants mem>=128000",
        ),
        (
            definition(affinity="zone:in:us"),
            provider(labels=A100),
            "label zone is eu-west, the job wants zone:in:us",
        ),
        (
            definition(1, 8),
            provider(price=50 * CREDIT),
            "100.00 credits buy less than a minute at 400.00 credits a minute",
        ),
        (definition(), provider(banned=True), "banned"),
        (definition(), provider(approved=False), "not approved"),
    ],
)
def test_why_not_says_one_sentence(needs: JobDefinition, at: Provider, sentence: str) -> None:
    """Each obstacle has its words with both figures; "" when there is none."""
    assert why_not(needs, 100 * CREDIT, at) == sentence


def occupied(at: Provider, *jobs: JobDefinition) -> Occupation:
    occupation = Occupation(at.hardware)
    for number, needs in enumerate(jobs, 1):
        occupation.add(number, needs)
    return occupation


@pytest.mark.parametrize(
    ("needs", "nodes", "running", "sentence"),
    [
        (definition(), ((8, 800, 0),), [definition(1, 8)], "busy: 8 of 8 CPUs in use"),
        (definition(1, 2), ((8, 8000, 0),), [definition(1, 7)], "busy: 7 of 8 CPUs in use"),
        (
            definition(gpus=2),
            ((8, 8000, 2),),
            [definition(gpus=1)],
            "busy: 1 of 2 GPUs in use",
        ),
        (
            definition(1, 1, 500),
            ((8, 1000, 0),),
            [definition(1, 1, 600)],
            "busy: 600 of 1000 MB in use",
        ),
        (
            definition(1, 6),
            ((8, 8000, 0), (8, 8000, 0)),
            [definition(1, 4), definition(1, 5)],
            "busy: what is free on its nodes cannot be shared out to 1 task of 6 CPUs and 600 MB",
        ),
        (definition(), ((8, 8000, 0),), [definition(1, 7)], ""),
    ],
)
def test_a_busy_provider_says_what_is_in_use(
    needs: JobDefinition,
    nodes: tuple[tuple[int, int, int], ...],
    running: list[JobDefinition],
    sentence: str,
) -> None:
    """The scarce resource is named with what is used and what there is."""
    at = provider(nodes=nodes)
    assert why_not(needs, 100 * CREDIT, at, occupied(at, *running)) == sentence


def test_a_refusal_counts_before_load() -> None:
    """Why a provider handed the job back matters more than that it is busy."""
    at = provider()
    full = occupied(at, definition(1, 8))
    reason = why_not(definition(), 100 * CREDIT, at, full, "refused this job: later")
    assert reason == "refused this job: later"


needs_lists = st.builds(
    definition,
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 300),
    st.integers(0, 5),
    uses=st.sampled_from(["", "gpu=a100", "gpu=h100"]),
    affinity=st.sampled_from(["", "mem>1", "mem<1"]),
)
provider_lists = st.builds(
    provider,
    nodes=st.lists(
        st.tuples(st.integers(1, 8), st.integers(100, 2000), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    ).map(tuple),
    price=st.sampled_from([0, CREDIT, 60 * CREDIT]),
    labels=st.sampled_from(["", A100]),
    banned=st.booleans(),
    approved=st.booleans(),
)


@given(needs_lists, provider_lists, st.lists(needs_lists, max_size=4), st.booleans())
def test_can_start_agrees_with_the_sentence(
    needs: JobDefinition, at: Provider, running: list[JobDefinition], refused: bool
) -> None:
    """The quick answer that decides and the sentence that explains never differ."""
    occupation = occupied(at, *running)
    said = "refused this job" if refused else ""
    sentence = why_not(needs, 100 * CREDIT, at, occupation, said)
    assert can_start(needs, 100 * CREDIT, at, occupation, said) == (sentence == "")


@given(st.lists(needs_lists, max_size=6), provider_lists)
def test_what_is_removed_is_free_again(jobs: list[JobDefinition], at: Provider) -> None:
    """Occupation is a sum: with every job gone nothing is in use, fit or no fit."""
    occupation = occupied(at, *jobs)
    for number in range(1, len(jobs) + 1):
        occupation.remove(number)
    assert occupation.spaces == Occupation(at.hardware).spaces
    assert len(occupation) == 0
    assert occupation.load == 0


def test_estimate_puts_takers_first_and_the_cheapest_on_top() -> None:
    """Its order is by taker, price, address, whatever the order of the providers."""
    cheap, dear = provider(3, price=CREDIT), provider(1, price=2 * CREDIT)
    banned = provider(2, price=CREDIT // 2, banned=True)
    for providers in ([cheap, dear, banned], [banned, dear, cheap]):
        answers = estimate(definition(), 100 * CREDIT, providers)
        assert [one.provider for one in answers] == [p.address for p in (cheap, dear, banned)]
        assert [one.minutes for one in answers] == [100, 50, 200]
        assert [one.reason for one in answers] == ["", "", "banned"]


@pytest.mark.parametrize("told", ["", "soon", "-5", "1.5", "9" * 5000, "٣"])
def test_a_limit_that_is_no_number_is_no_limit(told: str) -> None:
    """What a provider writes into its labels breaks nobody's estimate."""
    assert offer(definition(), 100 * CREDIT, provider(labels=f"max-minutes={told}")).minutes == 100


def test_minutes_are_capped_by_the_limit_a_provider_tells() -> None:
    """The label says how long a job may run there; what is bought beyond comes back."""
    answer = offer(definition(), 100 * CREDIT, provider(labels="max-minutes=30"))
    assert answer.minutes == 30
    assert answer.details == {"bought_minutes": 100, "max_minutes": 30}
