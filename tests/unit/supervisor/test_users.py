"""One account a wallet: names from a template or a file, and no account for two."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsq.core.errors import SettingsError
from dsq.core.model import Address, job_hex_id
from dsq.supervisor.scheduler import users
from dsq.supervisor.scheduler.build import account_map
from dsq.supervisor.scheduler.port import SubmitRefused
from dsq.supervisor.scheduler.transport import LocalTransport
from dsq.supervisor.scheduler.users import OWNERS_FILE, AccountMap, WalletAccounts
from dsq.supervisor.settings import account_problem
from tests.support.provider import settings

ANN = Address(bytes.fromhex("aa" * 20))
BOB = Address(bytes.fromhex("bb" * 20))
TWIN = Address(bytes.fromhex("aa" * 10 + "cc" * 10))
TEMPLATE = "dsq-{address[2:14]}"


def accounts(tmp_path: Path, template: str = TEMPLATE, mapping: str = "") -> AccountMap:
    file = tmp_path / "users.toml"
    file.write_text(mapping)
    return AccountMap(template, file, tmp_path / OWNERS_FILE, forbidden={"grid"})


def test_the_template_names_an_account_each(tmp_path: Path) -> None:
    """Twelve digits of the address; Unix takes 32 characters at most."""
    made = accounts(tmp_path)
    assert made.account_of(ANN) == "dsq-aaaaaaaaaaaa"
    assert made.account_of(BOB) == "dsq-bbbbbbbbbbbb"
    assert made.knows("dsq-aaaaaaaaaaaa")
    assert not made.knows("somebody")


def test_two_wallets_never_share_an_account_by_chance(tmp_path: Path) -> None:
    """The first keeps it, also after a restart; an entry in the file helps the second."""
    accounts(tmp_path).account_of(ANN)
    made = accounts(tmp_path)
    with pytest.raises(SubmitRefused, match="belongs to another wallet"):
        made.account_of(TWIN)
    assert made.account_of(ANN) == "dsq-aaaaaaaaaaaa"
    mapped = accounts(tmp_path, mapping=f'"{TWIN}" = "twin"\n')
    assert mapped.account_of(TWIN) == "twin"


def test_an_account_of_the_file_is_nobody_elses(tmp_path: Path) -> None:
    """Not even if the template gives it."""
    made = accounts(tmp_path, mapping=f'"{BOB}" = "dsq-aaaaaaaaaaaa"\n')
    assert made.account_of(BOB) == "dsq-aaaaaaaaaaaa"
    with pytest.raises(SubmitRefused, match="belongs to another wallet"):
        made.account_of(ANN)


def test_a_file_alone_is_the_list_of_who_may_run(tmp_path: Path) -> None:
    """Read again when it changes; several wallets may share an account if their owner says so."""
    made = accounts(tmp_path, template="", mapping=f'"{ANN}" = "team"\n')
    assert made.account_of(ANN) == "team"
    with pytest.raises(SubmitRefused, match="no account on this cluster"):
        made.account_of(BOB)
    file = tmp_path / "users.toml"
    other = tmp_path / "new"
    other.write_text(f'"{ANN}" = "team"\n"{BOB}" = "team"\n')
    other.replace(file)
    assert made.account_of(BOB) == "team"


@pytest.mark.parametrize("account", ["root", "grid"])
def test_some_accounts_are_for_no_job(tmp_path: Path, account: str) -> None:
    """Root, and the account that looks at the cluster for all."""
    with pytest.raises(SubmitRefused, match="may not run"):
        accounts(tmp_path, mapping=f'"{ANN}" = "{account}"\n').account_of(ANN)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "x"),
        (f'"{ANN}" = 1', "no name of an account"),
        (f'"{ANN}" = "Ann Smith"', "no name of an account"),
        (f'"{ANN}" = "../root"', "no name of an account"),
        ("broken", "does not parse"),
    ],
)
def test_a_file_that_makes_no_sense_is_said(tmp_path: Path, text: str, words: str) -> None:
    """With its path; nobody runs meanwhile."""
    with pytest.raises(SettingsError, match="users") as caught:
        accounts(tmp_path, mapping=text).account_of(ANN)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "dsq",
        "dsq-{address}",
        "{address[2:14]}{address[2:14]}",
        "dsq-{address[2:8]}",
        "dsq-{addr[2:14]}",
        "Dsq-{address[2:14]}",
        "{address[2:14]}",
        "a b{address[2:14]}",
    ],
)
def test_a_template_that_cannot_work_is_refused(tmp_path: Path, template: str) -> None:
    """Too long, too few digits, no name of an account (a digit first), another placeholder."""
    with pytest.raises(SettingsError, match="user_template"):
        settings(tmp_path, kind="ssh", host="h", user_template=template)


def test_settings_with_accounts_share_nothing(tmp_path: Path) -> None:
    """Jobs do not run as the wallet's owner; a single account is another matter."""
    own = settings(tmp_path, kind="ssh", host="localhost", user_template=TEMPLATE)
    assert account_problem(own) == ""
    assert account_map(own).account_of(ANN) == "dsq-aaaaaaaaaaaa"
    with pytest.raises(SettingsError, match="user_template"):
        account_map(settings(tmp_path))


def test_a_jobs_account_is_that_of_its_wallet(tmp_path: Path) -> None:
    """Benchmarks run as the service account; a job that nobody knows does not run."""
    customers = {job_hex_id(7): ANN}
    made = WalletAccounts(accounts(tmp_path), customers.get, lambda _: LocalTransport())
    assert made.account_of(job_hex_id(7)) == "dsq-aaaaaaaaaaaa"
    assert made.account_of("dsq-benchmark-machine") == ""
    with pytest.raises(SubmitRefused, match="whose job"):
        made.account_of(job_hex_id(8))


async def test_only_so_many_lines_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that rested longest goes; one in use stays."""
    monkeypatch.setattr(users, "MOST_LINES", 2)
    closed: list[str] = []

    class Line(LocalTransport):
        is_idle = True

        async def close(self) -> None:
            closed.append(self.name)

        name = ""

    def make(account: str) -> Line:
        line = Line()
        line.name = account
        return line

    made = WalletAccounts(accounts(tmp_path), {}.get, make)
    first = made.line("a")
    first.is_idle = False  # type: ignore[attr-defined]
    made.line("b")
    made.line("c")
    assert made.line("a") is first
    await made.close()
    assert closed[0] == "b"
    assert sorted(closed) == ["a", "b", "c"]
