"""What can stand at a cursor: fields, values, modules, labels."""

from __future__ import annotations

import dataclasses

import pytest

from dsq.console.user.completion import about_field, offer_fields
from dsq.console.user.label_words import offer_labels, parse_demands, typed
from dsq.console.user.yaml_place import field_at, names, place_at
from dsq.console.widgets.completer import Offer
from dsq.core.errors import UsageError
from dsq.core.model import Affinity, Label
from dsq.sbatch.model import Workflow, describe
from dsq.sbatch.workflow import load_workflow
from tests.support.fake_grid import GAIA, IRIS, provider

WORKFLOW = """\
resources:
  tasks: 1
  gpus: 0
env:
  - key: A
    value: b
steps:
- name: one
  run:
    command: |
      resources: no
      echo hello

    resources: {tasks: 2}
- use:
    source: ./m
"""


def at_bar(text: str) -> tuple[list[str], int, int]:
    """The lines of a text without the ``¦`` in it, and where that was."""
    before, _, after = text.partition("¦")
    lines = (before + after).split("\n")
    rows = before.split("\n")
    return lines, len(rows) - 1, len(rows[-1])


def offered(text: str, modules: list[tuple[str, str]] | None = None) -> list[str]:
    """The words that are offered at the ``¦``."""
    offer = offer_fields(*at_bar(text), modules or [])
    return [] if offer is None else [each.word for each in offer.items]


def completed(text: str, word: str) -> str:
    """The text after a word that is offered at the ``¦`` was taken."""
    lines, row, column = at_bar(text)
    offer = offer_fields(lines, row, column)
    assert isinstance(offer, Offer)
    (item,) = (each for each in offer.items if each.word == word)
    lines[row] = lines[row][: offer.start] + item.insert + lines[row][offer.end :]
    return "\n".join(lines)


def test_every_name_has_its_path() -> None:
    """Lists may stand at their field's column; blocks of text are no fields."""
    found = {each.path for each in names(WORKFLOW.split("\n"))}
    assert ("resources", "gpus") in found
    assert ("env", 0, "value") in found
    assert ("steps", 0, "run", "command") in found
    assert ("steps", 0, "run", "resources") in found
    assert ("steps", 1, "use", "source") in found
    assert len(found) == 13


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("¦", ["resources", "env", "enableLogging"]),
        ("res¦", ["resources"]),
        ("resources:\n  ¦", ["tasks", "cpusPerTask", "memPerCpu", "gpus"]),
        ("resources:\n  tasks: 1\n  ¦\n  gpus: 0\n", ["cpusPerTask", "memPerCpu"]),
        ("resources: {tasks: 1, ¦}", ["cpusPerTask", "memPerCpu", "gpus"]),
        ("job:\n  resources:\n    g¦", ["gpus"]),
        ("steps:\n  - na¦", ["name"]),
        ("steps:\n- run:\n    she¦", ["shell"]),
        ("steps:\n- name: a\n  finally:\n  - run:\n      she¦", ["shell"]),
        ("steps: [{run: {she¦}}]", ["shell"]),
    ],
)
def test_fields_are_offered_where_they_may_stand(text: str, words: list[str]) -> None:
    """The fields of the mapping around the cursor that it does not have yet."""
    assert offered(text)[: len(words)] == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("enableLogging: ¦", ["true", "false"]),
        ("enableLogging: t¦", ["true"]),
        ("steps:\n- run:\n    mpi: ¦", ["none", "pmix_v4", "pmi2"]),
        ("steps:\n- run:\n    shell: ba¦", ["/bin/bash"]),
        ("sweep:\n  combine: z¦", ["zip"]),
        ("steps: [{run: {network: ¦}}]", ["host", "slirp4netns", "pasta"]),
    ],
)
def test_values_are_offered_where_there_is_a_choice(text: str, words: list[str]) -> None:
    """What the rules of a field name."""
    assert offered(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "# res¦",
        "resources: # ta¦",
        "steps:\n- run:\n    command: |\n      res¦",
        "steps:\n- name: ¦",
        "nonsense:\n  ¦",
        "steps:\n  -¦",
        "steps:¦",
    ],
)
def test_nothing_is_offered_elsewhere(text: str) -> None:
    """Not in comments, texts, below unknown fields, and not before there is a blank."""
    assert offered(text) == []


def test_modules_at_hand_are_offered_as_sources() -> None:
    """Those that were named, wherever a part of the name matches."""
    modules = [("./train", "Trains"), ("github.com/a/b@" + "1" * 40, "Of others")]
    assert offered("steps:\n- use:\n    source: ¦", modules) == [name for name, _ in modules]
    assert offered("steps:\n- use:\n    source: tra¦", modules) == ["./train"]
    assert offered("input:\n  source: ¦", modules) == []


