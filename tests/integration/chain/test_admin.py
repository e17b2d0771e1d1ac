"""``dsq admin`` as an operator runs it: looks, says, asks, sends; and refuses."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsq.console.cli import run
from dsq.core.chain import Chain, deploy
from dsq.core.model import ZERO_ADDRESS, JobDefinition, JobStatus
from dsq.core.units import CREDIT
from dsq.core.wallet import Wallet
from tests.support.anvil import CHAIN_ID, SUPPLY, DevGrid

pytestmark = pytest.mark.anvil


@dataclass(frozen=True)
class Said:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Terminal(io.StringIO):
    """A terminal at which somebody types an answer."""

    def isatty(self) -> bool:
        return True


@dataclass
class Office:
    """An operator's desk: the grid in the settings, two keys, and the commands."""

    grid: DevGrid
    chain: Chain
    stranger: Wallet
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    async def dsq(self, *args: str, by: str = "operator", typed: str | None = None) -> Said:
        wallet = self.grid.operator if by == "operator" else self.stranger
        self.capture.readouterr()
        with self.patch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
            patch.setenv("ETH_PRIVATE_KEY", wallet._account.key.hex())
            code = await asyncio.to_thread(run, args)
        out, err = self.capture.readouterr()
        return Said(code, out, err)


@pytest.fixture
async def office(
    grid: DevGrid,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> AsyncIterator[Office]:
    """The grid with a faucet, the operator, and a stranger with coins."""
    done = await deploy(
        grid.node.rpc_url,
        CHAIN_ID,
        grid.operator,
        initial_supply_wei=SUPPLY,
        record=grid.node.home / "deployment.json",
        faucet=True,
    )
    stranger = await grid.account()
    for variable, value in {
        "DSQ_RPC_URL": grid.node.rpc_url,
        "DSQ_CHAIN_ID": str(CHAIN_ID),
        "DSQ_METASCHEDULER": str(grid.metascheduler),
        "DSQ_FAUCET": str(done.addresses.faucet),
    }.items():
        monkeypatch.setenv(variable, value)
    async with await Chain.connect(
        grid.node.rpc_url, metascheduler=grid.metascheduler, faucet=done.addresses.faucet
    ) as chain:
        yield Office(grid, chain, stranger, capfd, monkeypatch)


class TestAsking:
    async def test_a_script_says_yes(self, office: Office) -> None:
        """Without a terminal nothing is sent, until --yes; the sentence comes in both cases."""
        refused = await office.dsq("admin", "pause")
        assert refused.code == 64
        assert "taken -> paused" in refused.err
        assert "Nothing was sent" in refused.err
        assert await office.chain.new_jobs_enabled()
        done = await office.dsq("admin", "pause", "--yes")
        assert done.code == 0
        assert "Done in block" in done.err
        assert not await office.chain.new_jobs_enabled()
        again = await office.dsq("admin", "pause", "--json")
        assert again.json == {
            "did": [], "transactions": [], "before": "paused", "after": "paused",
        }  # fmt: skip

    async def test_a_terminal_is_asked(self, office: Office) -> None:
        """No means no; yes means yes."""
        no = await office.dsq("admin", "pause", typed="n\n")
        assert (no.code, await office.chain.new_jobs_enabled()) == (130, True)
        yes = await office.dsq("admin", "pause", typed="y\n")
        assert (yes.code, await office.chain.new_jobs_enabled()) == (0, False)

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            ("pause", "lacks the role DEFAULT_ADMIN_ROLE on MetaScheduler; {op} can grant it"),
            ("roles grant ProviderManager METASCHEDULER_ROLE {me}",
             "lacks the role DEFAULT_ADMIN_ROLE on ProviderManager; {op} can grant it"),
            ("roles revoke JobRepository DEFAULT_ADMIN_ROLE {me}", ""),
            ("constants set claim_job_timeout 11", "Only who owns Constants may do this: {op}"),
            ("mint {me} 1", "Only who owns Credit may do this: {op}"),
            ("faucet credit {me} 0", ""),
            ("handover begin Credit {me}", "is the wallet in use"),
            ("handover begin Credit {op}", "Only who owns Credit may do this: {op}, not {me}"),
            ("handover accept Credit", "named to take over Credit may do this: nobody"),
            ("handover accept all", ""),
        ],
    )  # fmt: skip
    async def test_a_stranger_is_told_who_may(self, office: Office, args: str, words: str) -> None:
        """Before anything is asked or sent: which right is missing, and who has it."""
        names = {"op": office.grid.operator.address, "me": office.stranger.address}
        said = await office.dsq("admin", *args.format(**names).split(), "--yes", by="stranger")
        assert words.format(**names) in said.err
        assert "Done in block" not in said.err
        assert said.code == (0 if not words else 64 if "in use" in words else 77)


