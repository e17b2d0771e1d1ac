"""What every store of scripts does: the same tests for SQLite and Redis.

Subclass :class:`StoreContract` and bring a fixture ``opener``: called with a sealer it opens
the same store again, as another process or replica would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from dsq.core.errors import DsqError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.store import (
    IDEMPOTENCY_SECONDS,
    IdempotencyError,
    IdempotentSubmit,
    ScriptStore,
    ScriptUse,
    StoredScript,
)

ANN, BOB = Address(b"a" * 20), Address(b"b" * 20)
OLD, NEW = bytes(32), b"n" * 32

Opener = Callable[[Sealer], ScriptStore]


def script(key: str = "k", owner: Address | None = ANN) -> StoredScript:
    """A script with a secret."""
    signed = owner is not None
    return StoredScript(key, "echo hidden", owner, signed, time.time(), {"TOKEN": "hidden"})


class StoreContract:
    """The contract."""

    @pytest.fixture
    def store(self, opener: Opener) -> ScriptStore:
        return opener(Sealer(OLD))

    async def test_what_is_put_is_got(self, store: ScriptStore, opener: Opener) -> None:
        """Text, owner, secrets and time come back, also in another process."""
        kept, unsigned = script(), script("u", None)
        await store.put(kept)
        await store.put(unsigned)
        again = opener(Sealer(OLD))
        assert await again.get("k") == kept
        assert await again.get("u") == unsigned
        assert await again.get("other") is None
        assert await again.has(["k", "other", "k"]) == {"k"}
        assert await again.has([]) == set()

    async def test_another_key_opens_nothing(self, store: ScriptStore, opener: Opener) -> None:
        """Without the service's key what is kept is of no use."""
        await store.put(script())
        with pytest.raises(DsqError, match="cannot be opened"):
            await opener(Sealer(NEW)).get("k")

    async def test_a_replaced_key(self, store: ScriptStore, opener: Opener) -> None:
        """The old key still opens what it sealed; new scripts are sealed with the new one."""
        submit = IdempotentSubmit("ann", "1", Sealer(OLD).fingerprints(b"body"))
        await store.put(script("k"), submit)
        both = opener(Sealer(NEW, OLD))
        found = await both.get("k")
        assert found is not None
        assert found.text == "echo hidden"
        repeat = IdempotentSubmit("ann", "1", Sealer(NEW, OLD).fingerprints(b"body"))
        assert await both.earlier(repeat, time.time()) == "k"
        await both.put(script("l"))
        alone = opener(Sealer(NEW))
        assert await alone.get("l") is not None
        with pytest.raises(DsqError, match="cannot be opened"):
            await alone.get("k")

    async def test_a_repeat_keeps_nothing(self, store: ScriptStore) -> None:
        """The second of two equal submits gets the first one's key."""
        submit = IdempotentSubmit("ann", "1", (b"f",))
        assert await store.earlier(submit, time.time()) is None
        assert await store.put(script("k"), submit) == "k"
        assert await store.put(script("l"), submit) == "k"
        assert await store.earlier(submit, time.time()) == "k"
        assert await store.get("l") is None
        other = IdempotentSubmit("ann", "1", (b"g",))
        for attempt in (store.put(script("l"), other), store.earlier(other, time.time())):
            with pytest.raises(IdempotencyError):
                await attempt
        assert await store.put(script("l"), IdempotentSubmit("bob", "1", (b"g",))) == "l"

    async def test_a_repeat_after_a_day_is_a_new_one(self, store: ScriptStore) -> None:
        """The key may serve again, for anything."""
        submit = IdempotentSubmit("ann", "1", (b"f",))
        await store.put(script("k"), submit)
        later = time.time() + IDEMPOTENCY_SECONDS + 1
        assert await store.earlier(submit, later) is None
        late = StoredScript("l", "", ANN, True, later)
        assert await store.put(late, IdempotentSubmit("ann", "1", (b"g",))) == "l"

    async def test_equal_submits_at_once_keep_one(self, store: ScriptStore, opener: Opener) -> None:
        """Whichever replica they reach."""
        submit = IdempotentSubmit("ann", "1", (b"f",))
        replicas = [store, opener(Sealer(OLD))]
        keys = await asyncio.gather(
            *(replicas[number % 2].put(script(f"k{number}"), submit) for number in range(20))
        )
        assert len(set(keys)) == 1
        assert len(await store.uses()) == 1

    async def test_jobs_of_an_unsigned_script(self, store: ScriptStore) -> None:
        """The first customer owns it; forgetting the jobs frees it again."""
        await store.put(script("k", None))
        big = 2**255
        await store.record_job("k", big, ANN)
        await store.record_job("k", 7, BOB)
        await store.record_job("unknown", 8, BOB)
        found = await store.get("k")
        assert found is not None
        assert found.owner == ANN
        assert await store.first_job("k") == big
        await store.forget_jobs([big])
        found = await store.get("k")
        assert found is not None
        assert found.owner is None
        assert await store.first_job("k") is None

    async def test_jobs_of_a_signed_script(self, store: ScriptStore) -> None:
        """The signer stays the owner, whatever the chain shows."""
        await store.put(script("k", ANN))
        await store.record_job("k", 7, BOB)
        assert await store.first_job("k") is None
        await store.record_job("k", 9, ANN)
        await store.forget_jobs()
        found = await store.get("k")
        assert found is not None
        assert found.owner == ANN
        assert await store.first_job("k") is None

    async def test_uses_and_ends(self, store: ScriptStore) -> None:
        """The clean-up sees each script with its jobs, and when their end was noticed first."""
        one, two = script("k"), script("l")
        await store.put(one)
        await store.put(two)
        await store.record_job("k", 7, ANN)
        await store.record_job("k", 8, ANN)
        await store.mark_ended([7], 100.5)
        await store.mark_ended([7, 99], 200.0)
        await store.mark_ended([], 300.0)
        uses = sorted(await store.uses(), key=lambda use: use.key)
        assert uses == [
            ScriptUse("k", one.submitted, {7: 100.5, 8: 0.0}),
            ScriptUse("l", two.submitted, {}),
        ]
        await store.forget_jobs([])
        assert len((await store.uses())[0].jobs) + len((await store.uses())[1].jobs) == 2

    async def test_deleted_scripts_leave_nothing(self, store: ScriptStore) -> None:
        """Script, jobs and the answers of its submits go together; others stay."""
        submit = IdempotentSubmit("ann", "1", (b"f",))
        await store.put(script("k"), submit)
        await store.put(script("l"))
        await store.record_job("k", 7, ANN)
        await store.delete(["k", "never"])
        assert await store.get("k") is None
        assert await store.earlier(submit, time.time()) is None
        assert [use.key for use in await store.uses()] == ["l"]
        await store.put(script("k"))
        assert await store.first_job("k") is None
        await store.delete([])

    async def test_the_place_in_the_chain(self, store: ScriptStore) -> None:
        """None before the first look, then the last one."""
        assert await store.cursor() is None
        await store.set_cursor(2**200)
        assert await store.cursor() == 2**200

    async def test_nonces_serve_once(self, store: ScriptStore, opener: Opener) -> None:
        """A nonce is taken out by its first use, wherever it was given, and expires."""
        await store.add_nonce("n", 100.0)
        await store.add_nonce("old", 100.0)
        assert await opener(Sealer(OLD)).take_nonce("n", 50.0)
        assert not await store.take_nonce("n", 50.0)
        assert not await store.take_nonce("old", 100.0)
        assert not await store.take_nonce("never", 50.0)

    async def test_a_nonce_is_taken_by_one(self, store: ScriptStore, opener: Opener) -> None:
        """Of many who use it at once one succeeds."""
        await store.add_nonce("n", 100.0)
        replicas = [store, opener(Sealer(OLD))]
        taken = await asyncio.gather(*(replicas[n % 2].take_nonce("n", 1.0) for n in range(10)))
        assert sorted(taken) == [False] * 9 + [True]

    async def test_nonces_are_bounded(
        self, store: ScriptStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flood of challenges drops the oldest: the store does not grow with it."""
        monkeypatch.setattr(f"{type(store).__module__}.MAX_NONCES", 10)
        for number in range(50):
            await store.add_nonce(str(number), 100.0 + number)
        taken = [number for number in range(50) if await store.take_nonce(str(number), 50.0)]
        assert taken == list(range(40, 50))
