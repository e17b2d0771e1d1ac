"""The register of providers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsq.core.model import Address, ProviderHardware, ProviderPrices
from tests.support.evm import (
    HARDWARE,
    METASCHEDULER_ROLE,
    PRICES,
    Event,
    RevertedError,
    World,
    names,
    prices_tuple,
)

NEW = Address(b"\x42" * 20)
NOBODY = "0x" + "00" * 20
EMPTY = (NOBODY, (0, (), (), ()), (0, 0, 0), (), False)
UINT64 = 2**64 - 1


def record(addr: Address, labels: tuple[tuple[str, str], ...] = (("name", "one"),)) -> object:
    """What the views return for a registration with the defaults of :class:`World`."""
    shape = (2, HARDWARE.gpus_per_node, HARDWARE.cpus_per_node, HARDWARE.mem_per_node)
    return (addr.lower, shape, prices_tuple(PRICES), labels, False)


def waiting(addr: Address) -> Event:
    return Event("ProviderManager", "ProviderWaitingForApproval", {"addr": addr.lower})


class TestRegister:
    def test_makes_a_proposal(self, world: World) -> None:
        """The caller's proposal is written and told; nothing is active yet."""
        assert world.register(NEW) == [waiting(NEW)]
        assert world.providers.call("isWaitingForApproval", NEW) is True
        assert world.providers.call("isValidForScheduling", NEW) is False
        assert world.providers.call("getWaitingForApprovalProvider", NEW) == record(NEW)
        assert world.providers.call("getProvider", NEW) == EMPTY

    def test_again_and_again(self, world: World) -> None:
        """Each registration is told, equal or not, and leaves the active record valid."""
        assert world.register(world.p1) == [waiting(world.p1)]
        assert world.register(world.p1, labels=[("name", "two")]) == [waiting(world.p1)]
        assert world.providers.call("isValidForScheduling", world.p1) is True
        assert world.providers.call("getLabels", world.p1) == (("name", "one"),)
        world.providers.send("approve", world.p1)
        assert world.providers.call("getLabels", world.p1) == (("name", "two"),)
        assert world.providers.call("isWaitingForApproval", world.p1) is False

    @pytest.mark.parametrize(
        ("hardware", "nodes", "error"),
        [
            (ProviderHardware(), 0, "InvalidNodesCount"),
            (ProviderHardware((1,), (1,), (1,)), 0, "InvalidNodesCount"),
            (ProviderHardware((1,), (1,), (1,)), 2, "ArrayLengthMismatch"),
            (ProviderHardware((1, 1), (1,), (1,)), 1, "ArrayLengthMismatch"),
            (ProviderHardware((1,), (1, 1), (1,)), 1, "ArrayLengthMismatch"),
            (ProviderHardware((1,), (1,), (1, 1)), 1, "ArrayLengthMismatch"),
            (ProviderHardware((1,), (1,), (1,)), UINT64, "ArrayLengthMismatch"),
            (ProviderHardware((1, 1), (0, 0), (0, 0)), 2, "InvalidTotalCpus"),
            (ProviderHardware((1, 1), (0, 1), (0, 0)), 2, "InvalidTotalMem"),
        ],
    )
    def test_checks_the_hardware(
        self, world: World, hardware: ProviderHardware, nodes: int, error: str
    ) -> None:
        """Nodes, one entry a node, some hardware thread and some memory, in this order."""
        with pytest.raises(RevertedError) as refused:
            world.register(NEW, hardware=hardware, nodes=nodes)
        assert refused.value.name == error

    def test_sums_do_not_overflow(self, world: World) -> None:
        """The largest nodes add up."""
        world.register(NEW, hardware=ProviderHardware((0, 0), (UINT64,) * 2, (UINT64,) * 2))

    def test_banned(self, world: World) -> None:
        """A banned provider cannot register."""
        world.providers.send("ban", world.p1)
        with pytest.raises(RevertedError) as error:
            world.register(world.p1)
        assert error.value.name == "Banned"

    def test_costs_nothing(self, world: World) -> None:
        """There is no registration tax."""
        assert world.providers.call("PROVIDER_REGISTRATION_TAX") == 0

    def test_large_cluster(self, world: World) -> None:
        """Equal nodes take no more room than one: thousands of them register and read back."""
        count = 5_000
        hardware = ProviderHardware((8,) * count, (128,) * count, (1_024_000,) * count)
        world.register(NEW, hardware=hardware)
        assert world.gas_used < 20_000_000
        world.providers.send("approve", NEW)
        found = world.providers.call("getProviderHardware", NEW)
        assert found == (
            count,
            hardware.gpus_per_node,
            hardware.cpus_per_node,
            (1_024_000,) * count,
        )

    def test_offer_that_does_not_fit(self, world: World) -> None:
        """An offer larger than the store takes is refused with its size."""
        with pytest.raises(RevertedError) as error:
            world.register(NEW, labels=[("key", "x" * 500)] * 60)
        size = 96 + 2 + 2 * 28 + 1 + 60 * 506
        assert (error.value.name, error.value.values) == ("DataTooLarge", (size, 24_575))


