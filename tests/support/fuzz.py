"""Random requests for the sbatch API: nonsense, and sense with a little nonsense in it."""

from __future__ import annotations

import base64
import json
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dsq.core.rpc.gen.logger.v1alpha1.logger_pb2 import (
    ReadRequest,
    WatchListRequest,
    WriteRequest,
)
from dsq.core.rpc.gen.sbatchapi.v1alpha1.sbatch_pb2 import ChallengeRequest, GetSBatchRequest
from dsq.core.rpc.signing import read_text, submit_text, watch_list_text, write_text
from dsq.core.wallet import Wallet

SUBMIT = "mutation Submit($job: Job!) { submit(job: $job) }"
VALIDATE = "mutation V($module: Module!) { validate(module: $module) }"

WORDS = (
    "", " ", "x", "a/b:1", "/bin/bash", "0", "-1", "$(id)", "'\"`\\", "\0", "\n\r\t", "é\U0001f600",
    "\u202e", "{{ .Job }}", "../../etc/passwd", "x" * 5000, "null", "s3://b", "https://h/x",
    "10.0.0.1/24", "[::1]:0", "PATH", "1e999", "%s%n", "<b>",
)  # fmt: skip
NUMBERS = (0, 1, -1, 511, 512, 2**31 - 1, 2**31, -(2**31), 2**63, 2**64, 10**30, 0.5, 1e300)

JOB: dict[str, Any] = {
    "resources": {"tasks": 2, "cpusPerTask": 1, "memPerCpu": 100, "gpus": 0},
    "enableLogging": True,
    "env": [{"key": "A", "value": "b"}],
    "input": {"http": {"url": "https://example.org/x"}},
    "inputMode": 493,
    "steps": [
        {
            "name": "one",
            "if": "1 == 1",
            "run": {
                "command": "echo hi",
                "shell": "/bin/bash",
                "resources": {"tasks": 1},
                "env": [{"key": "B", "value": "c"}],
                "container": {"image": "a/b:1", "apptainer": True, "mountHome": True},
            },
            "catch": [{"name": "c", "run": {"command": "false"}}],
            "finally": [{"name": "f"}],
        },
        {"for": {"parallel": True, "range": {"begin": 0, "end": 3}, "steps": [{"name": "l"}]}},
        {"launch": {"handleName": "h", "steps": [{"run": {"command": "sleep 1"}}]}},
        {"dependsOn": ["h"], "steps": [{"name": "s"}]},
    ],
    "output": {
        "s3": {
            "region": "r", "bucketUrl": "s3://b", "path": "/p", "accessKeyId": "i",
            "secretAccessKey": "s", "endpointUrl": "https://s3.example.org",
        }
    },
}  # fmt: skip
USE = {"use": {"source": "github.com/a/b@v1", "args": [{"key": "X", "value": "y"}]}}
MODULE: dict[str, Any] = {
    "name": "m", "description": "d", "minimumResources": JOB["resources"],
    "inputs": [{"key": "X", "description": "d"}], "outputs": [], "steps": JOB["steps"][:1],
}  # fmt: skip


@dataclass
class Http:
    """A request over HTTP."""

    method: str
    path: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Grpc:
    """A call; several messages for ``Write``."""

    path: str
    messages: list[bytes]
    metadata: list[tuple[str, str | bytes]] = field(default_factory=list)


