"""Many submissions on one session: each outcome is its own, and half an answer is none."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsq.core.errors import UnreachableError
from dsq.supervisor.scheduler.line import Completed
from dsq.supervisor.scheduler.slurm_tools import SlurmTools
from dsq.supervisor.scheduler.submissions import (
    MOST_BYTES,
    NO_FOLDER,
    READ_ALL,
    SESSIONS,
    Outcome,
    Submission,
    Submissions,
    outcomes,
    session_text,
)
from dsq.supervisor.scheduler.transport import LocalTransport


class Line(LocalTransport):
    """This machine; counts sessions, and can cut their answers."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0
        self.cut = 0
        self.broken = False

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        if "sh" not in argv:
            return await super().run(argv, stdin=stdin, timeout=timeout, env=env)
        self.sessions += 1
        if self.broken:
            raise UnreachableError("The line broke.")
        done = await super().run(argv, stdin=stdin, timeout=timeout, env=env)
        if self.cut:
            return Completed(done.returncode, done.stdout[: self.cut], done.stderr)
        return done


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Stands in for sbatch: says what it read, where it is, and fails if it is told to."""
    path = tmp_path / "sbatch"
    path.write_text(
        '#!/bin/sh\necho "warning of $1" >&2\n'
        'case $1 in fail*) exit "${1#fail}" ;; killed) kill -9 $$ ;; esac\n'
        'printf "%s;" "$1"; cat; pwd\n'
    )
    path.chmod(0o755)
    return str(path)


def made(line: Line) -> Submissions:
    tools = SlurmTools(line, bin_dir="", keep_env=(), timeout=10.0)
    return Submissions(tools, 10.0, ["echo", "--jobs="])


async def test_each_gets_its_own_script_folder_and_answer(program: str, tmp_path: Path) -> None:
    """Sixty at once on few sessions; scripts of any bytes and any length, no byte goes astray."""
    line = Line()
    many = made(line)
    scripts = [(b"x%d\n" % n) * (n * 37) + bytes([n + 1, 255, 10]) for n in range(60)]

    async def one(n: int) -> Completed:
        folder = str(tmp_path / "w" / f"{n} '\"$x")
        return (await many.submit(folder, [program, f"a{n}"], scripts[n])).done

    done = await asyncio.gather(*(one(n) for n in range(60)))
    for n, each in enumerate(done):
        folder = f"{tmp_path}/w/{n} '\"$x"
        assert each.returncode == 0
        assert each.stderr.decode() == f"warning of a{n}\n"
        text = scripts[n].decode("utf-8", "replace")
        assert each.stdout.decode() == f"a{n};{text}{folder}\n"
        assert (Path(folder).stat().st_mode & 0o777) == 0o700
    assert line.sessions < 30


async def test_one_that_fails_stops_no_other(program: str, tmp_path: Path) -> None:
    """A refusal, a signal and a folder that cannot be made, each with its own code."""
    line = Line()
    many = made(line)
    (tmp_path / "file").write_text("")
    wanted = [
        ("ok1", str(tmp_path / "1")),
        ("fail3", str(tmp_path / "2")),
        ("no", str(tmp_path / "file" / "x")),
        ("killed", str(tmp_path / "3")),
        ("ok2", str(tmp_path / "4")),
    ]
    # The first ones take all sessions, so that the rest go together.
    busy = [many.submit(str(tmp_path / "b"), [program, "b"], b"") for _ in range(SESSIONS)]
    done = await asyncio.gather(
        *busy, *(many.submit(folder, [program, word], b"s") for word, folder in wanted)
    )
    assert [each.done.returncode for each in done[SESSIONS:]] == [0, 3, NO_FOLDER, 137, 0]
    assert done[-1].done.stdout.startswith(b"ok2;s")


async def test_a_script_that_was_not_read_never_runs_into_the_next(
    program: str, tmp_path: Path
) -> None:
    """A command that fails before it has read its script, or is killed, leaves nothing over."""
    line = Line()
    many = made(line)
    large = b"secret\n" * 100_000
    busy = [many.submit(str(tmp_path / "b"), [program, "b"], b"") for _ in range(SESSIONS)]
    words = ["fail3", "ok1", "killed", "ok2", "fail1", "ok3"] * 4
    done = await asyncio.gather(
        *busy,
        *(
            many.submit(
                str(tmp_path / f"{n}"), [program, word], b"mine\n" if word[0] == "o" else large
            )
            for n, word in enumerate(words)
        ),
    )
    for n, (word, each) in enumerate(zip(words, done[SESSIONS:], strict=True)):
        if word.startswith("ok"):
            assert each.done.stdout.decode() == f"{word};mine\n{tmp_path}/{n}\n"
        else:
            assert each.done.returncode in (3, 137, 1)


async def test_half_an_answer_is_none(program: str, tmp_path: Path) -> None:
    """What was printed before the line was cut is known; the rest is not."""
    line = Line()
    many = made(line)
    whole = await many.submit(str(tmp_path / "0"), [program, "w"], b"")
    assert whole.done.returncode == 0
    line.cut = 60
    with pytest.raises(UnreachableError):
        await many.submit(str(tmp_path / "1"), [program, "x"], b"")
    line.cut, line.broken = 0, True
    results = await asyncio.gather(
        *(many.submit(str(tmp_path / "2"), [program, "x"], b"") for _ in range(9)),
        return_exceptions=True,
    )
    assert {type(result) for result in results} == {UnreachableError}
    line.broken = False
    assert (await many.submit(str(tmp_path / "3"), [program, "y"], b"")).done.returncode == 0


async def test_a_few_that_come_meanwhile_share_a_session(program: str, tmp_path: Path) -> None:
    """The first goes at once; those that come in a moment after it go together."""
    line = Line()
    many = made(line)
    first = asyncio.create_task(many.submit(str(tmp_path / "a"), [program, "a"], b""))
    await asyncio.sleep(0)
    rest = []
    for n in range(3):
        folder = str(tmp_path / str(n))
        rest.append(asyncio.create_task(many.submit(folder, [program, f"{n}"], b"")))
        await asyncio.sleep(0)
    await asyncio.gather(first, *rest)
    assert line.sessions == 2


async def test_who_goes_away_leaves_the_others_on_the_session(program: str, tmp_path: Path) -> None:
    """A caller that is cancelled does not end what runs for others too."""
    line = Line()
    many = made(line)
    tasks = [
        asyncio.create_task(many.submit(str(tmp_path / str(n)), [program, f"{n}"], b""))
        for n in range(SESSIONS * 3)
    ]
    await asyncio.sleep(0)
    tasks[1].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[1], asyncio.CancelledError)
    assert all(isinstance(each, Outcome) for n, each in enumerate(done) if n != 1)


WHOLE = "@m begin\nw1\n@m end 0\n41\n@m begin\n@m end 1\n\n@m all\nqueue"


@given(st.integers(0, len(WHOLE)))
def test_no_cut_turns_into_another_answer(at: int) -> None:
    """Every prefix gives the right outcome or none."""
    right = [Completed(0, b"41\n", b"w1\n"), Completed(1, b"\n", b"")]
    found = outcomes("@m", WHOLE[:at], 2)
    assert len(found) == 2
    for got, want in zip(found, right, strict=True):
        assert got is None or got.done == want
    assert outcomes("@m", WHOLE, 2) == [Outcome(want, "queue") for want in right]


async def test_the_queue_is_asked_for_those_that_were_taken(tmp_path: Path) -> None:
    """Once a session, with the ids that were printed; none when nothing was taken."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text('#!/bin/sh\ncat >/dev/null\n[ $1 != 0 ] || exit 1\necho "$1;cluster"\n')
    sbatch.chmod(0o755)
    many = made(Line())
    done = await many.submit(str(tmp_path / "a"), [str(sbatch), "41"], b"")
    assert (done.done.stdout, done.queue) == (b"41;cluster\n", "--jobs=41\n")
    none = await many.submit(str(tmp_path / "b"), [str(sbatch), "0"], b"")
    assert (none.done.returncode, none.queue) == (1, "")