class TestApproval:
    def test_approve(self, world: World) -> None:
        """The proposal becomes the active record and the provider joins the list, once."""
        world.register(NEW)
        events = world.providers.send("approve", NEW)
        assert names(events) == ["ObjectCreated", "ObjectsLinked", "NewTail", "ProviderApproved"]
        assert world.providers.call("getProvider", NEW) == record(NEW)
        assert world.providers.call("getWaitingForApprovalProvider", NEW) == EMPTY
        assert world.providers.call("isValidForScheduling", NEW) is True
        world.register(NEW)
        assert names(world.providers.send("approve", NEW)) == ["ProviderApproved"]
        assert world.providers.call("elementCount") == 3

    def test_needs_a_proposal(self, world: World) -> None:
        """Without a proposal there is nothing to approve."""
        for account in (world.p1, NEW):
            with pytest.raises(RevertedError) as error:
                world.providers.send("approve", account)
            assert error.value.name == "WaitingApprovalOnly"

    def test_banned(self, world: World) -> None:
        """The proposal of a provider banned meanwhile cannot be approved; after the ban it can."""
        world.register(world.p1)
        world.providers.send("ban", world.p1)
        with pytest.raises(RevertedError) as error:
            world.providers.send("approve", world.p1)
        assert error.value.name == "Banned"
        world.providers.send("unban", world.p1)
        world.providers.send("approve", world.p1)

    def test_remove(self, world: World) -> None:
        """The active record goes; the provider may come again."""
        events = world.providers.send("remove", world.p1)
        assert names(events) == ["NewHead", "ObjectRemoved", "ProviderRemoved"]
        assert world.providers.call("getProvider", world.p1) == EMPTY
        assert world.providers.call("isValidForScheduling", world.p1) is False
        world.join(world.p1)
        assert world.providers.call("isValidForScheduling", world.p1) is True

    def test_remove_keeps_a_proposal(self, world: World) -> None:
        """Removing an active provider leaves its newer proposal; removing again drops that."""
        world.register(world.p1)
        world.providers.send("remove", world.p1)
        assert world.providers.call("isWaitingForApproval", world.p1) is True
        assert names(world.providers.send("remove", world.p1)) == ["ProviderRemoved"]
        assert world.providers.call("isWaitingForApproval", world.p1) is False

    @pytest.mark.parametrize("function", ["remove", "ban", "unban"])
    def test_unknown(self, world: World, function: str) -> None:
        """Nothing can be done with an account that never registered."""
        with pytest.raises(RevertedError) as error:
            world.providers.send(function, NEW)
        assert error.value.name == "NoProvider"