class TestRights:
    async def test_roles_come_and_go(self, office: Office) -> None:
        """Granted, listed, revoked; names in any case; the last administrator stays."""
        who = str(office.stranger.address)
        role = ("MetaScheduler", "METASCHEDULER_ROLE", who)
        granted = await office.dsq(
            "admin", "roles", "grant", "metascheduler", "metascheduler-role", who, "--yes", "--json"
        )
        assert (granted.json["before"], granted.json["after"]) == (False, True)
        assert granted.json["transactions"][0]["gas_used"] > 21_000
        listed = (await office.dsq("admin", "roles", "--json")).json
        held = {(row["contract"], row["right"], row["account"]) for row in listed}
        assert role in held
        assert ("ProviderJobQueues", "owner", str(office.grid.metascheduler)) in held
        assert len(held) == 12
        await office.dsq("admin", "roles", "revoke", *role, "--yes")
        listed = (await office.dsq("admin", "roles", "--json")).json
        assert who not in {row["account"] for row in listed}
        last = await office.dsq(
            "admin", "roles", "revoke", "JobRepository", "DEFAULT_ADMIN_ROLE",
            str(office.grid.operator.address), "--yes",
        )  # fmt: skip
        assert (last.code, "only administrator" in last.err) == (64, True)

    async def test_what_breaks_the_grid_is_said(self, office: Office) -> None:
        """Taking the MetaScheduler's role away is named for what it is."""
        said = await office.dsq(
            "admin", "roles", "revoke", "JobRepository", "METASCHEDULER_ROLE",
            str(office.grid.metascheduler),
        )  # fmt: skip
        assert (said.code, "the grid stops working" in said.err) == (64, True)

    async def test_all_contracts_change_hands_in_two_steps(self, office: Office) -> None:
        """Named, accepted by the other key, gone from the first."""
        who, op = str(office.stranger.address), str(office.grid.operator.address)
        begun = await office.dsq("admin", "handover", "begin", "all", who, "--yes", "--json")
        assert len(begun.json["transactions"]) == 6
        again = await office.dsq("admin", "handover", "begin", "all", who, "--yes")
        assert again.err == f"{who} is named already.\n"
        await office.dsq("admin", "handover", "cancel", "Credit", "--yes")
        accepted = await office.dsq(
            "admin", "handover", "accept", "all", "--yes", "--json", by="stranger"
        )
        assert len(accepted.json["did"]) == 5
        listed = (await office.dsq("admin", "roles", "--json")).json
        mine = {(r["contract"], r["right"]) for r in listed if r["account"] == who}
        assert mine == {
            ("MetaScheduler", "DEFAULT_ADMIN_ROLE"), ("JobRepository", "DEFAULT_ADMIN_ROLE"),
            ("ProviderManager", "DEFAULT_ADMIN_ROLE"), ("Constants", "owner"),
            ("FaucetCredit", "owner"),
        }  # fmt: skip
        assert ("Credit", "owner", op) in {
            (r["contract"], r["right"], r["account"]) for r in listed
        }
        late = await office.dsq("admin", "pause", "--yes")
        assert (late.code, f"{who} can grant it" in late.err) == (77, True)

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            ("roles grant Metaschedular METASCHEDULER_ROLE {me}", "Did you mean 'MetaScheduler'"),
            ("roles grant Constants owner {me}", "Constants and Credit have an owner"),
            ("roles grant MetaScheduler METASCHEDULE_ROLE {me}", "Did you mean"),
            ("roles grant MetaScheduler METASCHEDULER_ROLE {zero}", "zero address"),
            ("roles grant MetaScheduler METASCHEDULER_ROLE 0x12", "is not an address"),
            ("handover begin Credits {me}", "Did you mean 'Credit'"),
            ("handover begin Credit {zero}", "zero address cannot accept"),
            ("handover", "Missing command"),
        ],
    )
    async def test_mistakes(self, office: Office, args: str, words: str) -> None:
        """What cannot be meant is 64, with what is near."""
        names = {"me": office.stranger.address, "zero": ZERO_ADDRESS}
        said = await office.dsq("admin", *args.format(**names).split())
        assert said.code == 64
        assert words in said.err or "Usage: dsq admin handover" in said.err


