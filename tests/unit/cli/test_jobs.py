"""submit, jobs, job, logs, why, cancel, topup."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dsq.core.errors import (
    AllowanceError,
    ContractError,
    CreditsError,
    NotFoundError,
    TryAgainError,
)
from dsq.core.model import JobStatus
from dsq.core.units import CREDIT

from .conftest import Dsq
from .double import GAIA, ME, GridDouble, job


class TestSubmit:
    """dsq submit."""

    def test_everything_reaches_the_grid_exactly(
        self, dsq: Dsq, grid: GridDouble, workflow: str
    ) -> None:
        """Credits are exact, labels and affinities go along; the number goes to stdout."""
        result = dsq(
            "submit", workflow, "--credits", "212.000000000000000001", "--name", "mine",
            "--uses", "gpu=a100", "--uses", "zone=eu", "--affinity", "mem>=64000",
        )  # fmt: skip
        assert (result.code, result.out) == (0, "41\n")
        wei = 212 * CREDIT + 1
        assert grid.did == [
            ("submit", "it", wei, "mine", ["gpu=a100", "zone=eu"], ["mem>=64000"], True)
        ]
        assert "212.000000000000000001 credits are locked" in result.err

    def test_json_prints_the_job_at_once(self, dsq: Dsq, grid: GridDouble, workflow: str) -> None:
        """Standard output is the job's object and nothing else."""
        result = dsq("submit", workflow, "--credits", "100", "--json")
        assert result.json["id"] == 41
        assert result.json["status"] == "PENDING"

    def test_the_name_is_the_files_by_default(
        self, dsq: Dsq, grid: GridDouble, tmp_path: Path, workflow: str
    ) -> None:
        """Cut to 32 bytes without breaking a character."""
        path = tmp_path / ("é" * 20 + ".yaml")
        path.write_text(Path(workflow).read_text())
        dsq("submit", str(path), "--credits", "100")
        assert grid.did[0][3] == "é" * 16

    def test_no_approve_is_passed_on(self, dsq: Dsq, grid: GridDouble, workflow: str) -> None:
        """--no-approve refuses instead of raising the allowance."""
        grid.fail = AllowanceError("The grid may take 0 credits.")
        assert dsq("submit", workflow, "--credits", "100", "--no-approve").code == 79
        grid.fail = None
        dsq("submit", workflow, "--credits", "100", "--no-approve")
        assert grid.did[0][-1] is False

    def test_a_bad_workflow_is_refused_before_the_grid_is_asked(
        self, dsq: Dsq, grid: GridDouble, tmp_path: Path, workflow: str
    ) -> None:
        """Not even the connection is made."""
        path = tmp_path / "bad.yaml"
        path.write_text(Path(workflow).read_text().replace("command", "comand"))
        result = dsq("submit", str(path), "--credits", "100")
        assert result.code == 65
        assert result.err.splitlines()[0].startswith(f"{path}:5:9: ")
        assert grid.sent == []

    @pytest.mark.parametrize("credits", ["1,5", "-5", "1e3", "0.1234567890123456789", ""])
    def test_credits_that_are_no_amount(
        self,
        dsq: Dsq,
        grid: GridDouble,
        workflow: str,
        credits: str,  # noqa: A002
    ) -> None:
        """Exit code 64, nothing sent."""
        assert dsq("submit", workflow, "--credits", credits).code == 64
        assert grid.sent == []

    @pytest.mark.parametrize(
        ("state", "code"),
        [
            (job(41, JobStatus.FINISHED), 0),
            (job(41, JobStatus.FAILED, exit_status=3 << 8), 3),
            (job(41, JobStatus.FAILED, exit_status=9), 137),
            (job(41, JobStatus.FAILED), 1),
            (job(41, JobStatus.CANCELLED), 130),
            (job(41, JobStatus.OUT_OF_CREDITS), 124),
            (job(41, JobStatus.PANICKED), 70),
        ],
    )
    def test_watch_exits_as_the_job_ends(
        self, dsq: Dsq, grid: GridDouble, workflow: str, state: object, code: int
    ) -> None:
        """Statuses go to stderr with their time, the output to stdout, the end is the code."""
        grid.course = [job(41, JobStatus.RUNNING), state]  # type: ignore[list-item]
        grid.output = [b"one", b"two"]
        result = dsq("submit", workflow, "--credits", "100", "--watch")
        assert (result.code, result.out) == (code, "one\ntwo\n")
        assert "RUNNING on gaia" in result.err
        assert state.status.name in result.err  # type: ignore[attr-defined]
        assert ("logs", 41, True) in grid.did

    def test_watch_asks_for_no_log_where_there_is_none(
        self, dsq: Dsq, grid: GridDouble, workflow: str
    ) -> None:
        """A workflow without enableLogging has no output in the grid."""
        path = Path(workflow)
        path.write_text(path.read_text().replace("enableLogging: true\n", ""))
        grid.course = [job(41, JobStatus.FINISHED)]
        assert dsq("submit", workflow, "--credits", "100", "--watch").code == 0
        assert [one[0] for one in grid.did] == ["submit"]

    def test_watch_and_json_print_an_object_a_line(
        self, dsq: Dsq, grid: GridDouble, workflow: str
    ) -> None:
        """Each change once, nothing else on stdout."""
        grid.course = [job(41, JobStatus.RUNNING), job(41, JobStatus.FINISHED)]
        grid.output = [b"noise"]
        result = dsq("submit", workflow, "--credits", "100", "--watch", "--json")
        statuses = [json.loads(line)["status"] for line in result.out.splitlines()]
        assert statuses == ["PENDING", "RUNNING", "FINISHED"]


