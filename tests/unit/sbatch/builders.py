"""Workflows for tests, from few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RESOURCES = {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 200, "gpus": 0}


def job(*steps: Mapping[str, Any], tasks: int = 1, **fields: Any) -> dict[str, Any]:
    """A job of the given steps; ``fields`` are further fields of the job."""
    return {"resources": {**RESOURCES, "tasks": tasks}, "steps": list(steps), **fields}


def run(command: str, **fields: Any) -> dict[str, Any]:
    """A step that runs a command; ``fields`` are further fields of ``run``."""
    return {"run": {"command": command, **fields}}


def env(**values: str) -> list[dict[str, str]]:
    """Variables as the language writes them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def group(steps: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """A group of steps; ``fields`` are further fields of the step."""
    return {"steps": list(steps), **fields}


S3 = {
    "region": "r",
    "bucketUrl": "s3://bucket",
    "path": "/x",
    "accessKeyId": "id",
    "secretAccessKey": "secret",
    "endpointUrl": "https://s3.example",
}
SHA256 = "sha256:" + "0" * 64

_PEER = {
    "publicKey": "p",
    "preSharedKey": "q",
    "allowedIPs": ["0.0.0.0/0"],
    "endpoint": "h.example:51820",
    "persistentKeepalive": 0,
}
_NETWORK = {
    "network": "slirp4netns",
    "dns": ["1.1.1.1", "8.8.8.8"],
    "customNetworkInterfaces": [
        {"wireguard": {"address": ["10.1.0.2/24"], "privateKey": "k", "peers": [_PEER]}},
        {"vnet": {"name": "n", "address": "10.0.0.2/24"}},
        {"bore": {"boreAddress": "b.example:2200", "targetPort": 80, "secret": "s"}},
        {"bore": {"address": "b.example", "port": 2200, "targetPort": 81}},
    ],
}
_MOUNTS = [
    {"hostDir": '/a, "b"', "containerDir": "/c:d", "options": "ro"},
    {"hostDir": "/a", "containerDir": "/c", "options": ""},
]
_CONTAINER = {"image": "a:b", "x11": True, "mounts": _MOUNTS, "mountHome": True}
_PRIVATE = {"registry": "reg.io", "username": "u", "password": "p", "readOnlyRootFS": True}
_MODULE = {
    "name": "m",
    "description": "d",
    "minimumResources": dict(RESOURCES),
    "inputs": [
        {"key": "GIVEN", "description": "d"},
        {"key": "DEFAULT", "description": "d", "default": "x"},
    ],
    "outputs": [{"key": "RESULT", "description": "d"}],
    "steps": [run("echo RESULT=$GIVEN >> $DEEPSQUARE_ENV")],
}
_RUN = {
    "workDir": "/w",
    "mapUid": 0,
    "mapGid": 0,
    "mpi": "none",
    "disableCpuBinding": True,
    "env": env(B="c"),
    "shell": "/bin/bash",
    "resources": {"tasks": 2, "cpusPerTask": 1, "memPerCpu": 1, "gpusPerTask": 0},
}

EVERYTHING: dict[str, Any] = {
    **job(
        {"name": "host", **run("c", **_NETWORK)},
        run("c", **_NETWORK, mapUid=0, container={**_CONTAINER, **_PRIVATE}),
        run("c", **{**_NETWORK, "network": "pasta"}, container={**_CONTAINER, "apptainer": True}),
        run("c", **_RUN, container={**_CONTAINER, **_PRIVATE, "apptainer": True}),
        run("c", **_RUN, container={**_CONTAINER, "deepsquareHosted": True}),
        run("c", **_RUN, container=_CONTAINER),
        {
            "name": "again",
            "timeout": 5,
            "retries": 2,
            **run("c", **_RUN),
            "catch": [{"name": "it's"}],
            "finally": [{}],
        },
        {
            "launch": {
                "handleName": "h",
                "signalOnParentStepExit": 10,
                "steps": [run("c")],
            },
            "timeout": 3,
            "catch": [{"name": "c"}],
        },
        {
            "dependsOn": ["h"],
            "if": "a == b",
            "for": {
                "parallel": True,
                "maxParallel": 2,
                "items": ["a b"],
                "steps": [
                    {
                        "for": {
                            "parallel": False,
                            "range": {"begin": 1, "end": 2, "increment": 1},
                            "steps": [run("c")],
                        }
                    }
                ],
            },
        },
        {
            "name": "module",
            "use": {
                "source": "h/o/r@0123456",
                "args": env(GIVEN="v"),
                "exportEnvAs": "PREFIX",
                "module": _MODULE,
            },
        },
        group([{"name": "n"}]),
        resources={**RESOURCES, "tasks": 2},
        env=env(A="b\nc"),
        enableLogging=True,
        input={"s3": {**S3, "checksum": SHA256}},
        inputMode=493,
        output={"s3": {**S3, "deleteSync": True}},
        continuousOutputSync=True,
        virtualNetworks=[{"name": "n", "gatewayAddress": "10.0.0.1/24"}],
        secrets=[{"name": "TOKEN", "description": "d"}],
    ),
    "resources": {**RESOURCES, "tasks": 2},
}
"""A workflow that uses nearly every field of the language."""