HOSTILE = [
    b"",
    b"one line without an end",
    b"it's \"half $(quoted `and\n",
    b"\\\n\\\\\n$HOME $1 ${x}\n",
    b"EOF\n)\n}\n; exit 9\n",
    bytes(set(range(1, 256)) - {10}) + b"\n",
    "ä \u2028 漢字 🜲\n".encode() * 50,
    b"@m begin\n@m end 0\n99\n@m all\n",
    b"y" * 300_000 + b"\n" + b"#\n" * 100_000,
]


@pytest.fixture(params=["sh", "dash", "bash", "busybox"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Each shell of this machine, for a cluster may have any of them as sh."""
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param} here")
    return [request.param, *(["sh"] if request.param == "busybox" else [])]


def run(shell: list[str], text: bytes) -> bytes:
    """What a session prints."""
    done = subprocess.run([*shell, "-c", READ_ALL], input=text, capture_output=True, check=False)
    return done.stdout


def test_no_script_means_anything_to_the_shell(shell: list[str], tmp_path: Path) -> None:
    """Whatever a script holds, it arrives as it is, and those after it do too."""
    program = tmp_path / "take"
    program.write_text('#!/bin/sh\ncat > script\necho "$1"\n')
    program.chmod(0o755)
    jobs = [
        Submission(str(tmp_path / f"{n} 'x"), [str(program), f"it's {n} $HOME"], script)
        for n, script in enumerate(HOSTILE)
    ]
    mark = "@0123456789abcdef"
    found = outcomes(mark, run(shell, session_text(mark, jobs, ["echo"])).decode(), len(jobs))
    for n, (job, outcome) in enumerate(zip(jobs, found, strict=True)):
        assert outcome is not None
        assert outcome.done == Completed(0, f"it's {n} $HOME\n".encode(), b"")
        arrived = Path(job.folder, "script").read_bytes()
        assert arrived == HOSTILE[n] + (b"\n" if n == 1 else b"")


def test_a_text_that_was_cut_runs_nothing(shell: list[str], tmp_path: Path) -> None:
    """The line broke while the scripts were on their way: not one is submitted, nor half of one."""
    program = tmp_path / "take"
    program.write_text('#!/bin/sh\ncat >/dev/null\necho ran >>"$1"\n')
    program.chmod(0o755)
    ran = tmp_path / "ran"
    jobs = [Submission(str(tmp_path / n), [str(program), str(ran)], b"a\n}\nb\n") for n in "ab"]
    text = session_text("@m", jobs, ["echo"]).rstrip()
    for at in [*range(0, len(text), 7), len(text) - 2, len(text) - 1]:
        assert run(shell, text[:at]) == b"", text[:at]
    assert not ran.exists()
    assert run(shell, text).count(b"end 0") == 2
    assert ran.read_text() == "ran\nran\n"


async def test_long_scripts_do_not_share_a_session(program: str, tmp_path: Path) -> None:
    """The shell at the other end holds a session's scripts in memory: they have a bound."""
    line = Line()
    many = made(line)
    large = [
        many.submit(str(tmp_path / f"{n}"), [program, f"a{n}"], b"x" * MOST_BYTES + b"\n")
        for n in range(5)
    ]
    done = await asyncio.gather(*large)
    assert [len(each.done.stdout) > MOST_BYTES for each in done] == [True] * 5
    assert line.sessions == 5


def test_the_text_of_a_session_is_sound() -> None:
    """shellcheck finds nothing in it."""
    jobs = [Submission(f"/w/{n}", ["sbatch", "--parsable"], b"it's $x\n") for n in range(2)]
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "-"],
        input=session_text("@m", jobs, ["squeue", "--jobs="]),
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode() == ""