class TestJobs:
    """dsq jobs and dsq job show."""

    def test_json_is_a_list_newest_first(self, dsq: Dsq, grid: GridDouble) -> None:
        """Only the account's own jobs."""
        other = dataclasses.replace(job(3), customer=GAIA)
        grid.add(job(1, JobStatus.FINISHED), job(2), other)
        assert [one["id"] for one in dsq("jobs", "--json").json] == [2, 1]
        assert [one["id"] for one in dsq("jobs", "--json", "--status", "finished").json] == [1]
        assert [one["id"] for one in dsq("jobs", "--json", "--limit", "1").json] == [2]
        assert [one["id"] for one in dsq("jobs", "--json", "--customer", str(GAIA)).json] == [3]

    def test_filters_and_sorts_as_the_console_does(self, dsq: Dsq, grid: GridDouble) -> None:
        """--filter takes the console's words, --sort a key; both bound by --status and --limit."""
        named = [dataclasses.replace(job(n), name=name) for n, name in enumerate("cab", 1)]
        grid.add(*named, job(4, JobStatus.FINISHED))

        def ids(*args: str) -> list[int]:
            return [one["id"] for one in dsq("jobs", "--json", *args).json]

        assert ids("--filter", "status:pending !a") == [3, 1]
        assert ids("--sort", "name", "--status", "pending") == [2, 3, 1]
        assert ids("--sort", "-name", "--limit", "2", "--filter", "provider:none|0x9a name:t") == [
            4
        ]
        assert ids("--filter", "id>1", "--sort", "id") == [2, 3, 4]
        grid.add(job(1, JobStatus.FINISHED))
        assert ids("--filter", "status:finished") == [4, 1]

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (("--filter", "stauts:running"), "'status'"),
            (("--filter", "cost>x"), "no number"),
            (("--sort", "cots"), "'cost'"),
        ],
    )
    def test_mistakes_in_a_filter_are_explained(
        self, dsq: Dsq, grid: GridDouble, args: tuple[str, str], words: str
    ) -> None:
        """One sentence with the close match, exit code 64."""
        result = dsq("jobs", *args)
        assert result.code == 64
        assert words in result.err

    def test_the_table_has_a_line_a_job(self, dsq: Dsq, grid: GridDouble) -> None:
        """Aligned columns, without colour in a pipe."""
        grid.add(job(1, JobStatus.FINISHED), job(12, JobStatus.RUNNING))
        lines = dsq("jobs").out.splitlines()
        assert lines[0].split()[:3] == ["ID", "NAME", "STATUS"]
        assert [line.split()[0] for line in lines[1:]] == ["12", "1"]
        assert "\x1b" not in "".join(lines)
        assert lines[2].split()[-2:] == ["1.50", "100.00"]

    def test_an_empty_list_teaches_the_next_step(self, dsq: Dsq, grid: GridDouble) -> None:
        """Words on stderr, an empty stdout; with --json an empty list."""
        result = dsq("jobs")
        assert (result.code, result.out) == (0, "")
        assert "dsq submit" in result.err
        assert dsq("jobs", "--json").json == []

    def test_show_prints_the_object(self, dsq: Dsq, grid: GridDouble) -> None:
        """Decimal and 0x ids mean the same."""
        grid.add(job(41, JobStatus.FAILED, exit_status=3 << 8, last_error="it broke"))
        shown = dsq("job", "show", "41", "--json").json
        assert (shown["exit_code"], shown["last_error"]) == (3, "it broke")
        assert dsq("job", "show", "0x29", "--json").json == shown

    def test_show_for_people_hides_what_a_terminal_would_obey(
        self, dsq: Dsq, grid: GridDouble
    ) -> None:
        """Escape sequences in names and errors of strangers do not reach the terminal."""
        grid.add(job(41, JobStatus.FAILED, name="\x1b[2Jx", last_error="a\x1b]0;owned\x07b"))
        result = dsq("job", "show", "41")
        assert "\x1b" not in result.out
        assert "gaia" in result.out

    def test_an_unknown_job_is_66(self, dsq: Dsq, grid: GridDouble) -> None:
        """One sentence that names it."""
        result = dsq("job", "show", "4711")
        assert result.code == 66
        assert "4711" in result.err


