"""Networks of steps: namespaces, name servers, interfaces, virtual networks."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from dsq.sbatch.render import render
from dsq.sbatch.workflow import parse_workflow
from tests.support.standins import Standins
from tests.unit.sbatch.builders import env, job, run
from tests.unit.sbatch.test_scripts import execute, for_range, launch, lines

KINDS = ["slirp4netns", "pasta"]
WIREGUARD = {
    "address": ["10.1.0.2/24", "fd00::2/64"],
    "privateKey": "secret key",
    "peers": [
        {
            "publicKey": "public",
            "preSharedKey": "shared",
            "allowedIPs": ["10.1.0.0/24", "::/0"],
            "endpoint": "wg.example:51820",
            "persistentKeepalive": 0,
        },
        {"publicKey": "other"},
    ],
}


def net(command: str, *interfaces: dict[str, Any], kind: str = "slirp4netns", **fields: Any) -> Any:
    """A step with a network of its own."""
    extra = {"customNetworkInterfaces": list(interfaces)} if interfaces else {}
    return run(command, network=kind, **extra, **fields)


def vnet(name: str, address: str) -> dict[str, Any]:
    """An interface in a virtual network."""
    return {"vnet": {"name": name, "address": address}}


def confs(standins: Standins) -> list[tuple[str, str]]:
    """The configurations that came up, in order: file name and text."""
    calls = standins.calls("wg-quick")
    assert [call.file("mode") for call in calls] == ["600\n"] * len(calls)
    assert all("/job.7.private/" in call.args[1] for call in calls)  # no container sees it
    return [(call.args[1].rpartition("/")[2], call.file("conf")) for call in calls]


def forwarders(standins: Standins) -> str:
    """What of the stand-ins still runs."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return "\n".join(line for line in listed.stdout.splitlines() if str(standins.root) in line)


