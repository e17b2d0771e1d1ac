"""gRPC: challenges; scripts for the providers that the chain names, and for their customers."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
from collections.abc import Iterable
from typing import Any

import grpc

from dsq.core.clock import Clock
from dsq.core.errors import DsqError, NotFoundError, WalletError
from dsq.core.model import Address, Job, JobStatus
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import (
    ChallengeRequest,
    ChallengeResponse,
    GetSBatchesRequest,
    GetSBatchesResponse,
    GetSBatchRequest,
    GetSBatchResponse,
    ReadSBatchRequest,
    ReadSBatchResponse,
    SBatchAnswer,
    WantedSBatch,
)
from dsq.core.wallet import recover_signer
from dsq.sbatch.service.keys import MAX_KEY_LENGTH
from dsq.sbatch.service.ledger import JobSource, Ledger
from dsq.sbatch.service.refusal import (
    Refused,
    asking_the_chain,
    end_call,
    malformed,
    not_found,
    of_chain,
    unauthenticated,
)
from dsq.sbatch.service.store import ScriptStore, StoredScript

log = logging.getLogger("dsq.sbatch.service.scripts")

NONCE_BYTES = 16
NONCE_SECONDS = 600.0
"""How long a challenge may be answered."""

MOST_TOGETHER = 32
"""Most jobs whose scripts are asked for at once."""

MOST_BYTES = 16 << 20
"""Of scripts and values in one answer; what would go beyond it has to be asked for alone."""

# One spelling only, and no parser: what is signed is exactly what was given out.
_CHALLENGE = re.compile(rb'\{"message":"login","nonce":"([A-Za-z0-9+/=]{24})"\}')
_HEX_ID = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


def parse_hex_id(text: str) -> int | None:
    """The number of a 32-byte id (0x and 64 digits), None for anything else."""
    return int(text, 16) if _HEX_ID.fullmatch(text) else None


def challenge_of(nonce: str) -> bytes:
    """The bytes to sign for a nonce: JSON with its keys in this order, no blanks."""
    return json.dumps({"message": "login", "nonce": nonce}, separators=(",", ":")).encode()


class AuthService:
    """``sbatchapi.v1alpha1.AuthAPI``."""

    def __init__(self, store: ScriptStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def Challenge(  # noqa: N802 - the protocol's name
        self, _request: ChallengeRequest, context: Any
    ) -> ChallengeResponse:
        """Gives a nonce to sign; it serves once, within ten minutes."""
        try:
            nonce = base64.b64encode(os.urandom(NONCE_BYTES)).decode()
            await self._store.add_nonce(nonce, self._clock.now() + NONCE_SECONDS)
            return ChallengeResponse(challenge=challenge_of(nonce))
        except Exception as error:
            await end_call(context, error)


class SBatchService:
    """``sbatchapi.v1alpha1.SBatchAPI``.

    Args:
        logger_endpoint: What callers are told as the log service.
    """

    def __init__(
        self,
        store: ScriptStore,
        jobs: JobSource,
        ledger: Ledger,
        clock: Clock,
        *,
        logger_endpoint: str,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._ledger = ledger
        self._clock = clock
        self.logger_endpoint = logger_endpoint

    async def GetSBatch(  # noqa: N802 - the protocol's name
        self, request: GetSBatchRequest, context: Any
    ) -> GetSBatchResponse:
        """Hands a script to the provider that the chain names for the job."""
        try:
            script = await self._fetch(request)
            return GetSBatchResponse(
                sbatch=script.text,
                grid_logger_url=self.logger_endpoint,
                secrets=script.secrets,
            )
        except Exception as error:
            if isinstance(error, Refused):
                log.info("script refused status=%s reason=%r", error.status.name, error.reason)
            await end_call(context, error)

    async def _fetch(self, request: GetSBatchRequest) -> StoredScript:
        job_id = _job_of(request)
        provider = await self._provider_of(request)
        async with asking_the_chain():
            return await self._hand_out(request, await self._jobs.job(job_id), provider)

    async def _hand_out(
        self, wanted: GetSBatchRequest | WantedSBatch, job: Job, provider: Address
    ) -> StoredScript:
        self._authorise(wanted, job, provider)
        script = await self._script_of(job)
        await self._ledger.used_by(script, job)
        return script

    async def GetSBatches(  # noqa: N802 - the protocol's name
        self, request: GetSBatchesRequest, context: Any
    ) -> GetSBatchesResponse:
        """Hands out the scripts of several jobs; each is refused or not as if asked for alone."""
        try:
            return GetSBatchesResponse(
                answers=await self._fetch_all(request), grid_logger_url=self.logger_endpoint
            )
        except Exception as error:
            if isinstance(error, Refused):
                log.info("scripts refused status=%s reason=%r", error.status.name, error.reason)
            await end_call(context, error)

    async def _fetch_all(self, request: GetSBatchesRequest) -> list[SBatchAnswer]:
        if not 1 <= len(request.jobs) <= MOST_TOGETHER:
            raise malformed(f"jobs names 1 to {MOST_TOGETHER} jobs.")
        provider = await self._provider_of(request)
        answers, size = [], 0
        async with asking_the_chain():
            known = await self._known(parse_hex_id(wanted.job_id) for wanted in request.jobs)
            for wanted in request.jobs:
                answer = await self._answer(wanted, known, provider)
                size += answer.ByteSize()
                answers.append(answer if size <= MOST_BYTES else _too_much())
        return answers

    async def _known(self, job_ids: Iterable[int | None]) -> dict[int, Job]:
        """The jobs that are on chain."""
        ids = sorted({job_id for job_id in job_ids if job_id is not None})
        try:
            found = await self._jobs.jobs(ids)
        except NotFoundError:
            found = []
            for job_id in ids:
                with contextlib.suppress(NotFoundError):
                    found.append(await self._jobs.job(job_id))
        return {job.id: job for job in found}

    async def _answer(
        self, wanted: WantedSBatch, known: dict[int, Job], provider: Address
    ) -> SBatchAnswer:
        try:
            job_id = _job_of(wanted)
            if job_id not in known:
                raise not_found(f"There is no job {job_id}.")
            script = await self._hand_out(wanted, known[job_id], provider)
            return SBatchAnswer(sbatch=script.text, secrets=script.secrets)
        except Refused as error:
            refusal = error
        except DsqError as error:
            refusal = of_chain(error)
        log.info("script refused status=%s reason=%r", refusal.status.name, refusal.reason)
        return _refusal(refusal)

    async def _provider_of(self, request: GetSBatchRequest | GetSBatchesRequest) -> Address:
        """Who asks, once that is proved."""
        if len(request.provider_address) != 20:
            raise malformed("provider_address has 20 bytes.")
        provider = Address(request.provider_address)
        await self._authenticate(request, provider, "provider_address")
        return provider

    async def ReadSBatch(  # noqa: N802 - the protocol's name
        self, request: ReadSBatchRequest, context: Any
    ) -> ReadSBatchResponse:
        """Shows a customer the script of his own job, as long as it is kept; no secrets."""
        try:
            return ReadSBatchResponse(sbatch=(await self._read(request)).text)
        except Exception as error:
            if isinstance(error, Refused):
                log.info("script not shown status=%s reason=%r", error.status.name, error.reason)
            await end_call(context, error)

    async def _read(self, request: ReadSBatchRequest) -> StoredScript:
        job_id = parse_hex_id(request.job_id)
        if job_id is None:
            raise malformed("job_id is 0x and 64 hexadecimal digits.")
        if len(request.customer_address) != 20:
            raise malformed("customer_address has 20 bytes.")
        customer = Address(request.customer_address)
        await self._authenticate(request, customer, "customer_address")
        async with asking_the_chain():
            job = await self._jobs.job(job_id)
            if job.customer != customer:
                raise unauthenticated("The customer is not the one that the chain names.")
            return await self._script_of(job)

    async def _authenticate(
        self,
        request: GetSBatchRequest | GetSBatchesRequest | ReadSBatchRequest,
        who: Address,
        field: str,
    ) -> None:
        try:
            signer = recover_signer(request.challenge, request.signed_challenge)
        except WalletError as error:
            raise unauthenticated(error.message) from error
        if signer != who:
            raise unauthenticated(f"The signature is not {field}'s.")
        match = _CHALLENGE.fullmatch(request.challenge)
        if match is None or not await self._store.take_nonce(match[1].decode(), self._clock.now()):
            raise unauthenticated("The challenge is unknown, used or expired.")

    def _authorise(
        self, request: GetSBatchRequest | WantedSBatch, job: Job, provider: Address
    ) -> None:
        if job.customer != Address(request.customer_address):
            raise unauthenticated("The customer is not the one that the chain names.")
        if job.provider != provider:
            raise unauthenticated("The provider is not the one that the chain names.")
        if request.batch_location_hash != job.definition.batch_location_hash:
            raise unauthenticated("batch_location_hash is not the one that the chain names.")
        if job.status.is_final:
            raise not_found(f"Job {job.id} is {job.status.name}: its script is closed.")
        if job.status not in (JobStatus.SCHEDULED, JobStatus.RUNNING):
            raise Refused(
                grpc.StatusCode.UNAVAILABLE,
                f"Job {job.id} is {job.status.name} in this service's view: not claimed yet.",
            )

    async def _script_of(self, job: Job) -> StoredScript:
        script = await self._store.get(job.definition.batch_location_hash)
        if script is None:
            raise not_found(f"There is no script for job {job.id}: never submitted, or expired.")
        if await self._ledger.owner_of(script, job) != job.customer:
            raise unauthenticated("The script belongs to another customer.")
        return script


def _job_of(wanted: GetSBatchRequest | WantedSBatch) -> int:
    job_id = parse_hex_id(wanted.job_id)
    if job_id is None:
        raise malformed("job_id is 0x and 64 hexadecimal digits.")
    if len(wanted.customer_address) != 20:
        raise malformed("customer_address has 20 bytes.")
    if len(wanted.batch_location_hash) > MAX_KEY_LENGTH:
        raise malformed("batch_location_hash is too long.")
    return job_id


def _refusal(refused: Refused) -> SBatchAnswer:
    return SBatchAnswer(status=refused.status.value[0], reason=refused.reason)


def _too_much() -> SBatchAnswer:
    reason = "The scripts are too long to be sent together; ask for this one alone."
    return _refusal(Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, reason))
