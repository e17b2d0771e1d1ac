"""Defects of the reference's scripts, by their number in its section 8, and what shows ours clean.

The numbers left out are those of its service.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

SCRIPTS = "unit/sbatch/test_scripts.py"
QUOTING = "unit/sbatch/test_quoting.py"
RENDER = "unit/sbatch/test_render.py"
HOSTILE = "integration/scripts/test_hostile.py::test_hostile_texts_in_all_fields"
NETWORKS = "unit/sbatch/scripts/test_networks.py"
IMAGES = "unit/sbatch/scripts/test_images.py"
S3 = "unit/sbatch/scripts/test_s3.py"
SLURM = "integration/scripts/test_on_slurm.py"

DEFECTS: dict[int, tuple[str, list[str]]] = {
    8: (
        "time grew with the square of the steps",
        [f"{RENDER}::test_time_grows_with_the_number_of_steps_only"],
    ),
    18: ("the path of an image ran as code", [HOSTILE, f"{QUOTING}::test_texts_of_commands"]),
    19: ("the secret of bore ran as code", [HOSTILE, f"{NETWORKS}::TestInterfaces::test_bore"]),
    20: (
        "names of variables ran as code",
        [HOSTILE, "unit/sbatch/test_rules.py::test_rules_accept_and_refuse"],
    ),
    21: (
        "mounted paths broke their quotes",
        [HOSTILE, f"{IMAGES}::TestMounts::test_odd_ones_of_apptainer"],
    ),
    22: (
        "a line break in a key set what WireGuard runs",
        [f"{RENDER}::test_what_is_not_rendered_is_refused"],
    ),
    23: (
        "variables and keys stood in arguments",
        [
            f"{SCRIPTS}::TestHost::test_variables_of_a_step_are_in_no_argument",
            f"{NETWORKS}::TestInterfaces::test_wireguard",
        ],
    ),
    24: (
        "all steps saw the keys of S3 and of registries",
        [
            f"{S3}::TestInput::test_the_calls",
            f"{IMAGES}::TestCredentials::test_enroot",
            f"{IMAGES}::TestCredentials::test_apptainer",
        ],
    ),
    25: (
        "containers saw the keys of virtual networks",
        [f"{NETWORKS}::TestVirtualNetworks::test_hub_and_peers"],
    ),
    26: ("files in /tmp had names to guess", [f"{RENDER}::test_nothing_lies_in_tmp"]),
    27: (
        "a condition could change the script's shell",
        [f"{SCRIPTS}::TestConditions::test_it_cannot_change_the_shell"],
    ),
    28: (
        "a server's reply could speak to the terminal",
        [f"{SCRIPTS}::TestTransfer::test_the_server_cannot_speak_to_the_terminal"],
    ),
    29: (
        "Enroot did not use credentials",
        [
            f"{IMAGES}::TestCredentials::test_enroot",
            f"{IMAGES}::TestCredentials::test_docker_hub_with_enroot",
        ],
    ),
    30: ("a shell on the host was an error", [f"{SCRIPTS}::TestHost::test_the_shell"]),
    31: (
        "nested loops ran the wrong body, failed rounds left others running",
        [
            f"{SCRIPTS}::TestLoops::test_nested_loops",
            f"{SCRIPTS}::TestLoops::test_a_failing_parallel_round_ends_the_others",
        ],
    ),
    32: (
        "with virtual networks the storage stayed, and all hubs but one",
        [
            f"{NETWORKS}::TestVirtualNetworks::test_hubs_end_with_the_job",
            f"{NETWORKS}::TestVirtualNetworks::test_a_hub_that_does_not_come_up",
        ],
    ),
    33: (
        "a job that was told to end went on without its storage",
        [
            f"{SCRIPTS}::TestSignals::test_a_signal_ends_the_job",
            f"{SLURM}::test_a_cancelled_job",
            f"{SLURM}::test_a_warning_before_the_limit",
        ],
    ),
    34: (
        "a failing step lost the output and left the sync running",
        [
            f"{S3}::TestOutputOfFailedJobs::test_in_a_bucket",
            f"{S3}::TestOutputOfFailedJobs::test_over_http",
            f"{S3}::TestOutput::test_the_loop_ends_with_the_job",
        ],
    ),
    35: (
        "commas cut values of the file of variables",
        [f"{SCRIPTS}::TestEnvFile::test_lines_reach_all_later_steps"],
    ),
    36: (
        "archives were taken for others by their names",
        [f"{SCRIPTS}::TestTransfer::test_archives_are_unpacked"],
    ),
    37: (
        "exit codes, entry points and working directories got lost",
        [
            f"{IMAGES}::TestTasks::test_an_empty_command_runs_the_image",
            f"{NETWORKS}::TestNamespaces::test_containers",
            f"{NETWORKS}::TestNamespaces::test_the_exit_code_and_the_environment",
        ],
    ),
    38: (
        "of several name servers the last was kept",
        [f"{NETWORKS}::TestInterfaces::test_all_name_servers_are_kept"],
    ),
    39: (
        "steps at once overwrote each other's networks",
        [
            f"{NETWORKS}::TestInterfaces::test_steps_at_once_have_files_of_their_own",
            f"{RENDER}::test_what_is_not_rendered_is_refused",
        ],
    ),
    40: (
        "signals of launches stayed in the shell, launches were not awaited",
        [
            f"{SCRIPTS}::TestLaunches::test_another_signal",
            f"{SCRIPTS}::TestLaunches::test_waiting_twice_and_from_inside",
            f"{SCRIPTS}::TestLaunches::test_launches_of_a_launch_end_with_it",
            f"{SLURM}::test_the_signal_of_a_launch_reaches_the_command_once",
        ],
    ),
    41: (
        "each step fetched its image, under names that could be the same",
        [
            f"{IMAGES}::TestCache::test_an_image_is_fetched_once_a_job",
            f"{IMAGES}::TestCache::test_other_images_and_users_have_files_of_their_own",
            f"{SLURM}::test_several_nodes",
        ],
    ),
    42: (
        "outputs of modules were taken by the beginning of their names",
        ["unit/sbatch/scripts/test_modules.py::test_outputs_get_the_prefix"],
    ),
    46: (
        "logging waited and delayed the end",
        [f"{RENDER}::test_logging_starts_no_writer"],
    ),
    47: ("negative modes of the input", ["unit/sbatch/test_model.py::test_rules_of_fields"]),
}


def functions(path: Path) -> set[str]:
    """The tests of a file, as pytest names them."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if hasattr(one, "name")}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize("number", DEFECTS, ids=lambda number: f"defect-{number}")
def test_each_defect_has_its_tests(number: int) -> None:
    """The tests that are named are there."""
    _, tests = DEFECTS[number]
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert name in functions(TESTS / file), test
