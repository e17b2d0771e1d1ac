"""Resources of a job, variables, and where its files come from and go to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dsq.sbatch.model.base import Go, Int, Model, Secret, Text
from dsq.sbatch.model.network_rules import Url
from dsq.sbatch.model.rules import (
    EndsNotWith,
    EnvName,
    Gte,
    NotEqual,
    NotReserved,
    Required,
    Sha256,
    StartsWith,
)

VariableName = Annotated[
    Text, EnvName(), NotEqual("PATH"), NotEqual("LD_LIBRARY_PATH"), NotReserved()
]
"""The name of a variable that a workflow may set."""


class JobResources(Model):
    """What the job gets from the cluster."""

    tasks: Annotated[Int, Gte(1)]
    """Number of tasks of the allocation. `$NTASKS`."""
    cpus_per_task: Annotated[Int, Gte(1), Go("CPUsPerTask")] = Field(alias="cpusPerTask")
    """Hardware threads a task. `$CPUS_PER_TASK`; of the whole job: `$CPUS`."""
    mem_per_cpu: Annotated[Int, Gte(1), Go("MemPerCPU")] = Field(alias="memPerCpu")
    """Memory in MB a hardware thread. `$MEM_PER_CPU`; of the whole job: `$MEM`."""
    gpus: Annotated[Int, Gte(0), Go("GPUs")]
    """GPUs of the whole job. `$GPUS`. A step gets some only by its own `gpusPerTask`."""


class EnvVar(Model):
    """An environment variable."""

    key: Annotated[
        Text, Required(), EnvName(), NotEqual("PATH"), NotEqual("LD_LIBRARY_PATH"), NotReserved()
    ]
    """Its name: letters, digits and `_`, no digit first."""
    value: Annotated[Text, Secret()]
    """Its value: any text, also empty or of several lines."""


Checksum = Annotated[Text | None, Sha256()]
"""What a file must be."""


class JobSecret(Model):
    """A secret: the workflow names it, the client gives its value at submit.

    The value travels beside the workflow and is in the job's environment only: never in the
    script, in arguments or logs. Where the client takes it from is said at submit and never in
    the workflow, as a workflow of somebody else could name files of yours.
    """

    name: VariableName
    """Name of its variable in all steps."""
    description: Text | None = None
    """What it is for; shown when the value is asked for."""


class HTTPData(Model):
    """Files at an HTTP address."""

    url: Annotated[Text, Url(), Go("URL"), Secret()]
    """Address of the file."""
    checksum: Checksum = None
    """Input only: SHA-256 of the file as it comes; the job fails before its first step when it
    has another."""


class S3Data(Model):
    """Files in an S3 bucket."""

    region: Text
    """Region of the bucket."""
    bucket_url: Annotated[Text, Url(()), StartsWith("s3://"), EndsNotWith("/"), Go("BucketURL")] = (
        Field(alias="bucketUrl")
    )
    """The bucket: `s3://name`."""
    path: Annotated[Text, StartsWith("/")]
    """Path inside the bucket."""
    access_key_id: Annotated[Text, Go("AccessKeyID"), Secret()] = Field(alias="accessKeyId")
    """Access key."""
    secret_access_key: Annotated[Text, Secret()] = Field(alias="secretAccessKey")
    """Secret key."""
    endpoint_url: Annotated[Text, Url(), Go("EndpointURL")] = Field(alias="endpointUrl")
    """Address of the S3 service."""
    delete_sync: bool | None = Field(default=None, alias="deleteSync")
    """Output only: files that are not there any more are removed from the bucket too."""
    checksum: Checksum = None
    """Input only: SHA-256 of the file, which then must be the only one that `path` names; the
    job fails before its first step when it has another."""


class TransportData(Model):
    """Where files come from or go to. With both, `http` is used and `s3` is not."""

    http: Annotated[HTTPData | None, Go("HTTP")] = None
    """An HTTP address."""
    s3: S3Data | None = None
    """An S3 bucket."""
