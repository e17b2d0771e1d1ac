"""One account a wallet on a real Slurm over real SSH; nothing in the supervisor is root."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dsq.console.local.minislurm import MiniSlurm
from dsq.core.errors import UnreachableError
from dsq.core.model import Address
from dsq.supervisor.scheduler.port import LoginRefused, NotPermitted, SubmitRefused
from dsq.supervisor.scheduler.slurm import SlurmScheduler, SlurmSettings
from dsq.supervisor.scheduler.users import OWNERS_FILE, AccountMap, WalletAccounts
from tests.support.clusters import Cluster, connect
from tests.support.sshd import SshServer, ssh_account, sshd

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.sshd,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts to test with"),
]

ANN = Address(bytes.fromhex("a1" * 20))
BOB = Address(bytes.fromhex("b2" * 20))
EVE = Address(bytes.fromhex("e3" * 20))
ANNS, BOBS = "dsq-a1a1a1a1a1", "dsqbob"


@pytest.fixture(scope="module")
def people(account: str) -> Iterator[list[str]]:
    """The service account and one each for two wallets."""
    with ssh_account(ANNS), ssh_account(BOBS):
        yield [account, ANNS, BOBS]


@pytest.fixture(scope="module")
def server(folder: Path, slurm: MiniSlurm, people: list[str]) -> Iterator[SshServer]:
    """One key opens all three accounts, root is not among them."""
    with sshd(folder / "many", " ".join(people), env=slurm.env()) as running:
        yield running


class Site:
    """A scheduler with an account for each wallet, and who ordered which job."""

    def __init__(self, server: SshServer, service: str, state: Path, mapping: str) -> None:
        (state / "users.toml").write_text(mapping)
        self.customers: dict[str, Address] = {}
        self.accounts = AccountMap(
            "dsq-{address[2:12]}", state / "users.toml", state / OWNERS_FILE, forbidden={service}
        )
        line = connect(server).sibling(service)
        lines = WalletAccounts(self.accounts, self.customers.get, line.sibling)
        settings = SlurmSettings(partition="batch", workdir="~/.dsq/jobs")
        self.scheduler = SlurmScheduler(line, settings, accounts=lines)
        self.cluster = Cluster(self.scheduler, "ssh")


@pytest.fixture
async def site(server: SshServer, account: str, tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(server, account, tmp_path, f'"{BOB}" = "{BOBS}"\n')
    yield made
    await asyncio.gather(
        *(made.scheduler.cancel(job) for job in made.cluster.jobs), return_exceptions=True
    )
    await made.scheduler.close()


async def test_each_wallets_job_runs_as_its_own_account(site: Site) -> None:
    """By the template or by the file; both are watched with one command of the service account,
    and each account's folder is closed to the other."""
    done = {}
    for wallet, account in ((ANN, ANNS), (BOB, BOBS)):
        spec = site.cluster.spec()
        site.customers[spec.name] = wallet
        job = await site.scheduler.submit(spec, "id -un; pwd; umask; sleep 0.5")
        site.cluster.jobs.append(job)
        done[account] = spec, job
    ended = {account: await site.cluster.ended(job) for account, (_, job) in done.items()}
    assert {job.user for job in ended.values()} == {ANNS, BOBS}
    for account, (spec, _) in done.items():
        user, place, *_rest = (await site.cluster.output(spec)).splitlines()
        assert user == account
        assert place.startswith(pwd.getpwnam(account).pw_dir)
        mode = Path(place).stat().st_mode & 0o777
        assert mode == 0o700
    other = done[ANNS][0]
    peek = subprocess.run(
        ["su", BOBS, "-s", "/bin/sh", "-c", f"cat ~{ANNS}/.dsq/jobs/{other.name}/*/out.log"],
        capture_output=True,
        text=True,
    )
    assert peek.returncode != 0
    found = await site.scheduler.poll([job for _, job in done.values()])
    assert len(found) == 2


async def test_a_job_of_an_account_is_cancelled_and_found_again(
    site: Site, server: SshServer, account: str, tmp_path: Path
) -> None:
    """Also by a supervisor that was started anew: the accounts are on record."""
    spec = site.cluster.spec()
    site.customers[spec.name] = ANN
    since = int(time.time())
    job = await site.scheduler.submit(spec, "sleep 600")
    site.cluster.jobs.append(job)
    await site.cluster.running(job)
    again = Site(server, account, tmp_path, f'"{BOB}" = "{BOBS}"\n')
    again.customers[spec.name] = ANN
    found = await again.scheduler.find(spec.name, spec.token, since)
    assert found is not None
    assert (found.job_id, found.user) == (job, ANNS)
    with pytest.raises(NotPermitted):  # the service account is no operator
        await again.scheduler.set_time_limit(job, 9)
    assert await again.scheduler.can_raise_limit() is False
    await again.scheduler.cancel(job)
    assert (await again.cluster.ended(job)).state == "CANCELLED"
    assert await again.scheduler.find(spec.name, "never-sent", since) is None
    await again.scheduler.close()


async def test_a_wallet_without_an_account_is_refused_for_certain(site: Site) -> None:
    """Its account is not on the cluster: nothing was submitted, the job can go back at once."""
    spec = site.cluster.spec()
    site.customers[spec.name] = EVE
    with pytest.raises(SubmitRefused, match="dsq-e3e3e3e3e3"):
        await site.scheduler.submit(spec, "true")
    with pytest.raises(LoginRefused):
        await site.scheduler.find(spec.name, spec.token, int(time.time()))
    assert (await site.scheduler.free()).cpus > 0


async def test_benchmarks_run_as_the_service_account(site: Site, account: str) -> None:
    """Jobs that are nobody's."""
    ended, output = await site.cluster.run("id -un", name="dsq-benchmark-test")
    assert (ended.user, output) == (account, f"{account}\n")


async def test_the_service_account_may_be_silent_for_one_wallet_only(
    site: Site, server: SshServer
) -> None:
    """A lost connection of one account leaves the others alone."""
    spec = site.cluster.spec()
    site.customers[spec.name] = ANN
    job = await site.scheduler.submit(spec, "true")
    line = site.scheduler._tools_of(ANNS).line
    line._connection.abort()  # type: ignore[attr-defined]
    line._retry_at = time.monotonic() + 60  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError):
        await site.scheduler.read_output(spec.name, spec.token, 0)
    assert (await site.cluster.ended(job)).state == "COMPLETED"
    bobs = site.cluster.spec()
    site.customers[bobs.name] = BOB
    site.cluster.jobs.append(await site.scheduler.submit(bobs, "true"))
