"""The wire formats are shared with other clients and services: they may grow, never change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsq.core.rpc.gen.grpc.health.v1 import health_pb2
from dsq.core.rpc.gen.logger.v1alpha1 import logger_pb2
from dsq.core.rpc.gen.sbatchapi.v1alpha1 import sbatch_pb2
from dsq.core.rpc.generate import GEN, generate

MESSAGES: dict[str, dict[int, str]] = {
    "sbatchapi.v1alpha1.ChallengeRequest": {},
    "sbatchapi.v1alpha1.ChallengeResponse": {1: "challenge bytes"},
    "sbatchapi.v1alpha1.GetSBatchRequest": {
        1: "batch_location_hash string",
        2: "signed_challenge bytes",
        3: "challenge bytes",
        4: "provider_address bytes",
        5: "customer_address bytes",
        6: "job_id string",
    },
    "sbatchapi.v1alpha1.GetSBatchResponse": {
        1: "sbatch string",
        2: "grid_logger_url string",
        3: "secrets repeated SecretsEntry",
    },
    "sbatchapi.v1alpha1.GetSBatchesRequest": {
        1: "signed_challenge bytes",
        2: "challenge bytes",
        3: "provider_address bytes",
        4: "jobs repeated WantedSBatch",
    },
    "sbatchapi.v1alpha1.WantedSBatch": {
        1: "batch_location_hash string",
        2: "customer_address bytes",
        3: "job_id string",
    },
    "sbatchapi.v1alpha1.GetSBatchesResponse": {
        1: "answers repeated SBatchAnswer",
        2: "grid_logger_url string",
    },
    "sbatchapi.v1alpha1.SBatchAnswer": {
        1: "status uint32",
        2: "reason string",
        3: "sbatch string",
        4: "secrets repeated SecretsEntry",
    },
    "sbatchapi.v1alpha1.ReadSBatchRequest": {
        1: "signed_challenge bytes",
        2: "challenge bytes",
        3: "customer_address bytes",
        4: "job_id string",
    },
    "sbatchapi.v1alpha1.ReadSBatchResponse": {1: "sbatch string"},
    "logger.v1alpha1.WriteRequest": {
        1: "log_name string",
        2: "user string",
        3: "data bytes",
        4: "timestamp int64",
        5: "line_index uint64",
        6: "end bool",
        7: "lines repeated bytes",
        8: "timestamps repeated int64",
    },
    "logger.v1alpha1.WriteResponse": {5: "next_index uint64", 6: "takes_batches bool"},
    "logger.v1alpha1.ReadRequest": {
        1: "address string",
        2: "log_name string",
        3: "timestamp uint64",
        4: "signed_hash bytes",
        5: "from_line uint64",
        6: "no_follow bool",
        7: "batches bool",
    },
    "logger.v1alpha1.ReadResponse": {
        1: "data bytes",
        2: "timestamp int64",
        5: "line uint64",
        6: "dropped uint64",
        7: "lines repeated bytes",
        8: "timestamps repeated int64",
    },
    "logger.v1alpha1.WatchListRequest": {
        1: "address string",
        2: "timestamp uint64",
        3: "signed_hash bytes",
    },
    "logger.v1alpha1.WatchListResponse": {1: "log_names repeated string"},
    "grpc.health.v1.HealthCheckRequest": {1: "service string"},
    "grpc.health.v1.HealthCheckResponse": {1: "status ServingStatus"},
}
"""Every message with its fields: number, name, type."""

METHODS = {
    "sbatchapi.v1alpha1.AuthAPI": {"Challenge": "ChallengeRequest -> ChallengeResponse"},
    "sbatchapi.v1alpha1.SBatchAPI": {
        "GetSBatch": "GetSBatchRequest -> GetSBatchResponse",
        "GetSBatches": "GetSBatchesRequest -> GetSBatchesResponse",
        "ReadSBatch": "ReadSBatchRequest -> ReadSBatchResponse",
    },
    "logger.v1alpha1.LoggerAPI": {
        "Write": "stream WriteRequest -> WriteResponse",
        "Read": "ReadRequest -> stream ReadResponse",
        "WatchList": "WatchListRequest -> stream WatchListResponse",
    },
    "grpc.health.v1.Health": {
        "Check": "HealthCheckRequest -> HealthCheckResponse",
        "Watch": "HealthCheckRequest -> stream HealthCheckResponse",
    },
}

FILES = (sbatch_pb2.DESCRIPTOR, logger_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR)


def _type(field: Any) -> str:
    names = {9: "string", 12: "bytes", 3: "int64", 4: "uint64", 8: "bool", 13: "uint32"}
    nested = field.message_type or field.enum_type
    name = nested.name if nested else names[field.type]
    return f"repeated {name}" if field.is_repeated else name


def test_messages_have_exactly_these_fields() -> None:
    """Names, numbers and types of all fields are those of the checked-in table."""
    found = {
        message.full_name: {
            field.number: f"{field.name} {_type(field)}" for field in message.fields
        }
        for file in FILES
        for message in file.message_types_by_name.values()
    }
    assert found == MESSAGES


def test_services_have_exactly_these_methods() -> None:
    """Paths, message types and directions of all calls are those of the checked-in table."""
    found = {}
    for file in FILES:
        for service in file.services_by_name.values():
            found[service.full_name] = {
                method.name: f"{'stream ' * method.client_streaming}{method.input_type.name} -> "
                f"{'stream ' * method.server_streaming}{method.output_type.name}"
                for method in service.methods
            }
    assert found == METHODS


def test_secrets_are_a_map_of_texts() -> None:
    """Field 3 of the reply is ``map<string, string>``: an unknown field to old clients."""
    reply = sbatch_pb2.GetSBatchResponse(sbatch="a", grid_logger_url="b", secrets={"K": "v"})
    assert reply.SerializeToString() == b"\x0a\x01a\x12\x01b\x1a\x06\x0a\x01K\x12\x01v"


def test_line_index_zero_is_told_from_none() -> None:
    """The first line has number 0, which must reach the service."""
    assert logger_pb2.WriteRequest(line_index=0).SerializeToString() == b"\x28\x00"
    assert not logger_pb2.WriteRequest().HasField("line_index")


def test_checked_in_code_is_what_the_protos_make(tmp_path: Path) -> None:
    """Generating again gives the same files: nobody edited a proto and forgot the code."""
    protoc = pytest.importorskip("grpc_tools.protoc")
    assert protoc is not None
    fresh = {path.relative_to(tmp_path): path.read_text() for path in generate(tmp_path)}
    kept = {path: (GEN / path).read_text() for path in fresh}
    assert kept == fresh