class TestParameters:
    async def test_all_are_shown_with_bounds(self, office: Office) -> None:
        """Every parameter of the contract, its unit, and what it may be."""
        rows = {row["name"]: row for row in (await office.dsq("admin", "constants", "--json")).json}
        now = await office.chain.constants()
        assert {name: int(row["value"]) for name, row in rows.items()} == {
            name: getattr(now, name) for name in now.__dataclass_fields__
        }
        assert (now.cancel_timeout, now.provider_timeout) == (60, 1440)
        assert rows["cancel_timeout"]["least"] == "5"
        assert rows["minimum_amount"]["most"] == str(10**24)
        text = (await office.dsq("admin", "constants")).out
        assert "deepsquare_cut" in text
        assert "20 %" in text

    async def test_each_is_set_at_both_bounds(self, office: Office) -> None:
        """The bounds that are shown are those of the contract: they go, one beyond does not."""
        rows = (await office.dsq("admin", "constants", "--json")).json
        sender = await office.grid.sender(office.grid.operator)
        for row in rows:
            for bound, beyond in ((int(row["least"]), -1), (int(row["most"]), 1)):
                await sender.send(sender.chain.calls.set_constant(row["name"], bound))
                wei = row["unit"] == "wei"
                wrong = bound + beyond
                if wrong < 0:
                    continue
                text = f"{wrong // 10**18}.{wrong % 10**18:018d}" if wei else str(wrong)
                said = await office.dsq("admin", "constants", "set", row["name"], text, "--yes")
                assert (said.code, "it is from" in said.err) == (64, True), row

    async def test_set(self, office: Office) -> None:
        """Credits for amounts, whole numbers else; before and after are said."""
        said = await office.dsq("admin", "constants", "set", "minimum-amount", "12.5", "--yes")
        assert "100 credits -> 12.5 credits" in said.err
        assert (await office.chain.constants()).minimum_amount == 25 * CREDIT // 2
        said = await office.dsq(
            "admin", "constants", "set", "cancel_timeout", "90", "--yes", "--json"
        )
        assert (said.json["before"], said.json["after"]) == ("60", "90")
        said = await office.dsq("admin", "constants", "set", "cancel_timeout", "1.5", "--yes")
        assert (said.code, "whole number of minutes" in said.err) == (64, True)
        said = await office.dsq("admin", "constants", "set", "cancle_timeout", "9", "--yes")
        assert (said.code, "Did you mean 'cancel_timeout'" in said.err) == (64, True)


