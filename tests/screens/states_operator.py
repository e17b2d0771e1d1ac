"""States of one job's script and ids, of turned steps, and of operators' questions."""

from __future__ import annotations

import dataclasses
from typing import Any

from textual.app import App

from dsq.core.model import Address, Label
from dsq.core.units import CREDIT
from tests.screens.states import State, full_grid
from tests.support.console import console
from tests.support.fake_grid import FakeGrid, provider

AION = Address(b"\x22" * 20)

SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=0x29
#SBATCH --gpus=4
# Made by dsq.
set -o pipefail

_dsq_step() {
  local name=$1
  printf -- '--> %s\\n' "$name" >&2
}

cat > "$STORAGE_PATH/run.sh" <<'EOT'
python train.py --epochs 20
EOT
if [ "${EPOCHS:-0}" -gt 3 ]; then
  srun --job-name='train' /bin/bash "$STORAGE_PATH/run.sh" || exit "$?"
fi
"""

STEPS = """\
--> steps[0]
Running: fetch
12,000 files
<-- steps[0] ok (3 s)
--> steps[1]
Running: train
--> steps[1].steps[0]
Running: warm up
epoch 1
<-- steps[1].steps[0] ok (40 s)
cuda: out of memory
<-- steps[1] failed with 137 (61 s)
--> steps[2]
Running: tidy
still at it""".splitlines()


def with_script() -> App[Any]:
    grid = full_grid()
    grid.scripts[41] = SCRIPT
    return console(grid)


def with_steps() -> App[Any]:
    grid = full_grid()
    grid.output.clear()
    grid.write(41, *STEPS)
    return console(grid)


def operated() -> FakeGrid:
    """A grid of which this wallet is the operator; one provider is new, one wants to change."""
    grid = full_grid()
    grid.operator = True
    grid.propose(provider(AION, "aion", nodes=3))
    gaia = grid.known_providers[0]
    prices = dataclasses.replace(gaia.prices, cpu_per_min=CREDIT // 10)
    grid.propose(
        dataclasses.replace(gaia, prices=prices, labels=(*gaia.labels, Label("gpu", "h100")))
    )
    return grid


def with_operator() -> App[Any]:
    return console(operated())


OPERATOR: dict[str, State] = {
    "job-script": State(with_script, ("enter", "S"), sees=("Script of job 41", "srun")),
    "job-copy": State(with_script, ("enter", "Y"), sees=("job number", "tx: submitted")),
    "log-step-turned": State(
        with_steps,
        ("l", "g", "right_square_bracket", "right_square_bracket", "enter"),
        sees=("▸ steps[1] train: failed with 137 (61 s), 4 lines", "enter opens steps[1]"),
    ),
    "providers-operator": State(with_operator, ("3",), sees=("◷ WAITING", "a approve")),
    "providers-approve": State(
        with_operator, ("3", "a"), sees=("Approve aion?", "+ zone=eu", "Leave it as it is")
    ),
    "providers-change": State(
        with_operator, ("3", "j", "a"), sees=("Approve gaia?", "0.05 → 0.1", "+ gpu=h100")
    ),
    "providers-ban": State(
        with_operator, ("3", "j", "b"), sees=("Ban gaia?", "of your own jobs now")
    ),
}
