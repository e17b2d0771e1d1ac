"""The language beside the reference's: every type and field of its contract, field by field."""

from __future__ import annotations

import pytest

from dsq.sbatch.model import Module, Workflow, describe
from dsq.sbatch.model.rules import Int32, NoNul, NotReserved

CONTRACT = """\
Job
    resources: JobResources! Resources
    env: [EnvVar!] Env
    enableLogging: Boolean EnableLogging
    input: TransportData Input
    inputMode: Int InputMode | gte=0, lt=512
    steps: [Step!]! Steps
    output: TransportData Output
    continuousOutputSync: Boolean ContinuousOutputSync
    virtualNetworks: [VirtualNetwork!] VirtualNetworks
JobResources
    tasks: Int! Tasks | gte=1
    cpusPerTask: Int! CPUsPerTask | gte=1
    memPerCpu: Int! MemPerCPU | gte=1
    gpus: Int! GPUs | gte=0
EnvVar
    key: String! Key | required, valid_envvar_name, ne=PATH, ne=LD_LIBRARY_PATH
    value: String! Value
TransportData
    http: HTTPData HTTP
    s3: S3Data S3
Step
    name: String Name
    dependsOn: [String!] DependsOn | alphanum_underscore
    if: String If
    steps: [Step!] Steps
    run: StepRun Run
    for: StepFor For
    launch: StepAsyncLaunch Launch
    use: StepUse Use
    catch: [Step!] Catch
    finally: [Step!] Finally
VirtualNetwork
    name: String! Name
    gatewayAddress: String! GatewayAddress | cidr
HTTPData
    url: String! URL | url
S3Data
    region: String! Region
    bucketUrl: String! BucketURL | url, startswith=s3://, endsnotwith=/
    path: String! Path | startswith=/
    accessKeyId: String! AccessKeyID
    secretAccessKey: String! SecretAccessKey
    endpointUrl: String! EndpointURL | url
    deleteSync: Boolean DeleteSync
StepRun
    command: String! Command
    shell: String Shell | oneof=/bin/bash /bin/ash /bin/sh ENTRYPOINT
    resources: StepRunResources Resources
    container: ContainerRun Container
    network: String Network | oneof=host slirp4netns pasta
    dns: [String!] DNS | ip
    customNetworkInterfaces: [NetworkInterface!] CustomNetworkInterfaces
    env: [EnvVar!] Env
    mapUid: Int MapUID | gte=0
    mapGid: Int MapGID | gte=0
    workDir: String WorkDir | startswith=/
    disableCpuBinding: Boolean DisableCPUBinding
    mpi: String Mpi | oneof=none pmix_v4 pmi2
StepFor
    parallel: Boolean! Parallel
    items: [String!] Items
    range: ForRange Range
    steps: [Step!]! Steps
StepAsyncLaunch
    handleName: String HandleName | alphanum_underscore
    signalOnParentStepExit: Int SignalOnParentStepExit | gte=0, lt=65
    steps: [Step!]! Steps
StepUse
    source: String! Source | module_source
    args: [EnvVar!] Args
    exportEnvAs: String ExportEnvAs | valid_envvar_name, ne=PATH, ne=LD_LIBRARY_PATH
    steps: [Step!] Steps
StepRunResources
    tasks: Int Tasks | gte=1
    cpusPerTask: Int CPUsPerTask | gte=1
    memPerCpu: Int MemPerCPU | gte=1
    gpusPerTask: Int GPUsPerTask | gte=0
ContainerRun
    image: String! Image | valid_container_image_url
    mounts: [Mount!] Mounts
    username: String Username
    password: String Password
    registry: String Registry | hostname
    apptainer: Boolean Apptainer
    deepsquareHosted: Boolean DeepsquareHosted
    x11: Boolean X11
    mountHome: Boolean MountHome
    readOnlyRootFS: Boolean ReadOnlyRootFS
NetworkInterface
    wireguard: Wireguard Wireguard
    bore: Bore Bore
    vnet: VNet VNet
ForRange
    begin: Int! Begin
    end: Int! End
    increment: Int Increment
Module
    name: String! Name
    description: String! Description
    minimumResources: JobResources! MinimumResources
    inputs: [ModuleInput!] Inputs
    outputs: [ModuleOutput!] Outputs
    steps: [Step!]! Steps
Mount
    hostDir: String! HostDir | startswith=/
    containerDir: String! ContainerDir | startswith=/
    options: String! Options | oneof=rw ro
Wireguard
    address: [String!] Address | cidr
    privateKey: String! PrivateKey
    peers: [WireguardPeer!] Peers
Bore
    address: String Address | ip|fqdn
    port: Int Port | gte=1, lt=65536
    boreAddress: String BoreAddress | hostname_port
    targetPort: Int! TargetPort | gte=1, lt=65536
    secret: String Secret
VNet
    name: String! Name
    address: String! Address | cidr
ModuleInput
    key: String! Key | valid_envvar_name, ne=PATH, ne=LD_LIBRARY_PATH
    description: String! Description
    default: String Default
ModuleOutput
    key: String! Key | valid_envvar_name, ne=PATH, ne=LD_LIBRARY_PATH
    description: String! Description
WireguardPeer
    publicKey: String! PublicKey
    preSharedKey: String PreSharedKey
    allowedIPs: [String!] AllowedIPs | cidr
    endpoint: String Endpoint | hostname_port
    persistentKeepalive: Int PersistentKeepalive | gte=0, lt=65536
"""
"""Type, then its fields: name, GraphQL type, name in errors, rules (tag, parameter)."""