class TestMoney:
    async def test_mint_and_faucet(self, office: Office) -> None:
        """Credits are made, given to the faucet, promised, and what is free is taken back."""
        who = str(office.stranger.address)
        minted = await office.dsq("admin", "mint", who, "7.5", "--yes", "--json")
        assert int(minted.json["after"]) - int(minted.json["before"]) == 75 * CREDIT // 10
        assert await office.chain.balance(office.stranger.address) == 75 * CREDIT // 10
        lost = await office.dsq("admin", "mint", str(office.grid.metascheduler), "1", "--yes")
        assert (lost.code, "credits made there are lost" in lost.err) == (64, True)
        empty = await office.dsq("admin", "faucet", "credit", who, "5", "--yes")
        assert (empty.code, "has 0 credits free" in empty.err) == (79, True)
        await office.dsq("admin", "faucet", "fund", "100", "--yes")
        said = await office.dsq("admin", "faucet", "credit", who, "5", "--yes")
        assert "0 -> 5 credits to claim" in said.err
        shown = (await office.dsq("admin", "faucet", "show", who, "--json")).json
        assert shown["user_promised_wei"] == str(5 * CREDIT)
        assert shown["available_wei"] == str(95 * CREDIT)
        claimed = await office.dsq("credits", "claim", by="stranger")
        assert claimed.err == "Claimed 5 credits from the grid's faucet.\n"
        await office.dsq("admin", "faucet", "withdraw", "--yes")
        shown = (await office.dsq("admin", "faucet", "--json")).json
        assert (shown["held_wei"], shown["distributed_wei"]) == ("0", str(5 * CREDIT))
        too_much = await office.dsq("admin", "faucet", "fund", "9999999", "--yes")
        assert (too_much.code, "'dsq admin mint' makes credits" in too_much.err) == (79, True)

    async def test_fees(self, office: Office) -> None:
        """Only what jobs have earned can be withdrawn, never what customers have locked."""
        none = await office.dsq("admin", "fees", "withdraw", "--yes")
        assert (none.code, none.err) == (0, "There are no fees to withdraw.\n")
        earned = await _earn(office)
        shown = (await office.dsq("admin", "fees", "--json")).json
        assert (shown["fees_wei"], shown["fee_percent"]) == (str(earned), 20)
        assert int(shown["held_wei"]) == earned + 100 * CREDIT
        more = await office.dsq("admin", "fees", "withdraw", "50", "--yes")
        assert (more.code, "The fees are" in more.err) == (79, True)
        before = await office.chain.balance(office.grid.operator.address)
        done = await office.dsq("admin", "fees", "withdraw", "--yes", "--json")
        assert (done.json["before"], done.json["after"]) == (str(earned), "0")
        after = await office.chain.balance(office.grid.operator.address)
        assert after - before == earned

    async def test_summary(self, office: Office) -> None:
        """The state of the grid on a page; 'dsq admin' alone means the same."""
        shown = (await office.dsq("admin", "--json")).json
        assert shown == (await office.dsq("admin", "show", "--json")).json
        assert shown["addresses"] == office.chain.addresses.to_json()
        assert (shown["takes_jobs"], shown["jobs"], shown["fees_wei"]) == (True, 0, "0")
        assert "new jobs" in (await office.dsq("admin")).out

    async def test_every_json_field_is_documented(self, office: Office) -> None:
        """docs/reference/json.md names the fields of all these commands."""
        text = (Path(__file__).parents[3] / "docs" / "reference" / "json.md").read_text()
        who = str(office.stranger.address)
        answers = [
            (await office.dsq("admin", *words.split(), "--json")).json
            for words in ("show", "roles", "constants", "fees", f"faucet show {who}", "pause --yes")
        ]
        answers += answers[-1]["transactions"]
        for answer in answers:
            for field in answer[0] if isinstance(answer, list) else answer:
                assert f"`{field}`" in text, field


async def _earn(office: Office) -> int:
    """Runs one job to its end and leaves another one open; returns the fee."""
    grid = office.grid
    customer, provider = await grid.account(200, allowance=True), await grid.provider()
    buyer, operator = await grid.sender(customer), await grid.sender(grid.operator)
    seller = await grid.sender(provider)
    calls = buyer.chain.calls
    for _ in range(2):
        await buyer.send(calls.request_new_job(JobDefinition(1, 2, 100), 100 * CREDIT))
    await operator.send(calls.meta_schedule(1, provider.address))
    await seller.send(calls.claim_next_job())
    for status in (JobStatus.RUNNING, JobStatus.FINISHED):
        await seller.send(calls.provider_set_job_status(1, status, 1))
    job = await office.chain.job(1)
    for sender in (buyer, operator, seller):
        await sender.close()
    return job.cost.final_cost * 20 // 100