class TestNamespaces:
    """The namespace and the program that leads out of it."""

    def test_the_forwarders(self, standins: Standins) -> None:
        """Their flags are those that sites know; the process that they are for is the step's."""
        calls = []
        for kind in KINDS:
            standins.forget()
            assert lines(execute(standins, job(net("echo in", kind=kind)))) == ["in"]
            calls += standins.calls(kind)
        slirp, pasta = calls
        assert slirp.args[:5] == [
            *("--configure", "--mtu=65520", "--disable-host-loopback"),
            *("--cidr", "169.254.254.0/24"),
        ]
        assert slirp.args[6:] == ["net0"]
        pid = pasta.args[6].split("/")[2]
        assert pasta.args == [
            *("--config-net", "--tcp-ports", "none", "--udp-ports", "none"),
            *("--netns", f"/proc/{pid}/ns/net", "--userns", f"/proc/{pid}/ns/user"),
            *("--ns-ifname", "net0", "-f"),
        ]
        assert forwarders(standins) == ""

    @pytest.mark.parametrize(
        ("ids", "outer", "inner"),
        [
            ({}, ["--map-root-user", "--net", "--mount"], ["--map-user=UID", "--map-group=GID"]),
            (
                {"mapUid": 5, "mapGid": 6},
                ["--map-root-user", "--net", "--mount"],
                ["--map-user=5", "--map-group=6"],
            ),
            ({"mapUid": 0}, ["--map-current-user", "--net", "--mount", "--map-user=0"], None),
            (
                {"mapUid": 0, "mapGid": 7},
                ["--map-current-user", "--net", "--mount", "--map-user=0", "--map-group=7"],
                None,
            ),
        ],
    )
    def test_who_the_command_is(
        self, standins: Standins, ids: dict[str, int], outer: list[str], inner: list[str] | None
    ) -> None:
        """Root of the namespace with mapUid 0; else somebody who cannot change its network."""
        execute(standins, job(net("true", **ids)))
        calls = [
            list(itertools.takewhile(lambda word: word.startswith("--"), call.args))
            for call in standins.calls("unshare")
        ]
        known = [
            word.replace("UID", str(os.getuid())).replace("GID", str(os.getgid()))
            for word in inner or ()
        ]
        assert calls == [outer, *([known] if inner is not None else [])]

    def test_the_exit_code_and_the_environment(self, standins: Standins) -> None:
        """A namespace changes neither, nor the working directory."""
        place = standins.root / "it's here"
        step = net('echo "$A"; pwd; exit 7', env=env(A="x y"), workDir=str(place))
        ended = execute(standins, job(step))
        assert (ended.code, ended.output) == (7, f"x y\n{place}\n")

    def test_containers(self, standins: Standins) -> None:
        """Both runtimes run inside, with an entry point, too."""
        steps = [
            net("echo 1", container={"image": "i", "apptainer": True}),
            net("echo 2", container={"image": "i"}, kind="pasta"),
            net("a 'b c'", container={"image": "i"}, shell="ENTRYPOINT"),
        ]
        assert lines(execute(standins, job(*steps))) == [
            "1",
            "2",
            "entry point of the image: a b c",
        ]

    def test_each_task_has_one(self, standins: Standins) -> None:
        """Several tasks, several namespaces."""
        execute(standins, job(net("sleep 0.2", resources={"tasks": 3}), tasks=3))
        assert len(standins.calls("slirp4netns")) == 3

    def test_a_way_out_that_does_not_come_up(self, standins: Standins) -> None:
        """The step fails at once and says what the program said."""
        standins.write("slirp4netns", "echo 'no such device' >&2; exit 1")
        standins.write("ip", "exit 0")
        began = time.monotonic()
        ended = execute(standins, job(net("echo never")))
        assert (ended.code, ended.output) == (1, "")
        assert ended.errors == (
            "The network of the step did not come up. slirp4netns says:\nno such device\n"
        )
        assert time.monotonic() - began < 10

    def test_namespaces_that_the_site_forbids(self, standins: Standins) -> None:
        """The code and the words are those of unshare."""
        standins.write("unshare", "echo 'not permitted' >&2; exit 4")
        ended = execute(standins, job(net("echo never")))
        assert (ended.code, ended.errors) == (4, "not permitted\n")

    def test_the_end_from_outside(self, standins: Standins) -> None:
        """The command is told, and nothing of the network is left."""
        step = net("trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done")
        process = standins.start(render(parse_workflow(job(step))))
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGUSR1)
        output, _ = process.communicate(timeout=15)
        assert (process.returncode, output) == (138, "told\n")
        assert forwarders(standins) == ""
        assert standins.leftovers() == []

    def test_signals_of_launches(self, standins: Standins) -> None:
        """They reach the command through the shells of the namespace."""
        serve = (
            "trap 'echo told; exit 0' USR2; echo > $DEEPSQUARE_TMP/up; while :; do sleep 0.05; done"
        )
        wait = run("while [ ! -e $DEEPSQUARE_TMP/up ]; do sleep 0.02; done")
        data = job(launch(net(serve), signalOnParentStepExit=signal.SIGUSR2), wait)
        assert lines(execute(standins, data)) == ["told"]

    def test_without_a_namespace_its_fields_are_told_to_be_of_no_use(
        self, standins: Standins
    ) -> None:
        """Nothing is left out without a word."""
        ended = execute(standins, job(run("echo x", dns=["1.1.1.1"], network="host")))
        assert (ended.code, ended.output) == (0, "x\n")
        assert ended.errors == "Without a network of its own the step has no use for dns.\n"


