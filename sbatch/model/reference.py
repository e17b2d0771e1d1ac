"""The tables of docs/workflow.md, made from the model.

``python -m dsq.sbatch.model.reference docs/workflow.md`` writes them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dsq.sbatch.model import FieldDescription, Module, TypeDescription, Workflow, describe
from dsq.sbatch.model.rules import Int32, NoNul

BEGIN = "<!-- fields: made from the model -->"
END = "<!-- end of fields -->"


def tables() -> str:
    """One table a type of the language, in the order of their first use."""
    kinds = {kind.name: kind for root in (Workflow, Module) for kind in describe(root)}
    return "\n\n".join(_table(kind) for kind in kinds.values())


def put_into(page: str) -> str:
    """The page with its tables replaced by the current ones."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _table(kind: TypeDescription) -> str:
    lines = [
        f"### {kind.name}",
        " ".join(kind.text.split()),
        "",
        "| field | type | must | meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_row(field) for field in kind.fields)])


def _row(field: FieldDescription) -> str:
    rules = [rule.words() for rule in field.rules if not isinstance(rule, Int32 | NoNul)]
    cells = [
        f"`{field.name}`",
        f"`{field.graphql_type}`",
        "; ".join(rules),
        field.text + (" Its value is shown in no message." if field.secret else ""),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(put_into(target.read_text(encoding="utf-8")), encoding="utf-8")