class Fuzzer:
    """Makes requests from a seed.

    Args:
        customer: Signs some reads and submits.
        provider: Signs some writes and challenges.
        log_name: A log that is there.
    """

    def __init__(self, seed: int, customer: Wallet, provider: Wallet, log_name: str) -> None:
        self._random = random.Random(seed)
        self._customer = customer
        self._provider = provider
        self._log_name = log_name

    def next(self) -> Http | Grpc:
        """The next request."""
        makers: list[tuple[int, Callable[[], Http | Grpc]]] = [
            (40, self._submit), (8, self._document), (6, self._body), (4, self._get),
            (3, self._path), (5, self._web), (12, self._raw_call), (8, self._script),
            (8, self._write), (6, self._read),
        ]  # fmt: skip
        weights = [weight for weight, _ in makers]
        return self._random.choices([make for _, make in makers], weights)[0]()

    # -- values ------------------------------------------------------------------

    def _word(self) -> str:
        return self._random.choice(WORDS)

    def _bytes(self, most: int = 80) -> bytes:
        return self._random.randbytes(self._random.randrange(most))

    def _value(self, depth: int = 0) -> Any:
        kind = self._random.randrange(8 if depth < 4 else 5)
        if kind < 2:
            return self._word()
        if kind == 2:
            return self._random.choice(NUMBERS)
        if kind == 3:
            return self._random.choice((True, False, None))
        if kind == 4:
            return self._random.choice(([], {}))
        if kind == 5:
            return [self._value(depth + 1) for _ in range(self._random.randrange(4))]
        if kind == 6:
            return {self._word(): self._value(depth + 1) for _ in range(self._random.randrange(4))}
        deep: Any = self._word()
        for _ in range(self._random.choice((3, 50, 300))):
            deep = [deep] if self._random.random() < 0.5 else {"steps": deep}
        return deep

    def _changed(self, value: Any) -> Any:
        """The value with one place in it changed."""
        if isinstance(value, dict) and value and self._random.random() < 0.85:
            copy = dict(value)
            name = self._random.choice(list(copy))
            roll = self._random.random()
            if roll < 0.7:
                copy[name] = self._changed(copy[name])
            elif roll < 0.8:
                del copy[name]
            elif roll < 0.9:
                copy[self._word() or "odd"] = copy.pop(name)
            else:
                copy[self._random.choice(list(JOB) + list(JOB["steps"][0]))] = self._value()
            return copy
        if isinstance(value, list) and value and self._random.random() < 0.85:
            copy_ = list(value)
            place = self._random.randrange(len(copy_))
            copy_[place] = self._changed(copy_[place])
            if self._random.random() < 0.2:
                copy_ *= self._random.choice((0, 2, 30))
            return copy_
        return self._value()

    def _mangled(self, raw: bytes) -> bytes:
        """The bytes with some of them changed, cut, or doubled."""
        out = bytearray(raw)
        for _ in range(self._random.randrange(1, 4)):
            if not out:
                break
            place = self._random.randrange(len(out))
            roll = self._random.random()
            if roll < 0.5:
                out[place] = self._random.randrange(256)
            elif roll < 0.7:
                del out[place:]
            elif roll < 0.85:
                del out[place : place + 3]
            else:
                out[place:place] = out[: self._random.randrange(20)]
        return bytes(out)

    # -- HTTP --------------------------------------------------------------------

    def _post(self, content: bytes, media_type: str = "application/json") -> Http:
        headers = {"content-type": media_type}
        roll = self._random.random()
        if roll < 0.1:
            stamp = int(time.time() * 1000)
            signature = self._customer.sign_text(
                submit_text(self._customer.address, content, stamp)
            )
            headers |= {
                "dsq-address": self._customer.address.lower,
                "dsq-timestamp": str(stamp),
                "dsq-signature": "0x" + signature.hex(),
            }
            if self._random.random() < 0.5:
                name = self._random.choice(list(headers))
                headers[name] = self._header(headers[name])
        elif roll < 0.2:
            headers["idempotency-key"] = self._random.choice(("one", "two", self._header("k")))
        return Http("POST", "/graphql", content, headers)

    def _header(self, text: str) -> str:
        raw = self._mangled(text.encode()).decode("latin-1")
        return "".join(each for each in raw if " " < each < "\x7f") or "x"

    def _submit(self) -> Http:
        job = JOB
        if self._random.random() < 0.2:
            job = {**JOB, "steps": [*JOB["steps"], USE]}
        for _ in range(self._random.randrange(4)):
            job = self._changed(job)
        if self._random.random() < 0.15:
            module = self._changed(MODULE)
            return self._post(_json({"query": VALIDATE, "variables": {"module": module}}))
        payload: Any = {"query": SUBMIT, "variables": {"job": job}}
        if self._random.random() < 0.2:
            payload = self._changed(payload)
        raw = _json(payload)
        if self._random.random() < 0.1:
            raw = self._mangled(raw)
        return self._post(raw)

    def _document(self) -> Http:
        signs = ["{", "}", "(", ")", "[", "]", "!", "$", ":", '"', '"""', "...", "@", "|", "#", "\n",
                 "query", "mutation", "subscription", "fragment", "on", "submit", "validate", "job",
                 "__schema", "__typename", "types", "name", "1", "-0.5e9", "null", "true", "x"]  # fmt: skip
        roll = self._random.random()
        if roll < 0.5:
            query = " ".join(self._random.choices(signs, k=self._random.randrange(40)))
        elif roll < 0.8:
            query = self._mangled(SUBMIT.encode()).decode("latin-1")
        else:
            query = "{" + self._random.choice(("a{", "__schema{types{", "[", "(")) * 500
        payload = {"query": query, "variables": self._value()}
        if self._random.random() < 0.3:
            payload["extensions"] = {"persistedQuery": {"version": 1, "sha256Hash": self._word()}}
        return self._post(_json(payload))

    def _body(self) -> Http:
        kinds = ("application/json", "multipart/form-data; boundary=x", "multipart/form-data",
                 "text/plain", "application/json; charset=latin-1", "x")  # fmt: skip
        content = self._random.choice(
            (self._bytes(300), _json(self._value()), b"[" * 5000, b'{"query":' * 300,
             b"--x\r\ncontent-disposition: form-data; name=operations\r\n\r\n{}\r\n--x--\r\n")
        )  # fmt: skip
        return self._post(content, self._random.choice(kinds))

    def _get(self) -> Http:
        from urllib.parse import quote

        words = [quote(self._word().encode()) for _ in range(3)]
        path = f"/graphql?query={words[0]}&variables={words[1]}&operationName={words[2]}"
        return Http(self._random.choice(("GET", "HEAD", "OPTIONS", "PUT", "DELETE")), path)

    def _path(self) -> Http:
        path = "/" + self._bytes(20).hex() + self._random.choice(("", "?", "//", "/%00", "/%ff"))
        known = self._random.choice((path, "/health", "/ready", "/metrics", "/", "/job/x"))
        return Http(self._random.choice(("GET", "POST", "PATCH")), known, self._bytes())

    def _web(self) -> Http:
        call = self._random.choice((self._script, self._read, self._raw_call))()
        raw = call.messages[0]
        body = struct.pack(">BI", 0, len(raw)) + raw
        if self._random.random() < 0.3:
            body = self._mangled(body)
        text = self._random.random() < 0.3
        kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
        content = base64.b64encode(body) if text else body
        return Http("POST", call.path, content, {"content-type": kind})

    # -- gRPC --------------------------------------------------------------------

    def _raw_call(self) -> Grpc:
        path = self._random.choice(
            ("/sbatchapi.v1alpha1.AuthAPI/Challenge", "/sbatchapi.v1alpha1.SBatchAPI/GetSBatch",
             "/sbatchapi.v1alpha1.SBatchAPI/GetSBatches",
             "/logger.v1alpha1.LoggerAPI/Write", "/logger.v1alpha1.LoggerAPI/Read",
             "/grpc.health.v1.Health/Check")
        )  # fmt: skip
        return Grpc(path, [self._bytes() for _ in range(self._random.randrange(1, 3))])

    def _script(self) -> Grpc:
        path = "/sbatchapi.v1alpha1.SBatchAPI/GetSBatch"
        challenge = b'{"message":"login","nonce":"' + base64.b64encode(bytes(16)) + b'"}'
        request = GetSBatchRequest(
            batch_location_hash=self._text(),
            signed_challenge=self._provider.sign_text(challenge),
            challenge=challenge,
            provider_address=bytes(self._provider.address),
            customer_address=bytes(self._customer.address),
            job_id=self._log_name,
        )
        if self._random.random() < 0.1:
            return Grpc("/sbatchapi.v1alpha1.AuthAPI/Challenge", [
                ChallengeRequest().SerializeToString()])  # fmt: skip
        return Grpc(path, [self._perhaps_mangled(request)])

    def _text(self) -> str:
        return self._word().replace("\0", "")

    def _perhaps_mangled(self, message: Any) -> bytes:
        raw: bytes = message.SerializeToString()
        return self._mangled(raw) if self._random.random() < 0.5 else raw

    def _write(self) -> Grpc:
        stamp = int(time.time() * 1000)
        user = self._customer.address
        metadata: list[tuple[str, str | bytes]] = [
            ("dsq-address", self._provider.address.lower),
            ("dsq-timestamp", str(stamp)),
            (
                "dsq-signature-bin",
                self._provider.sign_text(write_text(user, self._log_name, stamp)),
            ),
        ]
        if self._random.random() < 0.3:
            place = self._random.randrange(3)
            name, value = metadata[place]
            changed: str | bytes = (
                self._mangled(value) if isinstance(value, bytes) else self._header(value)
            )
            metadata[place] = (name, changed)
        lines = [self._bytes() for _ in range(self._random.randrange(5))]
        request = WriteRequest(
            log_name=self._log_name,
            user=user.lower,
            data=self._bytes(),
            timestamp=self._random.choice((0, 1, -1, 2**62)),
            lines=lines,
            timestamps=[0] * (len(lines) + self._random.choice((0, 0, 0, 1))),
        )
        if self._random.random() < 0.5:
            request.line_index = self._random.choice((0, 1, 5, 2**40, 2**63, 2**64 - 1))
        return Grpc(
            "/logger.v1alpha1.LoggerAPI/Write",
            [self._perhaps_mangled(request) for _ in range(self._random.randrange(1, 3))],
            metadata,
        )

    def _read(self) -> Grpc:
        stamp = int(time.time() * self._random.choice((1, 1000)))
        address = self._customer.address
        if self._random.random() < 0.2:
            listing = WatchListRequest(
                address=address.lower,
                timestamp=stamp,
                signed_hash=self._customer.sign_text(watch_list_text(address, stamp + 1)),
            )
            return Grpc("/logger.v1alpha1.LoggerAPI/WatchList", [self._perhaps_mangled(listing)])
        # Line by line the log, which grows all the time, would take most of the test's time.
        batches = self._random.random() < 0.5
        request = ReadRequest(
            address=address.lower,
            log_name=self._log_name,
            timestamp=stamp,
            signed_hash=self._customer.sign_text(read_text(address, self._log_name, stamp)),
            from_line=self._random.choice((0, 1, 7) if batches else (2**40, 2**63, 2**64 - 1)),
            no_follow=True,
            batches=batches,
        )
        raw: bytes = request.SerializeToString()
        # Mangled only where the signature breaks: a read that follows would not end.
        return Grpc(
            "/logger.v1alpha1.LoggerAPI/Read",
            [raw[:-30] if self._random.random() < 0.4 else raw],
        )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=_has_escapes(value)).encode(errors="surrogatepass")


def _has_escapes(value: Any) -> bool:
    """Half of all values are written with escapes."""
    return len(repr(value)) % 2 == 0