class TestBan:
    def test_ban_and_unban(self, world: World) -> None:
        """A ban shuts the provider out at once, its end lets it in; each is told once."""
        for function, banned in (("ban", True), ("unban", False)):
            assert world.providers.send(function, world.p1) == [
                Event(
                    "ProviderManager",
                    "ProviderBanChanged",
                    {"addr": world.p1.lower, "status": banned},
                )
            ]
            assert world.providers.call("isBanned", world.p1) is banned
            assert world.providers.call("getProvider", world.p1)[4] is banned
            assert world.providers.call("isValidForScheduling", world.p1) is not banned
            with pytest.raises(RevertedError) as error:
                world.providers.send(function, world.p1)
            assert error.value.name == "AlreadyDone"

    def test_proposal_only(self, world: World) -> None:
        """The ban of a provider that only proposed drops the proposal and keeps it from coming back."""
        world.register(NEW)
        world.providers.send("ban", NEW)
        assert world.providers.call("isWaitingForApproval", NEW) is False
        assert world.providers.call("isBanned", NEW) is True
        assert world.providers.call("getProvider", NEW) == (*EMPTY[:4], True)
        with pytest.raises(RevertedError) as error:
            world.register(NEW)
        assert error.value.name == "Banned"
        world.providers.send("unban", NEW)
        assert world.providers.call("isValidForScheduling", NEW) is False
        world.join(NEW)

    def test_unban_of_a_proposal(self, world: World) -> None:
        """A provider that proposed and is not banned cannot be unbanned."""
        world.register(NEW)
        with pytest.raises(RevertedError) as error:
            world.providers.send("unban", NEW)
        assert error.value.name == "AlreadyDone"


class TestRights:
    @pytest.mark.parametrize("function", ["approve", "remove", "ban", "unban"])
    def test_operators(self, world: World, function: str) -> None:
        """Administrators and METASCHEDULER_ROLE decide; others are told the role they miss."""
        world.register(world.p1)
        if function == "unban":
            world.providers.send("ban", world.p1)
        with pytest.raises(RevertedError) as error:
            world.providers.send(function, world.p1, sender=world.p1)
        assert f"is missing role 0x{METASCHEDULER_ROLE.hex()}" in error.value.values[0]
        world.providers.send(function, world.p1, sender=world.service)

    def test_job_counts(self, world: World) -> None:
        """Only the MetaScheduler contract counts jobs."""
        for caller in (world.admin, world.service, world.p1):
            with pytest.raises(RevertedError):
                world.providers.send("incJobCount", world.p1, sender=caller)

    def test_interfaces(self, world: World) -> None:
        """Access control is announced (ERC-165)."""
        for contract in (world.scheduler, world.jobs, world.providers):
            assert contract.call("supportsInterface", bytes.fromhex("7965db0b")) is True
            assert contract.call("supportsInterface", bytes.fromhex("01ffc9a7")) is True
            assert contract.call("supportsInterface", b"\xff" * 4) is False


def test_views_of_unknown_providers(world: World) -> None:
    """Views return empty records for accounts that nobody knows, the zero address too."""
    for account in (NEW, Address(bytes(20))):
        assert world.providers.call("getProvider", account) == EMPTY
        assert world.providers.call("getWaitingForApprovalProvider", account) == EMPTY
        assert world.providers.call("getProviderPrices", account) == (0, 0, 0)
        assert world.providers.call("getProviderHardware", account) == (0, (), (), ())
        assert world.providers.call("getLabels", account) == ()
        assert world.providers.call("getJobCount", account) == 0
        for getter in ("providers", "waitingApprovalProviders"):
            found = world.providers.call(getter, account)
            assert tuple(found) == (NOBODY, (0, (), (), ()), (0, 0, 0), False)
        for view in ("isValidForScheduling", "isWaitingForApproval", "isBanned"):
            assert world.providers.call(view, account) is False


def test_getters_leave_labels_out(world: World) -> None:
    """The published mapping getters return a record without its labels."""
    world.register(NEW)
    full = record(NEW)
    assert isinstance(full, tuple)
    short = (*full[:3], False)
    assert tuple(world.providers.call("waitingApprovalProviders", NEW)) == short
    world.providers.send("approve", NEW)
    assert tuple(world.providers.call("providers", NEW)) == short


