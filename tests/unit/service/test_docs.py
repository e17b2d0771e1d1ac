"""docs/sbatch-api.md says what the service does."""

from __future__ import annotations

import re
from pathlib import Path

from dsq.core.rpc.gen.logger.v1alpha1 import logger_pb2
from dsq.sbatch.service.metrics import Metrics
from dsq.sbatch.service.settings import ServiceSettings

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "sbatch-api.md").read_text()
SETTINGS = (DOCS / "reference" / "settings.md").read_text()
METRICS = (DOCS / "reference" / "metrics.md").read_text()


def section(title: str, page: str = PAGE) -> str:
    """The text under a heading."""
    return page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def named(text: str) -> set[str]:
    """The names in the first column of a table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line[:3] == "| `"]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_setting_is_described() -> None:
    """The table of settings has all fields of ServiceSettings and no others."""
    assert named(section("The sbatch API", SETTINGS)) == set(ServiceSettings.model_fields)


def test_every_metric_is_described() -> None:
    """The table has all metrics under the names that Prometheus shows, and no others."""
    assert named(section("The sbatch API", METRICS)) == Metrics().names()


def test_every_added_field_is_described() -> None:
    """The table of the log protocol's additive fields is complete and has their numbers."""
    rows = re.findall(r"^\| (\w+) \| (\d+) `(\w+)` \|", section("The log service"), re.MULTILINE)
    added = {
        (message.name, str(field.number), field.name)
        for message in logger_pb2.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.number >= 5
    }
    assert set(rows) == added