ADDED = {
    "Job": {"secrets", "sweep"},
    "Step": {"timeout", "retries"},
    "StepFor": {"maxParallel"},
    "StepUse": {"module"},
    "HTTPData": {"checksum"},
    "S3Data": {"checksum"},
}
"""Fields that the reference does not have; old clients need none of them."""

ADDED_TYPES = {"JobSecret", "Sweep", "SweepParameter"}

KINDS = {kind.name: kind for root in (Workflow, Module) for kind in describe(root)}


def contract() -> dict[str, list[str]]:
    """The fields of each type, as lines."""
    found: dict[str, list[str]] = {}
    for line in CONTRACT.splitlines():
        if line.startswith(" "):
            found[list(found)[-1]].append(line.strip())
        else:
            found[line] = []
    return found


def test_the_types_are_those_of_the_contract() -> None:
    """None is missing, and what is more is known."""
    assert set(KINDS) == set(contract()) | ADDED_TYPES


@pytest.mark.parametrize("name", contract())
def test_each_field_is_as_in_the_contract(name: str) -> None:
    """Its name, whether it must be there, what errors call it, its rules in their order."""
    lines = []
    for field in KINDS[name].fields:
        if field.name in ADDED.get(name, ()):
            assert not field.required
            continue
        rules = [
            rule.tag + (f"={rule.param.strip()}" if rule.param else "")
            for rule in field.rules
            if not isinstance(rule, Int32 | NoNul | NotReserved)
        ]
        line = f"{field.name}: {field.graphql_type} {field.go_name}"
        lines.append(f"{line} | {', '.join(rules)}" if rules else line)
    assert lines == contract()[name]


def test_only_the_deprecated_fields_are_deprecated() -> None:
    """Two of bore; mounts are deprecated as a whole and say so."""
    deprecated = {
        f"{kind.name}.{field.name}"
        for kind in KINDS.values()
        for field in kind.fields
        if field.deprecated
    }
    assert deprecated == {"Bore.address", "Bore.port"}


def test_secrets_are_marked() -> None:
    """No message shows values of these."""
    marked = {
        f"{kind.name}.{field.name}"
        for kind in KINDS.values()
        for field in kind.fields
        if field.secret
    }
    assert marked == {
        "EnvVar.value",
        "HTTPData.url",
        "S3Data.accessKeyId",
        "S3Data.secretAccessKey",
        "ContainerRun.password",
        "Wireguard.privateKey",
        "WireguardPeer.preSharedKey",
        "Bore.secret",
    }