class TestList:
    def listed(self, world: World, size: int = 10) -> list[str]:
        """Providers by paging through the list."""
        found, cursor = [], 0
        while True:
            page, length, cursor = world.providers.call("fetchPage", cursor, size)
            assert len(page) == length <= size
            found += ["0x" + data[12:].hex() for data in page]
            if cursor == 0:
                return found

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 2**256 - 1])
    def test_pages(self, world: World, size: int) -> None:
        """Pages of any size give all providers in the order of their approval."""
        more = [Address(bytes([n]) * 20) for n in (1, 2, 3)]
        for account in more:
            world.join(account)
        expected = [account.lower for account in (world.p1, world.p2, *more)]
        assert self.listed(world, size) == expected

    def test_removal(self, world: World) -> None:
        """First, middle and last come out of the list; ids are not used again."""
        more = [Address(bytes([n]) * 20) for n in (1, 2, 3)]
        for account in more:
            world.join(account)
        world.providers.send("remove", more[0])
        assert names(world.last_events()) == ["ObjectsLinked", "ObjectRemoved", "ProviderRemoved"]
        world.providers.send("remove", world.p1)
        world.providers.send("remove", more[2])
        assert self.listed(world) == [world.p2.lower, more[1].lower]
        head, tail = world.providers.call("head"), world.providers.call("tail")
        assert (head, tail, world.providers.call("elementCount")) == (2, 4, 2)
        world.join(world.p1)
        assert world.providers.call("tail") == 6
        assert world.providers.call("idCounter") == 7
        assert world.providers.call("get", 4) == (4, 6, 2, bytes(12) + more[1])
        assert world.providers.call("objects", 4) == (4, 6, 2, bytes(12) + more[1])
        assert world.providers.call("get", 1) == (0, 0, 0, bytes(32))

    def test_last_one(self, world: World) -> None:
        """An emptied list is as new, but for its ids."""
        for account in (world.p2, world.p1):
            world.providers.send("remove", account)
        assert world.providers.call("fetchPage", 0, 5) == ((), 0, 0)
        assert (world.providers.call("head"), world.providers.call("tail")) == (0, 0)
        world.join(NEW)
        assert self.listed(world) == [NEW.lower]

    def test_find(self, world: World) -> None:
        """An object is found by its data, from the head or from a given one on."""
        data = bytes(12) + world.p2
        assert world.providers.call("findIdForDataFrom", data, 0) == 2
        assert world.providers.call("findIdForDataFrom", data, 2) == 2
        assert world.providers.call("findIdForDataFrom", bytes(12) + world.p1, 2) == 0
        assert world.providers.call("findIdForDataFrom", bytes(12) + NEW, 0) == 0

    def test_page_from_a_removed_one(self, world: World) -> None:
        """A cursor to a provider that was removed meanwhile ends the list; it does not fail."""
        world.providers.send("remove", world.p1)
        assert world.providers.call("fetchPage", 1, 5) == ((), 0, 0)


sizes = st.integers(0, 64).flatmap(lambda bits: st.integers(0, min(2**bits, UINT64)))
nodes = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 2), sizes.map(lambda mem: mem or 1)), min_size=1
)


@settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    nodes=nodes,
    prices=st.builds(ProviderPrices, *[st.integers(0, 2**256 - 1)] * 3),
    # A key has at most 128 bytes, a value 512: four bytes a character.
    labels=st.lists(st.tuples(st.text(max_size=32), st.text(max_size=128)), max_size=6),
)
def test_offers_read_back(
    world: World,
    nodes: list[tuple[int, int, int]],
    prices: ProviderPrices,
    labels: list[tuple[str, str]],
) -> None:
    """Whatever is registered is read back as it was: runs of equal nodes, odd labels, all prices."""
    gpus, cpus, mem = zip(*nodes, strict=True)
    world.register(NEW, prices, ProviderHardware(gpus, cpus, mem), labels)
    found = world.providers.call("getWaitingForApprovalProvider", NEW)
    shape = (len(nodes), gpus, cpus, mem)
    assert found == (NEW.lower, shape, prices_tuple(prices), tuple(labels), False)
    world.providers.send("approve", NEW)
    assert world.providers.call("getProviderPrices", NEW) == prices_tuple(prices)
