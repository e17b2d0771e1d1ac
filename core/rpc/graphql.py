"""Client of the GraphQL API that takes workflows."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from dsq.core.errors import (
    DsqError,
    SettingsError,
    TryAgainError,
    UnreachableError,
    UsageError,
    WalletError,
    WorkflowError,
)
from dsq.core.rpc.channel import is_loopback
from dsq.core.rpc.signing import (
    ADDRESS_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    submit_text,
)
from dsq.core.wallet import Wallet

SUBMIT = "mutation Submit($job: Job!) { submit(job: $job) }"

SUBMIT_WITH_SECRETS = (
    "mutation Submit($job: Job!, $secrets: [SecretValue!]) { submit(job: $job, secrets: $secrets) }"
)


def system_trust() -> ssl.SSLContext | bool:
    """The certificates to trust: the system's or ``SSL_CERT_FILE``'s, else httpx's own."""
    paths = ssl.get_default_verify_paths()
    return ssl.create_default_context() if paths.cafile or paths.capath else True


class GraphQLClient:
    """Submits workflows.

    Args:
        url: The GraphQL endpoint, with its path.
        wallet: The customer's: submits are signed, so that only the customer's jobs can use
            the script. None submits without a signature, as old clients do.
        timeout: Seconds for one request.
        patience: Seconds to wait in all when the service wants fewer requests.
    """

    def __init__(
        self,
        url: str,
        wallet: Wallet | None = None,
        *,
        timeout: float = 30.0,
        patience: float = 120.0,
    ) -> None:
        host = urlsplit(url).hostname
        if not url.startswith(("http://", "https://")) or not host:
            raise SettingsError(
                f"'{url}' is not the address of an sbatch API.",
                hint="Write a URL as in https://host/graphql (setting sbatch_url).",
            )
        self._url = url
        self._wallet = wallet
        self._patience = patience
        self._sleep = asyncio.sleep
        # A proxy of the environment never stands between two parts of one machine.
        self._http = httpx.AsyncClient(
            timeout=timeout,
            trust_env=not is_loopback(host),
            verify=system_trust() if url.startswith("https:") else True,
        )

    async def close(self) -> None:
        """Closes the connection."""
        await self._http.aclose()

    async def submit(
        self,
        workflow: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> str:
        """Submits a workflow.

        Args:
            workflow: The job with the field names of the API; unset fields left out.
            idempotency_key: Any text that names this submit: a repeat with the same key
                and workflow within 24 hours gets the same answer.
            secrets: Values of the secrets that the workflow names. They are sent over TLS, or
                within this machine, only.

        Returns:
            The key of the script: the job's ``batch_location_hash`` on chain.

        Raises:
            WorkflowError: The service refuses the workflow; ``problems`` says why.
            UsageError: ``idempotency_key`` was used for another workflow.
            SettingsError: Secrets would travel in plain text.
            TryAgainError: Too many requests, or the service cannot work now.
            WalletError: The signature was refused.
            UnreachableError: The service does not answer.
        """
        payload: dict[str, Any] = {"query": SUBMIT, "variables": {"job": workflow}}
        if secrets:
            self._refuse_plain_text()
            payload["query"] = SUBMIT_WITH_SECRETS
            payload["variables"]["secrets"] = [
                {"name": name, "value": value} for name, value in secrets.items()
            ]
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"content-type": "application/json"}
        if idempotency_key is not None:
            headers["idempotency-key"] = idempotency_key
        left = self._patience
        while True:
            response = await self._post(body, headers)
            wait = _retry_after(response)
            if not wait or wait > left:
                return self._key_of(response)
            left -= wait
            await self._sleep(wait)

    async def _post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        if self._wallet is not None:
            milliseconds = time.time_ns() // 10**6
            text = submit_text(self._wallet.address, body, milliseconds)
            headers[ADDRESS_HEADER] = self._wallet.address.lower
            headers[TIMESTAMP_HEADER] = str(milliseconds)
            headers[SIGNATURE_HEADER] = "0x" + self._wallet.sign_text(text).hex()
        try:
            return await self._http.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"The sbatch API at {self._url} does not answer: "
                f"{str(error) or type(error).__name__}.",
                hint="Check the endpoint and that the service runs.",
            ) from error

    def _refuse_plain_text(self) -> None:
        parts = urlsplit(self._url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise SettingsError(
                f"Secrets are not sent in plain text to {parts.hostname}.",
                hint="Use an sbatch_url that begins with https://.",
            )

    def _key_of(self, response: httpx.Response) -> str:
        try:
            answer = response.json()
            errors = list(answer.get("errors") or ())
            key = (answer.get("data") or {}).get("submit") or ""
        except (ValueError, AttributeError, TypeError):
            errors, key = [], ""
        if key and not errors and response.status_code == httpx.codes.OK:
            return str(key)
        if errors:
            raise _refusal(response.status_code, errors)
        where = f"The sbatch API at {self._url} answered with status {response.status_code}"
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise TryAgainError(f"{where}.", hint="Wait a little and submit again.")
        raise UnreachableError(
            f"{where} and no answer of GraphQL.", hint="Check sbatch_url: it ends in /graphql."
        )


def _retry_after(response: httpx.Response) -> float:
    """Seconds to wait before another try; 0 if the answer is one."""
    if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return 0.0
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 1.0


def _refusal(status: int, errors: list[Mapping[str, Any]]) -> DsqError:
    problems = tuple(str(error.get("message", "no reason given")) for error in errors)
    extensions = errors[0].get("extensions") or {}
    kind = extensions.get("type")
    if kind == "authentication":
        return WalletError(f"The sbatch API refused the signature: {problems[0]}")
    if kind == "idempotency":
        return UsageError(problems[0])
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return TryAgainError(f"The sbatch API takes no more now: {problems[0]}")
    if extensions.get("code") == "UNAVAILABLE":
        return TryAgainError(f"The sbatch API cannot take the workflow now: {problems[0]}")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return TryAgainError(f"The sbatch API cannot take the workflow now: {problems[0]}")
    return WorkflowError(
        f"The sbatch API refused the workflow: {problems[0]}"
        + (f" ({len(problems) - 1} more)" if len(problems) > 1 else ""),
        problems=problems,
    )
