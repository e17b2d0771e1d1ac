"""Scripts, challenges and budgets in Redis: the store of several replicas.

Names (behind a prefix)::

    script:KEY   hash  owner, signed, submitted, sealed
    scripts      sorted set of keys by submission
    jobs:KEY     hash  job id -> when its end was noticed
    job:ID       set of the keys that a job names
    submit:...   hash  fingerprint, script, at; goes by itself after a day
    submits:KEY  set of the submits that a script answers
    nonces       sorted set by expiry
    cursor       the last job id that was looked at
    budget:...   hash  left, at

Whatever must happen as a whole is a script that Redis runs as a whole. Redis itself must
keep what it is told (``appendonly yes``, ``maxmemory-policy noeviction``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from dsq.core.errors import SettingsError
from dsq.core.model import Address
from dsq.sbatch.service.sealing import Sealer
from dsq.sbatch.service.store import (
    IDEMPOTENCY_SECONDS,
    MAX_NONCES,
    IdempotentSubmit,
    ScriptUse,
    StoredScript,
    StoreUnavailableError,
    open_script,
    seal_script,
)

ANSWER_SECONDS = 5.0
"""How long Redis may take."""

_PUT = """
if ARGV[6] ~= '' then
  local known = redis.call('HMGET', KEYS[4], 'fingerprint', 'script', 'at')
  if known[2] and tonumber(known[3]) > tonumber(ARGV[4]) - tonumber(ARGV[7]) then
    return {known[1], known[2]}
  end
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[4], 'fingerprint', ARGV[6], 'script', ARGV[1], 'at', ARGV[4])
  redis.call('EXPIRE', KEYS[4], ARGV[7])
  redis.call('SADD', KEYS[3], KEYS[4])
