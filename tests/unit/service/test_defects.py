"""Defects of the reference's service that are not repeated, each with the tests that hold it.

The number is the one in the reference's list; what is of the language and of scripts has its
tests there.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
UNIT, REAL = "unit/service", "integration/service"

DEFECTS: dict[int, tuple[str, list[str]]] = {
    1: (
        "a script was given for the key that was asked for, not for the chain's",
        [
            f"{UNIT}/test_scripts.py::test_another_key",
            f"{UNIT}/test_scripts.py::test_a_colluding_customer",
            f"{REAL}/test_collusion.py::test_nothing_of_a_third_party_is_had",
        ],
    ),
    2: (
        "addresses were compared as text",
        [f"{UNIT}/test_scripts.py::test_an_address_near_the_customers"],
    ),
    3: (
        "a short signature or a broken id ended the process",
        [
            f"{UNIT}/test_scripts.py::test_a_malformed_signature",
            f"{UNIT}/test_scripts.py::test_a_malformed_id",
            f"{UNIT}/test_scripts.py::test_what_is_no_message",
            f"{REAL}/test_fuzz.py::test_random_requests",
        ],
    ),
    4: (
        "a challenge served for ten minutes, and any number of them could be had",
        [
            f"{UNIT}/test_scripts.py::test_a_nonce_used_twice",
            f"{REAL}/test_collusion.py::test_a_challenge_that_was_overheard",
            "support/store_contract.py::test_a_nonce_is_taken_by_one",
            "support/store_contract.py::test_nonces_are_bounded",
            f"{UNIT}/test_limits.py::test_too_many_calls_over_grpc",
            f"{REAL}/test_redis.py::test_redis_goes_and_comes_back",
        ],
    ),
    5: (
        "scripts and values were logged, and told in errors",
        [
            f"{UNIT}/test_secrets.py::test_no_log_holds_a_secret",
            f"{UNIT}/test_transport.py::test_no_answer_repeats_a_value",
        ],
    ),
    6: (
        "a debug route gave scripts to everybody",
        [
            f"{UNIT}/test_transport.py::test_the_job_query_always_fails",
            f"{UNIT}/test_web.py::test_there_is_no_debug_route",
        ],
    ),
    7: (
        "no limit of any kind, no time-outs, no orderly end",
        [
            f"{UNIT}/test_limits.py::test_too_many_requests_over_http",
            f"{UNIT}/test_limits.py::test_too_many_streams",
            f"{UNIT}/test_size.py::test_every_list_of_steps_counts",
            f"{UNIT}/test_size.py::test_depth",
            f"{UNIT}/test_size.py::test_nested_loops_multiply",
            f"{UNIT}/test_submit.py::test_a_body_that_is_too_long",
            f"{UNIT}/test_submit.py::test_too_many_mutations",
            f"{UNIT}/test_web.py::test_a_client_that_sends_no_head",
            f"{UNIT}/test_web.py::test_a_body_that_does_not_come",
            f"{REAL}/test_on_chain.py::test_a_service_that_was_stopped_goes_on",
        ],
    ),
    9: (
        "the service asked any host that a caller named, without a limit",
        [f"{UNIT}/test_registry.py::test_modules_are_not_fetched_unless_allowed"],
    ),
    10: (
        "a module could read files of the server",
        [f"{UNIT}/test_registry.py::test_modules_are_not_fetched_unless_allowed"],
    ),
    12: (
        "look-ups went anywhere, passwords with them, once a step, without a memory",
        [
            f"{UNIT}/test_registry.py::test_hosts_that_are_not_listed",
            f"{UNIT}/test_registry.py::test_who_may_have_the_password",
            f"{UNIT}/test_registry.py::test_an_image_that_is_there",
            f"{UNIT}/test_registry.py::test_an_odd_answer_is_a_warning",
        ],
    ),
    16: (
        "scripts lay in clear, were never deleted in memory, and shared names in Redis",
        [
            f"{UNIT}/test_scripts.py::test_scripts_are_sealed_on_disk",
            f"{REAL}/test_redis.py::test_nothing_readable_lies_in_redis",
            f"{UNIT}/test_ledger.py::test_a_script_that_no_job_names_goes_after_a_day",
            "support/store_contract.py::test_deleted_scripts_leave_nothing",
        ],
    ),
    17: (
        "settings of TLS that were never applied",
        [
            f"{UNIT}/test_start.py::test_standard_clients_over_tls",
            f"{UNIT}/test_start.py::test_settings_that_cannot_work",
        ],
    ),
    43: (
        "a script went after an hour, and short ids were filled up",
        [
            f"{UNIT}/test_ledger.py::test_a_script_outlives_its_jobs_by_the_grace",
            f"{UNIT}/test_scripts.py::test_a_malformed_id",
        ],
    ),
    44: (
        "odd answers of registries counted as success, right ones were refused",
        [
            f"{UNIT}/test_registry.py::test_an_odd_answer_is_a_warning",
            f"{UNIT}/test_registry.py::test_an_image_that_is_there",
            f"{UNIT}/test_registry.py::test_an_image_that_is_not_there",
        ],
    ),
    46: (
        "an empty address of the log service ended the process",
        [f"{UNIT}/test_scripts.py::test_the_provider_gets_the_script"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("number", DEFECTS)
def test_each_has_its_tests(number: int) -> None:
    """The tests that the table names are there."""
    for name in DEFECTS[number][1]:
        file, function = name.split("::")
        tree = ast.parse((TESTS / file).read_text())
        names = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in names, name