class TestInterfaces:
    """What stands in customNetworkInterfaces."""

    def test_all_name_servers_are_kept(self, standins: Standins) -> None:
        """In their order, as the file that the command sees."""
        execute(standins, job(net("true", dns=["1.1.1.1", "2606:4700::1111", "8.8.8.8"])))
        (call,) = standins.calls("mount")
        assert call.args[0] == "--bind"
        assert call.args[2] == "/etc/resolv.conf"
        assert call.file("resolv").splitlines() == [
            *("nameserver 1.1.1.1", "nameserver 2606:4700::1111", "nameserver 8.8.8.8")
        ]

    def test_wireguard(self, standins: Standins) -> None:
        """The configuration is a private file outside of the storage; keys are in no argument."""
        execute(standins, job(net("true", {"wireguard": WIREGUARD})))
        assert confs(standins) == [
            (
                "wg0.conf",
                "[Interface]\nAddress = 10.1.0.2/24, fd00::2/64\nPrivateKey = secret key\n"
                "[Peer]\nPublicKey = public\nAllowedIPs = 10.1.0.0/24, ::/0\n"
                "Endpoint = wg.example:51820\nPresharedKey = shared\nPersistentKeepalive = 0\n"
                "[Peer]\nPublicKey = other\n",
            )
        ]
        (call,) = standins.calls("wg-quick")
        assert call.args[0] == "up"
        assert not any("secret key" in word for each in standins.all_calls() for word in each.args)

    def test_bore(self, standins: Standins) -> None:
        """Either form of the address; the secret is in the arguments of its program alone."""
        execute(
            standins,
            job(
                net(
                    "sleep 0.2",
                    {"bore": {"boreAddress": "b.example:1", "targetPort": 80, "secret": "a b$"}},
                    {"bore": {"address": "10.0.0.9", "port": 2200, "targetPort": 81}},
                    {"bore": {"address": "c.example", "targetPort": 82}},
                )
            ),
        )
        calls = sorted(call.args for call in standins.calls("dpsproxy"))
        assert calls == sorted(
            [
                [
                    *("--to.addr", "b.example:1", "--local.addr", "localhost:80"),
                    "--secret=a b$",
                    "-r",
                ],
                ["--to.addr", "10.0.0.9:2200", "--local.addr", "localhost:81", "-r"],
                ["--to.addr", "c.example", "--local.addr", "localhost:82", "-r"],
            ]
        )
        others = ("srun", "unshare", "slirp4netns")
        assert not any("a b$" in w for n in others for c in standins.calls(n) for w in c.args)
        # It ends with the command.
        assert standins.calls("setpriv")[0].args[:3] == ["--pdeathsig", "TERM", "dpsproxy"]

    def test_order_and_names(self, standins: Standins) -> None:
        """They come up in the order of the list; an interface's number is its place in it."""
        interfaces = [
            {"bore": {"boreAddress": "b.example:1", "targetPort": 80}},
            {"wireguard": WIREGUARD},
            vnet("n", "10.0.0.2/24"),
            {"wireguard": {"privateKey": "k"}},
        ]
        networks = [{"name": "n", "gatewayAddress": "10.0.0.1/24"}]
        execute(standins, job(net("true", *interfaces), virtualNetworks=networks))
        names = [name for name, _ in confs(standins)]
        assert names == ["vnet0.conf", "wg1.conf", "vnet2.conf", "wg3.conf"]

    def test_steps_at_once_have_files_of_their_own(self, standins: Standins) -> None:
        """Rounds of a parallel loop do not overwrite each other's."""
        step = net("sleep 0.1", {"wireguard": WIREGUARD}, dns=["1.1.1.1"])
        execute(standins, job(for_range(1, 3, step, parallel=True)))
        assert len({call.args[1] for call in standins.calls("wg-quick")}) == 3
        assert len({call.args[1] for call in standins.calls("mount")}) == 3

    def test_an_interface_that_does_not_come_up(self, standins: Standins) -> None:
        """The step fails with what wg-quick says."""
        standins.write("wg-quick", "echo 'key is not valid' >&2; exit 1")
        ended = execute(standins, job(net("echo never", {"wireguard": WIREGUARD})))
        assert (ended.code, ended.output, ended.errors) == (1, "", "key is not valid\n")