class TestOthers:
    """dsq logs, why, cancel, topup."""

    def test_logs_are_the_bytes_of_the_job(self, dsq: Dsq, grid: GridDouble) -> None:
        """Into a pipe nothing is changed, and every line ends once."""
        grid.output = [b"plain", b"\x1b[31mred\x1b[0m\n", b"\tend"]
        result = dsq("logs", "41")
        assert result.out == "plain\n\x1b[31mred\x1b[0m\n\tend\n"
        assert grid.did == [("logs", 41, False)]
        assert dsq("logs", "41", "--follow").code == 0
        assert grid.did[-1] == ("logs", 41, True)

    def test_logs_with_times(self, dsq: Dsq, grid: GridDouble) -> None:
        """RFC 3339 UTC with milliseconds before each line."""
        grid.output = [b"plain"]
        assert dsq("logs", "41", "--timestamps").out == "2026-11-18T11:06:40.000Z plain\n"

    def test_the_steps_of_an_output(self, dsq: Dsq, grid: GridDouble) -> None:
        """Each with its name, how it ended, how long it took, how much it wrote."""
        grid.output = [
            b"--> steps[0]", b"Running: outer", b"one", b"--> steps[0].steps[0]", b"two",
            b"<-- steps[0].steps[0] failed with 3 (4 s)", b"<-- steps[0] ok (5 s)", b"--> x",
        ]  # fmt: skip
        rows = [line.split() for line in dsq("logs", "41", "--steps").out.splitlines()]
        assert rows == [
            ["STEP", "NAME", "RESULT", "LINES"],
            ["steps[0]", "outer", "ok", "(5", "s)", "3"],
            ["steps[0].steps[0]", "failed", "with", "3", "(4", "s)", "1"],
            ["x", "…", "0"],
        ]
        steps = dsq("logs", "41", "--steps", "--json").json
        assert steps[1] == {
            "path": "steps[0].steps[0]", "name": "", "depth": 1, "ended": True, "exit_code": 3,
            "seconds": 4, "lines": 1,
        }  # fmt: skip
        assert (steps[2]["ended"], steps[2]["exit_code"], steps[2]["seconds"]) == (
            False,
            None,
            None,
        )
        grid.output = [b"nothing"]
        assert "tells of no steps" in dsq("logs", "41", "--steps").err

    def test_the_output_of_one_step(self, dsq: Dsq, grid: GridDouble) -> None:
        """By path or name, its markers left out; a mistyped one is answered with the close one."""
        grid.output = [
            b"before", b"--> steps[0]", b"Running: train", b"one", b"<-- steps[0] ok (5 s)",
            b"between", b"--> steps[1]", b"Running: test", b"two", b"<-- steps[1] ok (5 s)",
        ]  # fmt: skip
        assert dsq("logs", "41", "--step", "train").out == "one\n"
        assert dsq("logs", "41", "--step", "steps[1]").out == "two\n"
        result = dsq("logs", "41", "--step", "tran")
        assert (result.code, result.out) == (66, "")
        assert "Did you mean 'train'?" in result.err
        assert dsq("logs", "41", "--step", "train", "--steps").code == 64
        assert dsq("logs", "41", "--json").code == 64

    def test_why_tells_place_and_reasons(self, dsq: Dsq, grid: GridDouble) -> None:
        """For people on stdout; as JSON with the same facts."""
        grid.add(job(41))
        text = dsq("why", "41").out
        assert "number 2 of 3 waiting" in text
        assert "busy: 8 of 8 CPUs in use" in text
        answer = dsq("why", "41", "--json").json
        assert (answer["place"], answer["of"]) == (2, 3)
        assert answer["providers"][0]["wei_per_minute"] == str(CREDIT)

    def test_why_tells_who_has_it_and_why(self, dsq: Dsq, grid: GridDouble) -> None:
        """The provider, the rule that chose it, and its price; the address as JSON."""
        grid.add(job(41, JobStatus.RUNNING), job(42, JobStatus.SCHEDULED))
        text = dsq("why", "41").out
        assert "Job 41 is RUNNING. Runs on gaia. It was the cheapest that could" in text
        assert "could start it (1.00 a minute)." in text
        assert "Claimed by gaia; waits in its Slurm." in dsq("why", "42").out
        assert dsq("why", "41", "--json").json["provider"] == str(GAIA)

    def test_timeline(self, dsq: Dsq, grid: GridDouble) -> None:
        """Each state with its time, what passed since, its block and its transaction."""
        grid.add(job(41, JobStatus.RUNNING))
        lines = dsq("job", "timeline", "41").out.splitlines()
        assert lines[0].split() == ["STATUS", "AT", "AFTER", "BLOCK", "TRANSACTION"]
        assert lines[1].split()[:2] == ["PENDING", "2026-11-18T11:06:40Z"]
        last = ["RUNNING", "2026-11-18T11:06:46Z", "+0:02", "103", "0x" + "03" * 32]
        assert lines[4].split() == last
        steps = dsq("job", "timeline", "41", "--json").json
        assert steps[1] == {
            "status": "META_SCHEDULED", "at": "2026-11-18T11:06:42Z", "block_number": 101,
            "tx_hash": "0x" + "01" * 32,
        }  # fmt: skip

    def test_script_goes_out_as_it_is(self, dsq: Dsq, grid: GridDouble) -> None:
        """Byte for byte on standard output, asked for with the wallet."""
        result = dsq("job", "script", "41")
        assert (result.code, result.out) == (0, "#!/bin/bash\n# job 41\n")
        assert grid.did == [("script", 41)]
        grid.fail = NotFoundError("The grid keeps no script of job 41 any more.")
        result = dsq("job", "script", "41")
        assert (result.code, result.out) == (66, "")
        assert "keeps no script of job 41 any more" in result.err

    def test_cancel_says_what_comes_back(self, dsq: Dsq, grid: GridDouble) -> None:
        """All of it for a job that waits; the rest, later, for one that runs."""
        grid.add(job(1), job(2, JobStatus.RUNNING))
        assert "100 credits come back" in dsq("cancel", "1").err
        assert "gaia was asked to end job 2" in dsq("cancel", "2").err
        assert dsq("cancel", "2", "--json").json["has_cancel_request"] is True

    def test_release_says_what_became_of_the_job(self, dsq: Dsq, grid: GridDouble) -> None:
        """Back in the queue, or ended with what it cost; before its time, one sentence."""
        grid.add(job(1, JobStatus.META_SCHEDULED), job(2, JobStatus.RUNNING))
        result = dsq("job", "release", "1")
        assert result.err == "Job 1 is PENDING again and waits for another provider.\n"
        result = dsq("job", "release", "2")
        assert result.err == "Job 2 is FAILED: it cost 0 credits, 100 come back.\n"
        assert dsq("job", "release", "2", "--json").json["status"] == "FAILED"
        grid.fail = TryAgainError("Job 2 is RUNNING and may be released at 14:05 UTC.")
        result = dsq("job", "release", "2")
        assert (result.code, result.out) == (75, "")
        assert "may be released at 14:05 UTC" in result.err

    def test_cancel_of_a_running_job_names_the_way_out(self, dsq: Dsq, grid: GridDouble) -> None:
        """When the provider must have answered, and what to do if it does not."""
        grid.add(job(2, JobStatus.RUNNING))
        result = dsq("cancel", "2")
        assert "gaia was asked to end job 2" in result.err
        assert "'dsq job release 2' ends it from 2026-11-18" in result.err

    def test_topup_says_what_it_buys(self, dsq: Dsq, grid: GridDouble) -> None:
        """In time at the job's provider."""
        grid.add(job(2, JobStatus.RUNNING))
        assert "1 h 02 min more on gaia" in dsq("topup", "2", "62.5").err
        assert grid.did == [("top_up", 2, 625 * CREDIT // 10, True)]

    def test_what_a_contract_refuses_is_one_sentence(self, dsq: Dsq, grid: GridDouble) -> None:
        """Exit code 75."""
        grid.add(job(2, JobStatus.RUNNING))
        grid.fail = ContractError("The job has ended.", name="JobHotStatusOnly")
        result = dsq("cancel", "2")
        assert (result.code, result.err) == (75, "dsq: The job has ended.\n")


class TestMoneyAndProviders:
    """dsq credits, dsq providers, dsq estimate."""

    def test_balance_as_json(self, dsq: Dsq, grid: GridDouble) -> None:
        """With the account's address; 'dsq credits' alone means the same."""
        result = dsq("credits", "balance", "--json")
        assert result.json == {
            "address": str(ME),
            "allowance_wei": "0",
            "balance_wei": str(9_900 * CREDIT),
            "locked_wei": str(100 * CREDIT),
            "native_wei": str(CREDIT),
            "claimable_wei": "0",
            "faucet_wei": "0",
        }
        assert dsq("credits", "--json").json == result.json
        assert dsq("credits", "balance", str(GAIA), "--json").json["address"] == str(GAIA)
        assert "9900 credits" in dsq("credits").out

    def test_what_waits_is_shown_and_collected(self, dsq: Dsq, grid: GridDouble) -> None:
        """Deferred payments and the faucet's promises name the command that collects them."""
        grid.waiting = {"claimable_wei": 3 * CREDIT, "faucet_wei": 5 * CREDIT}
        text = dsq("credits").out
        assert "3 credits: 'dsq credits withdraw' collects them" in text
        assert "5 credits: 'dsq credits claim' collects them" in text
        assert dsq("credits", "claim").err.startswith("Claimed 5 credits from")
        result = dsq("credits", "withdraw", "--to", str(GAIA), "--json")
        assert result.json == {"address": str(GAIA), "withdrawn_wei": str(3 * CREDIT)}
        assert dsq("credits", "withdraw").err == f"Paid 3 waiting credits to {ME}.\n"
        assert grid.did == [
            ("claim_faucet",), ("withdraw_claimable", GAIA), ("withdraw_claimable", None),
        ]  # fmt: skip

    def test_allowance_is_shown_and_set(self, dsq: Dsq, grid: GridDouble) -> None:
        """Without a number nothing is signed."""
        assert dsq("credits", "allowance").out == "0\n"
        assert grid.did == []
        assert dsq("credits", "allowance", "12.5").out == "12.5\n"
        assert grid.did == [("set_allowance", 25 * CREDIT // 2)]

    def test_transfer_sends_exactly(self, dsq: Dsq, grid: GridDouble) -> None:
        """A mistyped address is refused before anything is opened."""
        assert dsq("credits", "transfer", str(GAIA), "0.1").code == 0
        assert grid.did == [("transfer", GAIA, CREDIT // 10)]
        wrong = str(GAIA).swapcase().replace("0X", "0x")
        assert dsq("credits", "transfer", wrong, "1").code == 64
        assert dsq("credits", "transfer", "0x12", "1").code == 64
        assert len(grid.did) == 1

    def test_too_few_credits_is_79(self, dsq: Dsq, grid: GridDouble) -> None:
        """The grid's sentence, its exit code."""
        grid.fail = CreditsError("The wallet holds 1 credits.")
        assert dsq("credits", "transfer", str(GAIA), "5").code == 79

    @pytest.mark.parametrize("command", ["approve", "remove", "ban", "unban"])
    def test_operators_commands(self, dsq: Dsq, grid: GridDouble, command: str) -> None:
        """Each reaches the contract's call of its name, for providers that exist."""
        assert dsq("providers", command, str(GAIA)).code == 0
        assert grid.did == [(command, GAIA)]
        assert dsq("providers", command, str(ME)).code == 66
        assert len(grid.did) == 1

    def test_providers_list_and_show(self, dsq: Dsq, grid: GridDouble) -> None:
        """The list is what 'dsq providers' alone prints."""
        rows = dsq("providers", "list", "--json").json
        assert rows[0]["name"] == "gaia"
        assert dsq("providers", "--json").json == rows
        table = dsq("providers").out
        assert "approved" in table
        assert "banned" in table
        shown = dsq("providers", "show", str(GAIA), "--json").json
        assert shown["nodes"] == [{"cpus": 8, "gpus": 2, "mem_mb": 64_000}]
        assert "label gpu" in dsq("providers", "show", str(GAIA)).out

    def test_providers_show_tells_the_past(self, dsq: Dsq, grid: GridDouble) -> None:
        """Success, wait and cost of the provider's last jobs, of all customers."""
        grid.add(job(1, JobStatus.FINISHED), job(2, JobStatus.FAILED, customer=GAIA))
        grid.add(job(3, JobStatus.RUNNING))
        text = dsq("providers", "show", str(GAIA)).out
        for words in ("3, 1 of them open", "50% of 2 that ran", "0:05 from submit", "3.00 credits"):
            assert words in text
        record = dsq("providers", "show", str(GAIA), "--json").json["record"]
        assert (record["jobs"], record["ran"], record["finished"], record["open"]) == (3, 2, 1, 1)
        assert (record["wait_seconds"], record["cost_wei"]) == (5, str(3 * CREDIT))

    def test_providers_compare(self, dsq: Dsq, grid: GridDouble, workflow: str) -> None:
        """A column each; with a workflow what it costs there; the same as JSON."""
        grid.add(job(1, JobStatus.FINISHED))
        text = dsq("providers", "compare", str(GAIA)).out
        assert "gaia" in text.splitlines()[0]
        assert "100% of 1" in text
        assert "a minute" not in text
        text = dsq("providers", "compare", str(GAIA), "--workflow", workflow, "--credits", "62").out
        assert "1 h 02 min" in text
        found = dsq(
            "providers", "compare", str(GAIA), "--workflow", workflow, "--credits", "62", "--json"
        ).json
        assert [one["name"] for one in found] == ["gaia"]
        assert found[0]["answer"]["minutes"] == 62
        assert found[0]["record"]["finished"] == 1
        assert dsq("providers", "compare", str(GAIA), "--credits", "5").code == 64
        assert dsq("providers", "compare").code == 64
        assert dsq("providers", "compare", str(ME)).code == 66

    def test_estimate_needs_no_wallet(
        self, dsq: Dsq, grid: GridDouble, workflow: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Labels count; the answers come as a table or as JSON."""
        monkeypatch.delenv("ETH_PRIVATE_KEY")
        result = dsq("estimate", workflow, "--credits", "62", "--uses", "gpu=a100")
        assert result.code == 0
        assert "1 h 02 min" in result.out
        assert "needs 4 GPUs, has 2 on all its nodes" in result.out
        definition = grid.sent[0][1]
        assert (definition.ntasks, str(definition.uses[0])) == (1, "gpu=a100")
        rows = dsq("estimate", workflow, "--credits", "62", "--json").json
        assert [row["reason"] == "" for row in rows] == [True, False]
