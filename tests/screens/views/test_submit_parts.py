"""What stands behind the submit view: reasons in few words, credits for a time, recent files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.cells import cell_len

from dsq.console.dialogs.ask_secrets import GivenSecrets
from dsq.console.submitting import Order
from dsq.console.user.estimates import (
    PLENTY,
    credits_for,
    estimate_columns,
    in_order,
    reason_text,
)
from dsq.console.user.recent import KEPT, RecentFiles
from dsq.console.widgets.columns import fit_columns
from dsq.console.workflow_files import known_modules
from dsq.core.errors import UsageError
from dsq.core.metascheduler.matching import busy, estimate
from dsq.core.metascheduler.occupation import Occupation
from dsq.core.model import Affinity, JobDefinition, Label, ProviderHardware, WhyNot
from dsq.core.units import CREDIT, cost_of
from dsq.sbatch.workflow import load_workflow
from tests.support.fake_grid import GAIA, IRIS, provider

SMALL = JobDefinition(1, 1, 500)
GAIA_HERE = provider(GAIA, "gaia")
IRIS_HERE = provider(IRIS, "iris", gpus=0, cpu_price=CREDIT // 16)


@pytest.mark.parametrize(
    ("wanted", "wei", "short"),
    [
        (JobDefinition(1, 1, 500, 9), 100, "9 GPUs, has 8"),
        (JobDefinition(1, 1, 500, 6), 100, "6 GPUs a node, has 4"),
        (JobDefinition(1, 33, 500), 100, "33 CPUs a task, has 32"),
        (JobDefinition(1, 32, 5000), 100, "160000 MB a task, has 128000"),
        (JobDefinition(65, 1, 500), 100, "65 CPUs, has 64"),
        (dataclasses.replace(SMALL, uses=(Label("rack", "7"),)), 100, "no label rack"),
        (dataclasses.replace(SMALL, uses=(Label("zone", "us"),)), 100, "zone is eu"),
        (dataclasses.replace(SMALL, affinity=(Affinity("zone", "==", "us"),)), 100, "zone is eu"),
        (SMALL, 0, "less than a minute"),
    ],
)
def test_reasons_have_a_short_form(wanted: JobDefinition, wei: int, short: str) -> None:
    """What the matching says is told in few words where there is no room for its sentence."""
    (row,) = estimate(wanted, wei * CREDIT, [GAIA_HERE])
    assert row.reason
    assert reason_text(row.reason, 10) == short
    assert reason_text(row.reason, 200) == row.reason


def test_a_busy_provider_has_a_short_form() -> None:
    """So have sentences that are no estimate's, as of a job that waits."""
    occupation = Occupation(ProviderHardware((4,), (32,), (128_000,)))
    occupation.add(1, JobDefinition(1, 1, 500, 4))
    sentence = busy(JobDefinition(1, 1, 500, 1), occupation)
    assert reason_text(sentence, 10) == "4 of 4 GPUs busy"


def test_an_unknown_reason_stays_as_it_is() -> None:
    """A sentence of a newer grid is cut by the table, not lost."""
    assert reason_text("the moon is in the wrong house", 5) == "the moon is in the wrong house"


def test_names_and_reasons_get_the_room_they_need() -> None:
    """On 80 columns the price gives way to a long reason, not the reason's end."""
    rows = [WhyNot(GAIA, "gaia-of-the-north", "needs 6 GPUs on one node, has 4")]
    kept = {column.key: width for column, width in fit_columns(estimate_columns(rows), 34)}
    assert kept["buys"] >= cell_len("× 6 GPUs a node, has 4")
    assert "rate" not in kept
    assert "rate" in {column.key for column, _ in fit_columns(estimate_columns(), 34)}


def test_who_can_take_it_comes_first() -> None:
    """The cheapest on top, those that cannot at the end."""
    rows = [
        WhyNot(GAIA, "a", "busy", 0, 1),
        WhyNot(GAIA, "b", "", 10, 5),
        WhyNot(GAIA, "c", "", 10, 3),
    ]
    assert [row.name for row in in_order(rows)] == ["c", "b", "a"]


# -- credits for a time --------------------------------------------------------------------


def test_a_time_costs_what_the_dearest_provider_takes_for_it() -> None:
    """So that it is enough wherever the job is placed; at least the grid's minimum."""
    rows = estimate(SMALL, PLENTY, [GAIA_HERE, IRIS_HERE])
    assert credits_for(rows, 6000, CREDIT) == cost_of(SMALL, IRIS_HERE.prices, 6000)
    assert credits_for(rows, 1, 100 * CREDIT) == 100 * CREDIT


