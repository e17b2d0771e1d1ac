"""Scripts with the real programs of networks and of S3, run by an ordinary user.

What a machine does not have, or does not let a user do, is skipped.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsq.sbatch.render import RenderSettings, render
from dsq.sbatch.workflow import parse_workflow
from tests.support.slurm import job_account, open_folder
from tests.support.standins import Ended, Standins
from tests.unit.sbatch.builders import job, run

NETWORKS = {
    *("unshare", "nsenter", "readlink", "ip", "slirp4netns", "pasta", "mount", "setpriv"),
    *("wg", "wg-quick"),
}
SEARCH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
SHOW = "ip -o -4 address show net0 | tr -s ' '; cat /etc/resolv.conf; id -u; id -g"


# Root lends an ordinary account a tunnel device and a /run, in a file system view of its own.
_LEND = """
mount -t tmpfs none /run && mkdir -m 1777 /run/wireguard &&
mknod -m 666 /run/tun c 10 200 && mount --bind /run/tun /dev/net/tun &&
exec setpriv --reuid "$0" --regid "$1" --clear-groups "${@:2}"
"""


def account() -> tuple[int, int, tuple[str, ...]]:
    """Whom scripts run as, and the words before a command that is run so."""
    if os.geteuid() != 0:
        return os.getuid(), os.getgid(), ()
    entry = pwd.getpwnam(job_account())
    ids = (str(entry.pw_uid), str(entry.pw_gid))
    return entry.pw_uid, entry.pw_gid, ("unshare", "--mount", "bash", "-c", _LEND, *ids)


UID, GID, PREFIX = account()


def allowed(*words: str) -> bool:
    """Tells whether a command ends well when that account runs it."""
    return subprocess.run([*PREFIX, *words], capture_output=True).returncode == 0


def needs(*programs: str) -> None:
    """Skips the test unless there are these programs, namespaces and a tunnel device."""
    missing = [name for name in programs if not shutil.which(name, path=SEARCH)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here")
    if not allowed("unshare", "--map-root-user", "--net", "--mount", "true"):
        pytest.skip("no user namespaces here")
    if not allowed("sh", "-c", ": <>/dev/net/tun"):
        pytest.skip("no tunnel device here")


@pytest.fixture
def machine() -> Iterator[Standins]:
    """Stand-ins for Slurm and the proxy, real programs for networks."""
    folder = open_folder("dsq-scripts-test-")
    machine = Standins(folder / "machine", real=(*NETWORKS, "curl"))
    machine.prefix = PREFIX
    for path in (machine.root, *machine.root.rglob("*")):
        os.chown(path, UID, GID)
    yield machine
    shutil.rmtree(folder)


def execute(machine: Standins, data: dict[str, Any]) -> Ended:
    """Runs a job."""
    script = render(parse_workflow(data), settings=RenderSettings(markers=False))
    ended = machine.run(script, {"PATH": f"{machine.bin}:{SEARCH}"}, timeout=90)
    assert machine.leftovers() == []
    return ended


@pytest.mark.parametrize("kind", ["slirp4netns", "pasta"])
@pytest.mark.parametrize(
    ("ids", "seen"),
    [({}, [UID, GID]), ({"mapUid": 5, "mapGid": 6}, [5, 6]), ({"mapUid": 0}, [0])],
    ids=["unchanged", "mapped", "root"],
)
def test_a_network_of_its_own(
    machine: Standins, kind: str, ids: dict[str, int], seen: list[int]
) -> None:
    """An address, all name servers, the ids that were asked for."""
    needs("ip", kind)
    ended = execute(machine, job(run(SHOW, network=kind, dns=["192.0.2.53", "192.0.2.54"], **ids)))
    assert ended.code == 0, ended.errors
    output = ended.output.splitlines()
    assert " inet " in output[0]
    assert output[1:3] == ["nameserver 192.0.2.53", "nameserver 192.0.2.54"]
    assert [int(line) for line in output[3 : 3 + len(seen)]] == seen
    assert ended.errors == ""


def test_the_command_cannot_change_its_network_unless_it_is_root_there(machine: Standins) -> None:
    """Setting up needs root in the namespace; the command has it with mapUid 0 only."""
    needs("ip", "slirp4netns")
    change = "ip link set lo down && echo changed || echo refused"
    data = job(
        run(change, network="slirp4netns", mapUid=1000, mapGid=1000),
        run(change, network="slirp4netns", mapUid=0),
    )
    assert execute(machine, data).output.splitlines() == ["refused", "changed"]


def test_the_way_out_leads_out(machine: Standins) -> None:
    """A server of this machine answers under its address in the world, not on loopback."""
    needs("ip", "slirp4netns")
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        route = subprocess.run(
            ["ip", "-o", "route", "get", "1.1.1.1"], capture_output=True, text=True, check=False
        ).stdout.split()
        if "src" not in route:
            pytest.skip("this machine has no way out")
        host = route[route.index("src") + 1]
        probe = "(exec 3<>/dev/tcp/{}/{}) 2>/dev/null && echo there || echo not there"
        command = f"{probe.format(host, port)}; {probe.format('10.0.2.2', port)}"
        step = run(command, network="slirp4netns", shell="/bin/bash")
        assert execute(machine, job(step)).output.splitlines() == ["there", "not there"]


def test_a_virtual_network(machine: Standins) -> None:
    """Two steps reach each other through the hub, whose WireGuard may be that of user space."""
    needs("ip", "slirp4netns", "wg", "wg-quick", "pasta")
    kernel = allowed(
        "unshare", "--map-root-user", "--net", "ip", "link", "add", "type", "wireguard"
    )
    if not kernel:
        needs("wireguard-go")
        if not allowed("sh", "-c", "[ -w /run/wireguard ]"):
            pytest.skip("WireGuard of user space wants /run/wireguard")
    # WireGuard of user space knows no two interfaces of one name on a machine.
    bore = {"bore": {"boreAddress": "proxy.example:1", "targetPort": 80}}
    server = {
        **run(
            "exec python3 -m http.server 8080",
            network="slirp4netns",
            mapUid=0,
            workDir=str(machine.files),
            customNetworkInterfaces=[bore, {"vnet": {"name": "n", "address": "10.44.0.2/24"}}],
        )
    }
    client = run(
        "for i in 1 2 3 4 5 6 7 8 9; do "
        "curl -sS -m 2 http://10.44.0.2:8080/file 2>/dev/null && exit; sleep 1; done; exit 1",
        network="slirp4netns",
        mapUid=0,
        customNetworkInterfaces=[bore, bore, {"vnet": {"name": "n", "address": "10.44.0.3/24"}}],
    )
    (machine.files / "file").write_text("from the server\n")
    data = job(
        {"launch": {"steps": [server]}},
        client,
        virtualNetworks=[{"name": "n", "gatewayAddress": "10.44.0.1/24"}],
    )
    ended = execute(machine, data)
    assert (ended.code, ended.output) == (0, "from the server\n"), ended.errors
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if line.startswith("wireguard-go vnet")]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An S3 service with an empty bucket; its address and the environment of its clients."""
    for program in ("s5cmd", "moto_server"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    env = {**os.environ, "AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"}
    env["S3_ENDPOINT_URL"] = address
    try:
        for _ in range(200):
            words = ["s5cmd", "--log", "error", "mb", "s3://bucket"]
            if subprocess.run(words, env=env, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        yield env
    finally:
        server.terminate()
        server.wait()


def test_s3_with_the_real_client(tmp_path: Path, bucket: dict[str, str]) -> None:
    """What one job puts out the next takes in, by directory and by name; a failed job's apart."""
    machine = Standins(tmp_path / "s3", real=("s5cmd",))

    def s3(path: str, **fields: Any) -> dict[str, Any]:
        place = {"region": "us-east-1", "bucketUrl": "s3://bucket", "path": path}
        keys = {"accessKeyId": "i", "secretAccessKey": "s"}
        return {"s3": {**place, **keys, "endpointUrl": bucket["S3_ENDPOINT_URL"], **fields}}

    write = run("cd output; echo A > a; mkdir d; echo B > 'd/b c'")
    ended = execute(machine, job(write, output=s3("/out"), continuousOutputSync=True))
    assert ended.code == 0, ended.errors
    show = run("cd input; find . -type f | sort; cat $(find . -name a)")
    assert execute(machine, job(show, input=s3("/out/"))).output.endswith("./a\n./d/b c\nA\n")
    assert execute(machine, job(show, input=s3("/out"))).output.endswith(
        "./out/a\n./out/d/b c\nA\n"
    )
    checked = s3("/out/a", checksum="sha256:" + "0" * 64)
    assert execute(machine, job(show, input=checked)).code == 1
    fewer = run("cd output; echo C > c")
    assert execute(machine, job(fewer, output=s3("/out", deleteSync=True))).code == 0
    assert execute(machine, job(fewer, run("exit 3"), output=s3("/out"))).code == 3
    listed = subprocess.run(
        ["s5cmd", "ls", "s3://bucket/*"], env=bucket, capture_output=True, text=True, check=True
    ).stdout
    assert sorted(line.split()[-1] for line in listed.splitlines()) == [
        *("out.failed/FAILED", "out.failed/c", "out/c")
    ]
