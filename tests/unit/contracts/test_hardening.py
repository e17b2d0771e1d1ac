"""Payments that fail, sizes, hand-overs, approvals of one proposal, permits, views and mirrors."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from dsq.core.model import (
    ZERO_ADDRESS,
    Address,
    Affinity,
    JobDefinition,
    JobStatus,
    Label,
    ProviderHardware,
)
from tests.support.evm import (
    ADMIN_ROLE,
    CREDIT,
    DEFINITION,
    RATE,
    Contract,
    RevertedError,
    World,
    definition_tuple,
    names,
    raw_id,
)
from tests.unit.contracts.test_tokens import with_token

WEI = 200 * CREDIT
TRANSFER_FAILS = bytes.fromhex("60003560e01c63a9059cbb141560005260206000f3")
"""A token whose ``transfer`` answers ``false``, everything else ``true``."""


def refused(call: Any) -> tuple[str, tuple[object, ...]]:
    with pytest.raises(RevertedError) as error:
        call()
    return error.value.name, error.value.values


class TestRecipientThatCannotBePaid:
    def test_settlement_goes_on(self, world: World) -> None:
        """The job ends, its shares wait for provider and customer, nobody else's credits move."""
        with_token(world, TRANSFER_FAILS)
        job_id = world.job_at(JobStatus.RUNNING)
        world.report(job_id, JobStatus.FINISHED, 1)
        deferred = [e.values for e in world.added_events() if e.name == "PaymentDeferred"]
        fee = RATE * 20 // 100
        assert world.job(job_id).status == JobStatus.FINISHED
        assert deferred == [
            {"recipient": world.p1.lower, "amount": RATE - fee},
            {"recipient": world.alice.lower, "amount": WEI - RATE},
        ]
        assert world.scheduler.call("claimable", world.p1) == RATE - fee
        assert world.scheduler.call("claimable", world.alice) == WEI - RATE
        assert world.scheduler.call("accruedFees") == fee

    def test_cancel_goes_on(self, world: World) -> None:
        """A refund that fails does not keep a job from being cancelled, and adds up."""
        with_token(world, TRANSFER_FAILS)
        for _ in range(2):
            world.cancel(world.request())
        assert world.scheduler.call("claimable", world.alice) == 2 * WEI

    def test_withdrawal_that_fails(self, world: World) -> None:
        """What waits stays there until it can be paid."""
        with_token(world, TRANSFER_FAILS)
        world.cancel(world.request())
        withdraw = ("withdrawClaimable", world.alice)
        assert refused(lambda: world.scheduler.send(*withdraw, sender=world.alice))[0] == "Error"
        assert world.scheduler.call("claimable", world.alice) == WEI
        assert refused(lambda: world.scheduler.send(*withdraw, sender=world.bob)) == (
            "InsufficientFunds",
            (0, 1),
        )


class TestSizes:
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"batch_location_hash": "x" * 257}, ("TextTooLong", (257, 256))),
            ({"uses": (Label("k" * 129, ""),)}, ("TextTooLong", (129, 128))),
            ({"uses": (Label("k", "v" * 513),)}, ("TextTooLong", (513, 512))),
            ({"uses": (Label("k", "v"),) * 129}, ("ListTooLong", (129, 128))),
            ({"affinity": (Affinity("k", "==", "v"),) * 129}, ("ListTooLong", (129, 128))),
            ({"affinity": (Affinity("k", "==", "v" * 513),)}, ("TextTooLong", (513, 512))),
        ],
    )
    def test_definition(
        self, world: World, change: dict[str, Any], error: tuple[str, tuple[int, int]]
    ) -> None:
        """A text or a list one too long is refused with its size and the limit."""
        definition = JobDefinition(ntasks=1, cpus_per_task=1, mem_per_cpu=1, **change)
        assert refused(lambda: world.request(definition=definition)) == error

    def test_largest_definition(self, world: World) -> None:
        """What is just not too long is taken."""
        definition = JobDefinition(
            ntasks=1,
            cpus_per_task=1,
            mem_per_cpu=1,
            batch_location_hash="x" * 256,
            uses=(Label("k" * 128, "v" * 512),) + (Label("k", "v"),) * 127,
            affinity=(Affinity("k", "==", "v"),) * 128,
        )
        assert world.job(world.request(definition=definition)).definition[4] == "x" * 256

    def test_last_error(self, world: World) -> None:
        """The words of an end have at most 1,024 bytes."""
        job_id = world.job_at(JobStatus.RUNNING)
        assert refused(lambda: world.report(job_id, JobStatus.FAILED, 1, error="x" * 1025)) == (
            "TextTooLong",
            (1025, 1024),
        )
        world.report(job_id, JobStatus.FAILED, 1, error="x" * 1024)

    def test_provider(self, world: World) -> None:
        """A provider's labels and nodes have limits too."""
        assert refused(lambda: world.register(world.p1, labels=[("k", "v")] * 129)) == (
            "ListTooLong",
            (129, 128),
        )
        count = 8193
        large = ProviderHardware((0,) * count, (1,) * count, (1,) * count)
        assert refused(lambda: world.register(world.p1, hardware=large)) == (
            "ListTooLong",
            (count, 8192),
        )