def test_providers_that_cannot_take_it_cost_nothing() -> None:
    """A dear provider without GPUs does not count for a job that needs some."""
    wanted = dataclasses.replace(SMALL, gpus=1)
    rows = estimate(wanted, PLENTY, [GAIA_HERE, IRIS_HERE])
    assert credits_for(rows, 60, 0) == cost_of(wanted, GAIA_HERE.prices, 60)


def test_a_limit_of_a_provider_rules_it_out() -> None:
    """A provider that stops jobs earlier is not paid for longer."""
    labels = (*IRIS_HERE.labels, Label("max-minutes", "60"))
    short = dataclasses.replace(IRIS_HERE, labels=labels)
    rows = estimate(SMALL, PLENTY, [GAIA_HERE, short])
    assert credits_for(rows, 90, 0) == cost_of(SMALL, GAIA_HERE.prices, 90)
    with pytest.raises(UsageError, match="1 h 00 min at most"):
        credits_for(estimate(SMALL, PLENTY, [short]), 90, 0)


def test_without_a_provider_nobody_knows_what_time_costs() -> None:
    """Neither on an empty grid nor where all refuse."""
    big = dataclasses.replace(SMALL, gpus=99)
    for rows in ([], estimate(big, PLENTY, [GAIA_HERE])):
        with pytest.raises(UsageError, match="No provider can take the job"):
            credits_for(rows, 60, 0)


# -- recent files --------------------------------------------------------------------------


def test_files_that_were_opened_are_remembered(tmp_path: Path) -> None:
    """By the next console too; the newest first, each once, those that are gone left out."""
    kept = tmp_path / "settings" / "recent-workflows"
    files = [tmp_path / f"{number}.yaml" for number in range(KEPT + 2)]
    for file in files:
        file.touch()
        RecentFiles(kept).add(file)
    RecentFiles(kept).add(files[-3])
    assert kept.read_text().splitlines()[:2] == [str(files[-3]), str(files[-1])]
    files[-1].unlink()
    found = RecentFiles(kept).all()
    assert found[:2] == [files[-3], files[-2]]
    assert len(found) == KEPT - 1


def test_without_a_place_files_are_remembered_until_the_end(tmp_path: Path) -> None:
    """As in a replay."""
    (tmp_path / "a.yaml").touch()
    recent = RecentFiles()
    recent.add(tmp_path / "a.yaml")
    assert recent.all() == [tmp_path / "a.yaml"]
    assert RecentFiles().all() == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"relative\n../x\n", b"\0\n"])
def test_a_damaged_list_is_no_list(tmp_path: Path, content: bytes) -> None:
    """Nothing depends on it; the next file begins it anew."""
    kept = tmp_path / "recent-workflows"
    kept.write_bytes(content)
    assert RecentFiles(kept).all() == []
    (tmp_path / "a.yaml").touch()
    RecentFiles(kept).add(tmp_path / "a.yaml")
    assert RecentFiles(kept).all() == [tmp_path / "a.yaml"]


# -- modules and secrets -------------------------------------------------------------------


def test_modules_at_hand_are_those_beside_the_file_and_the_fetched_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what they do, as their own file says."""
    monkeypatch.setenv("DSQ_CACHE_DIR", str(tmp_path / "cache"))
    commit = "1" * 40
    cached = tmp_path / "cache" / "modules" / "git.example_8443" / "a" / "b" / commit / "train"
    for folder, words in ((tmp_path / "mine", '"Does it"'), (cached, "Trains")):
        folder.mkdir(parents=True)
        (folder / "module.yaml").write_text(f"name: x\ndescription: {words}\n")
    assert known_modules(tmp_path) == [
        ("./mine", "Does it"),
        (f"git.example:8443/a/b/train@{commit}", "Trains"),
    ]


def test_values_of_secrets_are_in_no_repr() -> None:
    """Whatever prints an order, or what was typed, prints no value."""
    workflow = load_workflow(
        "resources: {tasks: 1, cpusPerTask: 1, memPerCpu: 1, gpus: 0}\nsteps: []\n"
    )
    order = Order(workflow, "x", 1, secrets={"TOKEN": "hunter2"})
    given = GivenSecrets({"TOKEN": "hunter2"}, {"TOKEN": "typed"})
    assert "hunter2" not in f"{order!r}{given!r}{order}{given}"