class TestVirtualNetworks:
    """WireGuard between steps."""

    def test_hub_and_peers(self, standins: Standins) -> None:
        """A hub on the batch node that knows all addresses; each interface has its key."""
        data = job(
            launch(net("sleep 0.5", vnet("n", "10.0.0.2/24"))),
            net("true", vnet("n", "10.0.0.3/24")),
            {"name": "again", **net("true", vnet("n", "10.0.0.2/24"))},
            virtualNetworks=[{"name": "n", "gatewayAddress": "10.0.0.1/24"}],
        )
        assert execute(standins, data).code == 0
        (_, hub), *peers = confs(standins)
        lines_ = hub.splitlines()
        port = lines_[2].removeprefix("ListenPort = ")
        assert lines_[:2] == ["[Interface]", "Address = 10.0.0.1/24"]
        assert 20000 <= int(port) < 60000
        known = {lines_[i + 2]: lines_[i + 1] for i, line in enumerate(lines_) if line == "[Peer]"}
        assert set(known) == {"AllowedIPs = 10.0.0.2/32", "AllowedIPs = 10.0.0.3/32"}
        assert len(peers) == 3
        for _, text in peers:
            address, key, _, public, networks, endpoint, alive = text.splitlines()[1:]
            allowed = address.replace("Address", "AllowedIPs").replace("/24", "/32")
            # The stand-in makes public keys from private ones.
            assert known[allowed] == key.replace("PrivateKey = ", "PublicKey = public-")
            assert public == lines_[3].replace("PrivateKey = ", "PublicKey = public-")
            assert networks == "AllowedIPs = 10.0.0.0/24"
            assert endpoint == f"Endpoint = 192.0.2.7:{port}"
            assert alive == "PersistentKeepalive = 20"
        pasta = standins.calls("pasta")[0]
        assert pasta.args[:5] == ["--config-net", "--tcp-ports", "none", "--udp-ports", port]
        assert forwarders(standins) == ""

    def test_names(self, standins: Standins) -> None:
        """Any text; addresses of both kinds; a network without interfaces has no peers."""
        data = job(
            net("true", vnet("a b", "10.2.0.2/16")),
            net("sleep 0.2", vnet("", "fd00::5/64"), kind="pasta"),
            virtualNetworks=[
                {"name": "$(id)", "gatewayAddress": "10.1.0.1/24"},
                {"name": "a b", "gatewayAddress": "10.2.0.1/16"},
                {"name": "", "gatewayAddress": "fd00::1/64"},
            ],
        )
        assert execute(standins, data).code == 0
        texts = [text for _, text in confs(standins)]
        assert "[Peer]" not in texts[0]
        assert "AllowedIPs = 10.2.0.2/32" in texts[1]
        assert "AllowedIPs = fd00::5/128" in texts[2]
        assert "AllowedIPs = 10.2.0.0/16\n" in texts[3]
        assert "AllowedIPs = fd00::/64\n" in texts[4]
        # Pasta's own address would be the node's, and the hub's.
        assert "--address" in standins.calls("pasta")[-1].args

    def test_hubs_end_with_the_job(self, standins: Standins) -> None:
        """A failing job leaves none; two hubs end as one does; the storage goes."""
        data = job(
            run("exit 3"),
            virtualNetworks=[
                {"name": name, "gatewayAddress": "10.1.0.1/24"} for name in ("a", "b")
            ],
        )
        assert execute(standins, data).code == 3
        assert len(standins.calls("pasta")) == 2
        assert forwarders(standins) == ""

    def test_a_hub_that_does_not_come_up(self, standins: Standins) -> None:
        """Other ports are tried; then the job fails before its steps."""
        standins.write("wg-quick", "exit 1")
        networks = [{"name": "n", "gatewayAddress": "10.0.0.1/24"}]
        ended = execute(standins, job(run("echo never"), virtualNetworks=networks))
        assert (ended.code, ended.output) == (1, "")
        assert "The virtual network 10.0.0.1/24 could not be started." in ended.errors
        assert len({call.args[1] for call in standins.calls("wg-quick")}) == 1
        assert len(standins.calls("wg-quick")) == 5