class TestConstants:
    @pytest.mark.parametrize(
        ("setter", "least", "most"),
        [
            ("setMinimumAmount", 1, 10**24),
            ("setDeepsquareCut", 0, 100),
            ("setBillDurationDeltaMinute", 0, 43_200),
            ("setTopUpSliceDurationMin", 1, 43_200),
            ("setCancellationFeeMinute", 0, 43_200),
            ("setClaimJobTimeout", 1, 43_200),
            ("setCancelTimeout", 5, 43_200),
            ("setProviderTimeout", 60, 43_200),
        ],
    )
    def test_bounds_and_event(self, world: World, setter: str, least: int, most: int) -> None:
        """Each parameter takes its bounds and nothing beyond them, and tells of each change."""
        name = setter[3].lower() + setter[4:]
        previous = world.constants.call(name)
        for value in (least, most):
            world.constants.send(setter, value)
            (event,) = world.added_events()
            assert event.values == {"name": name, "previous": previous, "value": value}
            previous = value
            assert world.constants.call(name) == value
        too_much = lambda: world.constants.send(setter, most + 1)  # noqa: E731
        assert refused(too_much) == ("ConstantOutOfBounds", (most + 1, most))
        if least:
            too_little = lambda: world.constants.send(setter, least - 1)  # noqa: E731
            assert refused(too_little) == ("ConstantBelowBound", (least - 1, least))


class TestHandOver:
    @pytest.mark.parametrize("name", ["credit", "constants"])
    def test_owner_in_two_steps(self, world: World, name: str) -> None:
        """A new owner has to accept; until then the old one stays."""
        contract: Contract = getattr(world, name)
        contract.send("transferOwnership", world.bob)
        assert contract.call("owner") == world.admin.lower
        assert refused(lambda: contract.send("acceptOwnership", sender=world.alice)) == (
            "Error",
            ("Ownable2Step: caller is not the new owner",),
        )
        contract.send("acceptOwnership", sender=world.bob)
        assert contract.call("owner") == world.bob.lower

    @pytest.mark.parametrize("name", ["scheduler", "jobs", "providers"])
    def test_admin_in_two_steps(self, world: World, name: str) -> None:
        """The named account, and no other, takes the place of who named it."""
        contract: Contract = getattr(world, name)
        contract.send("beginDefaultAdminTransfer", world.bob)
        assert names(world.added_events()) == ["DefaultAdminTransferStarted"]
        accept = "acceptDefaultAdminTransfer"
        assert refused(lambda: contract.send(accept, sender=world.alice)) == (
            "PendingAdminOnly",
            (world.alice.lower, world.bob.lower),
        )
        contract.send(accept, sender=world.bob)
        assert contract.call("hasRole", ADMIN_ROLE, world.bob) is True
        assert contract.call("hasRole", ADMIN_ROLE, world.admin) is False
        assert contract.call("pendingDefaultAdmin") == ZERO_ADDRESS.lower
        assert refused(lambda: contract.send(accept, sender=world.bob))[0] == "PendingAdminOnly"

    def test_admin_takes_it_back(self, world: World) -> None:
        """Naming nobody ends a hand-over; only an administrator begins one."""
        world.jobs.send("beginDefaultAdminTransfer", world.bob)
        world.jobs.send("beginDefaultAdminTransfer", ZERO_ADDRESS)
        accept = "acceptDefaultAdminTransfer"
        assert refused(lambda: world.jobs.send(accept, sender=world.bob))[0] == "PendingAdminOnly"
        begin = ("beginDefaultAdminTransfer", world.alice)
        assert refused(lambda: world.jobs.send(*begin, sender=world.alice))[0] == "Error"

    def test_former_admin_hands_nothing_over(self, world: World) -> None:
        """An administrator that lost the role meanwhile gives nothing away."""
        world.jobs.send("grantRole", ADMIN_ROLE, world.alice)
        world.jobs.send("beginDefaultAdminTransfer", world.bob)
        world.jobs.send("revokeRole", ADMIN_ROLE, world.admin, sender=world.alice)
        accept = "acceptDefaultAdminTransfer"
        assert refused(lambda: world.jobs.send(accept, sender=world.bob))[0] == "Error"