@pytest.mark.parametrize(
    ("text", "word", "after"),
    [
        ("resou¦", "resources", "resources:\n  "),
        ("st¦", "steps", "steps:\n  - "),
        ("steps:\n  ¦", "name", "steps:\n  - name: "),
        ("steps:\n  - r¦", "run", "steps:\n  - run:\n      "),
        ("resources: {ta¦", "tasks", "resources: {tasks: "),
        ("res¦: {}", "resources", "resources: {}"),
        ("enableLogging: f¦", "false", "enableLogging: false"),
        ("enableLogging: f¦  # x", "false", "enableLogging: false  # x"),
    ],
)
def test_what_is_taken_goes_on_at_its_place(text: str, word: str, after: str) -> None:
    """Mappings and lists begin a line below, a colon that is there stays the only one."""
    assert completed(text, word) == after


def test_a_whole_workflow_can_be_completed() -> None:
    """Taking offers alone makes a text that is valid, but for the values."""
    text = "¦"
    for word, value in (
        ("resources", ""), ("tasks", "1"), ("cpusPerTask", "1"), ("memPerCpu", "1"), ("gpus", "0"),
    ):  # fmt: skip
        text = completed(text, word) + value
        text += ("\n  ¦" if value else "¦") if word != "gpus" else "\n¦"
    text = completed(completed(text, "steps") + "¦", "run") + "¦"
    text = completed(text, "command") + "echo hello"
    assert load_workflow(text).steps[0].run is not None


def test_a_field_is_explained_wherever_the_cursor_is_in_it() -> None:
    """On its name, its value, and in a block of text below it."""
    lines = WORKFLOW.split("\n")
    assert field_at(lines, 1, 4) == ("resources", "tasks")
    assert field_at(lines, 11, 8) == ("steps", "run", "command")
    name, words = about_field(lines, 1, 9)
    assert name == "resources.tasks"
    assert words.endswith("(number, required, must be 1 or more)")
    assert about_field(["nonsense: 1"], 0, 3) == ("", "")


def test_every_field_of_the_language_has_words() -> None:
    """So that there is something to read about each."""
    from dsq.console.user.completion import field_words

    fields = [field for kind in describe(Workflow) for field in kind.fields]
    assert all(len(field_words(field)) > 15 for field in fields)


@pytest.mark.parametrize("cut", range(0, len(WORKFLOW), 3))
def test_a_text_may_end_anywhere(cut: int) -> None:
    """No place is too odd for a look."""
    lines = WORKFLOW[:cut].split("\n")
    place_at(lines, len(lines) - 1, len(lines[-1]))
    offer_fields(lines, len(lines) - 1, len(lines[-1]))
    field_at(lines, len(lines) - 1, len(lines[-1]))


# -- labels --------------------------------------------------------------------------------

PROVIDERS = [
    provider(GAIA, "gaia"),
    provider(IRIS, "iris", gpus=0),
    dataclasses.replace(provider(IRIS, "away"), is_valid=False),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("¦", ["gpu", "name", "zone"]),
        ("z¦", ["zone"]),
        ("gpu=¦", ["a100", "none"]),
        ("zone=eu name!=¦", ["gaia", "iris"]),
        ("name:in:g¦ zone=eu", ["gaia"]),
        ("rack¦", []),
    ],
)
def test_labels_are_those_that_providers_have(text: str, words: list[str]) -> None:
    """Keys first, then values; of providers that are on the grid."""
    (line,), _, column = at_bar(text)
    offer = offer_labels(line, column, PROVIDERS)
    assert [each.word for each in offer.items] == words


def test_labels_tell_who_has_them() -> None:
    """Examples beside a key, and the number of providers beside a value."""
    gpu, *_ = offer_labels("g", 1, PROVIDERS).items
    assert (gpu.insert, gpu.about, gpu.goes_on) == ("gpu=", "a100, none", True)
    (zone,) = offer_labels("zone=", 5, PROVIDERS).items
    assert (zone.insert, zone.about) == ("zone=eu ", "2 providers")


def test_a_label_that_cannot_be_typed_is_not_offered() -> None:
    """A blank would begin another word, and signs that hide would lie."""
    labels = (
        Label("os name", "x"),
        Label("os", "a b"),
        Label("o\u202es", "x"),
        Label("os", "\x1b"),
    )
    odd = dataclasses.replace(PROVIDERS[0], labels=labels)
    assert [each.word for each in offer_labels("", 0, [odd]).items] == ["os"]
    assert offer_labels("os=", 3, [odd]).items == ()


def test_labels_and_demands() -> None:
    """key=value is a label, with another operator it is a demand; both can be typed again."""
    labels, demands = parse_demands("gpu=a100, mem>=64000 zone!=us name:in:ga")
    assert labels == (Label("gpu", "a100"),)
    assert demands == (
        Affinity("mem", ">=", "64000"), Affinity("zone", "!=", "us"), Affinity("name", "in", "ga")
    )  # fmt: skip
    again = " ".join(typed(each) for each in (*labels, *demands))
    assert parse_demands(again) == (labels, demands)
    with pytest.raises(UsageError, match="'fast' is no label"):
        parse_demands("fast")
