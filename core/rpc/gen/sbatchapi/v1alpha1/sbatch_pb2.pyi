from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChallengeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChallengeResponse(_message.Message):
    __slots__ = ("challenge",)
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    challenge: bytes
    def __init__(self, challenge: _Optional[bytes] = ...) -> None: ...

class GetSBatchRequest(_message.Message):
    __slots__ = ("batch_location_hash", "signed_challenge", "challenge", "provider_address", "customer_address", "job_id")
    BATCH_LOCATION_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNED_CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    batch_location_hash: str
    signed_challenge: bytes
    challenge: bytes
    provider_address: bytes
    customer_address: bytes
    job_id: str
    def __init__(self, batch_location_hash: _Optional[str] = ..., signed_challenge: _Optional[bytes] = ..., challenge: _Optional[bytes] = ..., provider_address: _Optional[bytes] = ..., customer_address: _Optional[bytes] = ..., job_id: _Optional[str] = ...) -> None: ...

class GetSBatchResponse(_message.Message):
    __slots__ = ("sbatch", "grid_logger_url", "secrets")
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SBATCH_FIELD_NUMBER: _ClassVar[int]
    GRID_LOGGER_URL_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    sbatch: str
    grid_logger_url: str
    secrets: _containers.ScalarMap[str, str]
    def __init__(self, sbatch: _Optional[str] = ..., grid_logger_url: _Optional[str] = ..., secrets: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetSBatchesRequest(_message.Message):
    __slots__ = ("signed_challenge", "challenge", "provider_address", "jobs")
    SIGNED_CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    signed_challenge: bytes
    challenge: bytes
    provider_address: bytes
    jobs: _containers.RepeatedCompositeFieldContainer[WantedSBatch]
    def __init__(self, signed_challenge: _Optional[bytes] = ..., challenge: _Optional[bytes] = ..., provider_address: _Optional[bytes] = ..., jobs: _Optional[_Iterable[_Union[WantedSBatch, _Mapping]]] = ...) -> None: ...

class WantedSBatch(_message.Message):
    __slots__ = ("batch_location_hash", "customer_address", "job_id")
    BATCH_LOCATION_HASH_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    batch_location_hash: str
    customer_address: bytes
    job_id: str
    def __init__(self, batch_location_hash: _Optional[str] = ..., customer_address: _Optional[bytes] = ..., job_id: _Optional[str] = ...) -> None: ...

class GetSBatchesResponse(_message.Message):
    __slots__ = ("answers", "grid_logger_url")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    GRID_LOGGER_URL_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[SBatchAnswer]
    grid_logger_url: str
    def __init__(self, answers: _Optional[_Iterable[_Union[SBatchAnswer, _Mapping]]] = ..., grid_logger_url: _Optional[str] = ...) -> None: ...

class SBatchAnswer(_message.Message):
    __slots__ = ("status", "reason", "sbatch", "secrets")
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SBATCH_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    status: int
    reason: str
    sbatch: str
    secrets: _containers.ScalarMap[str, str]
    def __init__(self, status: _Optional[int] = ..., reason: _Optional[str] = ..., sbatch: _Optional[str] = ..., secrets: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReadSBatchRequest(_message.Message):
    __slots__ = ("signed_challenge", "challenge", "customer_address", "job_id")
    SIGNED_CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    signed_challenge: bytes
    challenge: bytes
    customer_address: bytes
    job_id: str
    def __init__(self, signed_challenge: _Optional[bytes] = ..., challenge: _Optional[bytes] = ..., customer_address: _Optional[bytes] = ..., job_id: _Optional[str] = ...) -> None: ...

class ReadSBatchResponse(_message.Message):
    __slots__ = ("sbatch",)
    SBATCH_FIELD_NUMBER: _ClassVar[int]
    sbatch: str
    def __init__(self, sbatch: _Optional[str] = ...) -> None: ...