def test_pause_is_told(world: World) -> None:
    """Switching new requests off is an event, and stops nothing but new requests."""
    job_id = world.job_at(JobStatus.RUNNING)
    world.scheduler.send("setEnableRequestNewJob", False)
    (event,) = world.added_events()
    assert (event.name, event.values) == ("NewJobRequestsEnabled", {"enabled": False})
    assert refused(world.request)[0] == "NewJobRequestDisabled"
    world.report(job_id, JobStatus.FINISHED, 1)


class TestApprovalOfOneProposal:
    def test_same_proposal(self, world: World) -> None:
        """The proposal that was looked at is approved."""
        world.register(world.bob)
        seen = world.providers.call("proposalHash", world.bob)
        world.providers.send("approveProposal", world.bob, seen)
        assert world.providers.call("isValidForScheduling", world.bob) is True
        assert world.providers.call("proposalHash", world.bob) == bytes(32)

    def test_changed_meanwhile(self, world: World) -> None:
        """A provider that writes another proposal behind the operator's back is not approved."""
        world.register(world.bob)
        seen = world.providers.call("proposalHash", world.bob)
        world.register(world.bob, labels=[("name", "other")])
        now = world.providers.call("proposalHash", world.bob)
        approve = ("approveProposal", world.bob, seen)
        assert refused(lambda: world.providers.send(*approve)) == ("ProposalChanged", (now, seen))
        assert refused(lambda: world.providers.send("approveProposal", world.alice, bytes(32))) == (
            "WaitingApprovalOnly",
            (),
        )
        assert refused(lambda: world.providers.send(*approve, sender=world.bob))[0] == "Error"


class TestPermit:
    ACCOUNT = Account.from_key(b"\x07" * 32)
    WHO = Address.parse(ACCOUNT.address)

    def signed(self, world: World, wei: int, deadline: int) -> tuple[int, bytes, bytes]:
        names_and_types = {
            "owner": "address",
            "spender": "address",
            "value": "uint256",
            "nonce": "uint256",
            "deadline": "uint256",
        }
        message = encode_typed_data(
            full_message={
                "types": {
                    "EIP712Domain": [
                        {"name": "name", "type": "string"},
                        {"name": "version", "type": "string"},
                        {"name": "chainId", "type": "uint256"},
                        {"name": "verifyingContract", "type": "address"},
                    ],
                    "Permit": [{"name": n, "type": t} for n, t in names_and_types.items()],
                },
                "primaryType": "Permit",
                "domain": {
                    "name": "Credit",
                    "version": "1",
                    "chainId": world.credit.call("eip712Domain")[3],
                    "verifyingContract": world.credit.address,
                },
                "message": {
                    "owner": self.WHO.lower,
                    "spender": world.scheduler.address,
                    "value": wei,
                    "nonce": world.credit.call("nonces", self.WHO),
                    "deadline": deadline,
                },
            }
        )
        found = self.ACCOUNT.sign_message(message)
        return found.v, found.r.to_bytes(32), found.s.to_bytes(32)

    def request(self, world: World, wei: int, deadline: int, permit: tuple[Any, ...]) -> None:
        world.scheduler.send(
            "requestNewJobWithPermit",
            definition_tuple(DEFINITION),
            wei,
            bytes(32),
            False,
            deadline,
            *permit,
            sender=self.WHO,
        )

    def test_one_transaction_no_allowance(self, world: World) -> None:
        """The job is requested, and nothing is left that the contract could take."""
        world.credit.send("transfer", self.WHO, 2 * WEI)
        deadline = world.time + 100
        permit = self.signed(world, WEI, deadline)
        self.request(world, WEI, deadline, permit)
        assert world.job(1).customer == self.WHO
        assert world.credit.call("allowance", self.WHO, world.scheduler) == 0
        assert refused(lambda: self.request(world, WEI, deadline, permit)) == (
            "Error",
            ("ERC20: insufficient allowance",),
        )

    def test_permit_used_by_another(self, world: World) -> None:
        """Who uses the permit first only does the customer's work."""
        world.credit.send("transfer", self.WHO, WEI)
        deadline = world.time + 100
        permit = self.signed(world, WEI, deadline)
        world.credit.send(
            "permit", self.WHO, world.scheduler, WEI, deadline, *permit, sender=world.bob
        )
        self.request(world, WEI, deadline, permit)
        assert world.job(1).customer == self.WHO

    def test_late_permit(self, world: World) -> None:
        """A permit that has expired locks nothing."""
        world.credit.send("transfer", self.WHO, WEI)
        permit = self.signed(world, WEI, world.time - 1)
        assert refused(lambda: self.request(world, WEI, world.time - 1, permit))[0] == "Error"