end
redis.call('HSET', KEYS[1], 'owner', ARGV[2], 'signed', ARGV[3], 'submitted', ARGV[4],
           'sealed', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
return {ARGV[6], ARGV[1]}
"""

_RECORD = """
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return 0 end
if owner == '' then
  redis.call('HSET', KEYS[1], 'owner', ARGV[3])
  owner = ARGV[3]
end
if owner == ARGV[3] then
  redis.call('HSETNX', KEYS[2], ARGV[2], '0')
  redis.call('SADD', KEYS[3], ARGV[1])
end
return 1
"""

_END = """
local prefix, now = ARGV[1], ARGV[2]
for i = 3, #ARGV do
  for _, key in ipairs(redis.call('SMEMBERS', prefix .. 'job:' .. ARGV[i])) do
    if redis.call('HGET', prefix .. 'jobs:' .. key, ARGV[i]) == '0' then
      redis.call('HSET', prefix .. 'jobs:' .. key, ARGV[i], now)
    end
  end
end
return 1
"""

_FORGET = """
local prefix = ARGV[1]
local function disown(key)
  if redis.call('EXISTS', prefix .. 'jobs:' .. key) == 0
     and redis.call('HGET', prefix .. 'script:' .. key, 'signed') == '0' then
    redis.call('HSET', prefix .. 'script:' .. key, 'owner', '')
  end
end
if #ARGV == 1 then
  for _, key in ipairs(redis.call('ZRANGE', prefix .. 'scripts', 0, -1)) do
    for _, job in ipairs(redis.call('HKEYS', prefix .. 'jobs:' .. key)) do
      redis.call('DEL', prefix .. 'job:' .. job)
    end
    redis.call('DEL', prefix .. 'jobs:' .. key)
    disown(key)
  end
  return 1
end
for i = 2, #ARGV do
  for _, key in ipairs(redis.call('SMEMBERS', prefix .. 'job:' .. ARGV[i])) do
    redis.call('HDEL', prefix .. 'jobs:' .. key, ARGV[i])
    disown(key)
  end
  redis.call('DEL', prefix .. 'job:' .. ARGV[i])
end
return 1
"""

_DELETE = """
local prefix = ARGV[1]
for i = 2, #ARGV do
  local key = ARGV[i]
  for _, job in ipairs(redis.call('HKEYS', prefix .. 'jobs:' .. key)) do
    redis.call('SREM', prefix .. 'job:' .. job, key)
  end
  for _, submit in ipairs(redis.call('SMEMBERS', prefix .. 'submits:' .. key)) do
    if redis.call('HGET', submit, 'script') == key then redis.call('DEL', submit) end
  end
  redis.call('DEL', prefix .. 'script:' .. key, prefix .. 'jobs:' .. key,
             prefix .. 'submits:' .. key)
  redis.call('ZREM', prefix .. 'scripts', key)
end
return 1
"""

_TAKE_NONCE = """
local expires = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if expires and tonumber(expires) > tonumber(ARGV[2]) then return 1 end
return 0
"""

_TAKE_BUDGET = """
local size, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local known = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = size
if known[1] then
  left = math.min(size, tonumber(known[1]) + (now - tonumber(known[2])) * size / 60)
end
local wait = '0'
if left >= 1 then left = left - cost else wait = tostring((1 - left) * 60 / size) end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 61)
return wait
"""


class RedisScriptStore:
    """Scripts in Redis, sealed with the key that all replicas share.

    Args:
        url: ``redis://`` or ``rediss://``, with its password if there is one.
        prefix: What all names begin with.

    Raises:
        SettingsError: The package ``redis`` is not installed, or the URL is none.
    """

    def __init__(self, url: str, sealer: Sealer, *, prefix: str = "dsq:") -> None:
        try:
            import redis.asyncio
        except ImportError as error:
            raise SettingsError(
                "The Redis store needs the package redis.", hint="Install dsq[redis]."
            ) from error
        self._error: type[Exception] = redis.exceptions.RedisError
        self._sealer = sealer.derived("scripts")
        self._prefix = prefix
        try:
            self._redis: Any = redis.asyncio.from_url(
                url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
            )
        except ValueError:
            # No cause: the library's message could repeat the URL, which may hold a password.
            raise SettingsError(
                "redis_url is redis://host:port/number, or rediss:// for TLS."
            ) from None
        self._put = self._redis.register_script(_PUT)
        self._record = self._redis.register_script(_RECORD)
        self._end = self._redis.register_script(_END)
        self._forget = self._redis.register_script(_FORGET)
        self._delete = self._redis.register_script(_DELETE)
        self._take_nonce = self._redis.register_script(_TAKE_NONCE)
        self._take_budget = self._redis.register_script(_TAKE_BUDGET)

    async def close(self) -> None:
        await self._redis.aclose()

    def budget(self, per_minute: int) -> RedisBudget:
        """Token buckets that all replicas share."""
        return RedisBudget(self, per_minute)

    async def put(self, script: StoredScript, submit: IdempotentSubmit | None = None) -> str:
        sealed = seal_script(self._sealer, script)
        name = f"submit:{submit.scope}\n{submit.key}" if submit else "submit:"
        with self._guarded():
            kept, key = await self._put(
                keys=self._names(f"script:{script.key}", "scripts", f"submits:{script.key}", name),
                args=[
                    script.key,
                    bytes(script.owner) if script.owner else b"",
                    int(script.signed),
                    repr(script.submitted),
                    sealed,
                    submit.fingerprints[0] if submit else b"",
                    int(IDEMPOTENCY_SECONDS),
                ],
            )
        if submit is not None and key.decode() != script.key:
            submit.must_be(kept)
        return str(key.decode())

    async def earlier(self, submit: IdempotentSubmit, now: float) -> str | None:
        (name,) = self._names(f"submit:{submit.scope}\n{submit.key}")
        with self._guarded():
            kept, key, at = await self._redis.hmget(name, "fingerprint", "script", "at")
        if key is None or float(at) <= now - IDEMPOTENCY_SECONDS:
            return None
        submit.must_be(kept)
        return str(key.decode())

    async def get(self, key: str) -> StoredScript | None:
        (name,) = self._names(f"script:{key}")
        with self._guarded():
            found = await self._redis.hmget(name, "owner", "signed", "submitted", "sealed")
        owner, signed, submitted, sealed = found
        if sealed is None:
            return None
        return open_script(
            self._sealer,
            key,
            sealed,
            owner=owner,
            signed=signed == b"1",
            submitted=float(submitted),
        )

    async def has(self, keys: Iterable[str]) -> set[str]:
        asked = sorted(set(keys))
        if not asked:
            return set()
        (scripts,) = self._names("scripts")
        with self._guarded():
            scores = await self._redis.zmscore(scripts, asked)
        return {key for key, score in zip(asked, scores, strict=True) if score is not None}

    async def record_job(self, key: str, job_id: int, customer: Address) -> None:
        names = self._names(f"script:{key}", f"jobs:{key}", f"job:{job_id}")
        with self._guarded():
            await self._record(keys=names, args=[key, str(job_id), bytes(customer)])

    async def first_job(self, key: str) -> int | None:
        (name,) = self._names(f"jobs:{key}")
        with self._guarded():
            return min((int(job) for job in await self._redis.hkeys(name)), default=None)

    async def uses(self) -> list[ScriptUse]:
        (scripts,) = self._names("scripts")
        with self._guarded():
            kept = await self._redis.zrange(scripts, 0, -1, withscores=True)
            pipe = self._redis.pipeline(transaction=False)
            for key, _ in kept:
                pipe.hgetall(f"{self._prefix}jobs:{key.decode()}")
            found = await pipe.execute() if kept else []
        return [
            ScriptUse(key.decode(), at, {int(job): float(end) for job, end in jobs.items()})
            for (key, at), jobs in zip(kept, found, strict=True)
        ]

    async def mark_ended(self, job_ids: Iterable[int], now: float) -> None:
        await self._with_ids(self._end, [repr(now)], job_ids)

    async def forget_jobs(self, job_ids: Iterable[int] | None = None) -> None:
        if job_ids is None:
            with self._guarded():
                await self._forget(args=[self._prefix])
        else:
            await self._with_ids(self._forget, [], job_ids)

    async def _with_ids(self, script: Any, words: list[str], job_ids: Iterable[int]) -> None:
        named = [str(job_id) for job_id in job_ids]
        if named:
            with self._guarded():
                await script(args=[self._prefix, *words, *named])

    async def delete(self, keys: Iterable[str]) -> None:
        if named := list(keys):
            with self._guarded():
                await self._delete(args=[self._prefix, *named])

    async def cursor(self) -> int | None:
        (name,) = self._names("cursor")
        with self._guarded():
            value = await self._redis.get(name)
        return None if value is None else int(value)

    async def set_cursor(self, job_id: int) -> None:
        (name,) = self._names("cursor")
        with self._guarded():
            await self._redis.set(name, str(job_id))

    async def add_nonce(self, nonce: str, expires: float) -> None:
        (name,) = self._names("nonces")
        with self._guarded():
            pipe = self._redis.pipeline()
            pipe.zadd(name, {nonce: expires})
            pipe.zremrangebyrank(name, 0, -(MAX_NONCES + 1))
            await pipe.execute()

    async def take_nonce(self, nonce: str, now: float) -> bool:
        with self._guarded():
            taken = await self._take_nonce(keys=self._names("nonces"), args=[nonce, repr(now)])
        return bool(taken)

    async def take_budget(self, address: str, per_minute: int, cost: int) -> float:
        """Takes from the bucket of an address (see :class:`RedisBudget`)."""
        with self._guarded():
            wait = await self._take_budget(
                keys=self._names(f"budget:{address}"), args=[per_minute, cost]
            )
        return float(wait)

    def _names(self, *names: str) -> list[str]:
        return [self._prefix + name for name in names]

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (self._error, OSError, TimeoutError) as error:
            raise StoreUnavailableError(
                f"The store does not answer ({type(error).__name__}).", hint="Try again."
            ) from None


class RedisBudget:
    """Token buckets in Redis, by its clock."""

    def __init__(self, store: RedisScriptStore, per_minute: int) -> None:
        self._store = store
        self._per_minute = per_minute

    async def take(self, address: str, *, cost: int = 1) -> float:
        """See :meth:`dsq.sbatch.service.limits.Budget.take`."""
        return await self._store.take_budget(address, self._per_minute, cost)