class TestViews:
    def test_jobs_of_a_customer(self, world: World) -> None:
        """Counted and paged, oldest first; a page beyond the end is empty."""
        mine = [world.request(100 * CREDIT) for _ in range(7)]
        world.request(100 * CREDIT, customer=world.bob)
        assert world.jobs.call("jobCount") == 8
        assert world.jobs.call("jobCountByCustomer", world.alice) == 7
        pages = [world.jobs.call("getByCustomerPaged", world.alice, i, 3) for i in (0, 3, 6, 9)]
        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert [x for page in pages for x in page] == [raw_id(j) for j in mine]

    def test_jobs_of_a_provider(self, world: World) -> None:
        """Each placement counts, oldest first."""
        first, second = world.request(), world.request()
        world.place(second)
        world.place(first, world.p2)
        world.refuse(second)
        world.place(second, world.p2)
        assert world.queues.call("jobCountByProvider", world.p1) == 1
        assert world.queues.call("getByProviderPaged", world.p2, 0, 10) == (
            raw_id(first),
            raw_id(second),
        )

    def test_jobs_by_status(self, world: World) -> None:
        """Found and counted in pages of jobs looked at."""
        jobs = [world.job_at(s) for s in (JobStatus.FINISHED, JobStatus.PENDING, JobStatus.RUNNING)]
        jobs.append(world.request())
        found, cursor = world.jobs.call("getByStatusPaged", 0, 0, 3)
        assert (found, cursor) == ((raw_id(jobs[1]),), 4)
        assert world.jobs.call("getByStatusPaged", 0, cursor, 3) == ((raw_id(jobs[3]),), 0)
        counts, cursor = world.jobs.call("countByStatus", 1, 2**256 - 1)
        assert (counts, cursor) == ((2, 0, 0, 1, 0, 1, 0, 0, 0), 0)
        assert world.jobs.call("getByStatusPaged", 0, 99, 3) == ((), 0)

    def test_providers(self, world: World) -> None:
        """Whole records, page by page."""
        assert world.providers.call("providerCount") == 2
        (first,), cursor = world.providers.call("getProvidersPaged", 0, 1)
        assert first == world.providers.call("getProvider", world.p1)
        (second,), cursor = world.providers.call("getProvidersPaged", cursor, 5)
        assert (second[0], cursor) == (world.p2.lower, 0)


class TestMirrors:
    """Events that can be looked for by job, customer and provider."""

    def parties(self, world: World, name: str) -> list[tuple[object, ...]]:
        return [
            (e.values["jobId"], e.values["customerAddr"], e.values["providerAddr"])
            for e in world.added_events()
            if e.name == name
        ]

    def test_every_change(self, world: World) -> None:
        """A new job and each transition; a provider that loses a job is told of that too."""
        alice, p1, nobody = world.alice.lower, world.p1.lower, ZERO_ADDRESS.lower
        job_id = raw_id(world.request())
        assert self.parties(world, "JobUpdated") == [(job_id, alice, nobody)]
        steps = (lambda: world.place(1), world.claim, lambda: world.refuse(1))
        for step in steps:
            step()
            assert self.parties(world, "JobUpdated") == [(job_id, alice, p1)]

    def test_money_and_cancels(self, world: World) -> None:
        """Top-ups, cancel requests and settlements name all three."""
        job_id = world.job_at(JobStatus.RUNNING)
        who = (raw_id(job_id), world.alice.lower, world.p1.lower)
        world.top_up(job_id, CREDIT, payer=world.bob)
        assert self.parties(world, "JobToppedUp") == [who]
        world.cancel(job_id)
        assert self.parties(world, "JobCancelRequested") == [who]
        world.report(job_id, JobStatus.CANCELLED, 1)
        assert self.parties(world, "JobSettled") == [who]
        settled = next(e for e in world.added_events() if e.name == "JobSettled").values
        fee = RATE * 20 // 100
        shares = (settled["paid"], settled["fee"], settled["refund"])
        assert shares == (RATE - fee, fee, WEI + CREDIT - RATE)
