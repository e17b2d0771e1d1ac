"""Renders networks: namespaces of steps with their interfaces, and the job's virtual networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dsq.core.quoting import join, quote
from dsq.sbatch.model import Bore, NetworkInterface, StepRun, Wireguard, Workflow
from dsq.sbatch.render.walk import every_step


class Networks:
    """The networks of one workflow.

    A step's network is made by ``_dsq_net_task`` from files: the configurations of its
    interfaces, its name servers, and ``setup.sh``, which brings them up in order. Keys are in
    these files only, never in arguments.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._networks = workflow.virtual_networks or []
        # Of several networks with one name the last one counts.
        self._numbers = {each.name: number for number, each in enumerate(self._networks)}
        self._peers: list[list[str]] = [[] for _ in self._networks]
        if not self._networks:
            return
        for step in every_step(workflow):
            for interface in (step.run and step.run.custom_network_interfaces) or ():
                if interface.vnet is not None and interface.vnet.name in self._numbers:
                    peer = str(ipaddress.ip_interface(interface.vnet.address).ip)
                    self._peers[self._numbers[interface.vnet.name]].append(peer)
        self._peers = [sorted(set(peers)) for peers in self._peers]

    def hubs(self) -> str:
        """Renders what starts the hub of each virtual network."""
        return "\n".join(
            join(
                ["_dsq_vnet_hub", str(number), network.gateway_address]
                + [ipaddress.ip_interface(peer).with_prefixlen for peer in self._peers[number]]
            )
            for number, network in enumerate(self._networks)
        )

    def prepare(self, run: StepRun) -> list[str]:
        """The lines that write the files of a step's network."""
        lines, setup = ["_dsq_net_new"], []
        for index, interface in enumerate(run.custom_network_interfaces or ()):
            line, up = self._interface(index, interface)
            lines += line
            setup.append(up)
        if run.dns:
            servers = "".join(f"nameserver {server}\n" for server in run.dns)
            lines.append(join(["_dsq_net_file", "resolv.conf", servers]))
            setup.append("_dsq_dns")
        text = "".join(f"{line}\n" for line in setup)
        return [*lines, join(["_dsq_net_file", "setup.sh", text])]

    def command(self, run: StepRun) -> str:
        """The front of the command line: what is put before the step's own command."""
        user = "" if run.map_uid is None else str(run.map_uid)
        group = "" if run.map_gid is None else str(run.map_gid)
        kind = quote(run.network or "")
        ids = join([user, group])
        return f'/bin/bash "$_dsq_tasks" _dsq_net_task {kind} "$_dsq_net" none {ids}'

    def _interface(self, index: int, interface: NetworkInterface) -> tuple[list[str], str]:
        """What writes the file of an interface, and what brings the interface up."""
        if interface.wireguard is not None:
            name = f"wg{index}.conf"
            text = "".join(f"{line}\n" for line in _wireguard(interface.wireguard))
            return [join(["_dsq_net_file", name, text])], f"_dsq_wg_up {name}"
        if interface.vnet is not None:
            name = f"vnet{index}.conf"
            number = self._numbers[interface.vnet.name]
            address = ipaddress.ip_interface(interface.vnet.address)
            peer = self._peers[number].index(str(address.ip))
            words = [name, str(number), str(peer), interface.vnet.address, str(address.network)]
            return [join(["_dsq_vnet_file", *words])], f"_dsq_wg_up {name}"
        assert interface.bore is not None
        return [], join(["_dsq_bore", *_bore(interface.bore)])


def has_namespace(run: StepRun) -> bool:
    """Tells whether the step has a network of its own."""
    return run.network not in (None, "host")


def _wireguard(interface: Wireguard) -> Iterator[str]:
    yield "[Interface]"
    if interface.address:
        yield f"Address = {', '.join(interface.address)}"
    yield f"PrivateKey = {interface.private_key}"
    for peer in interface.peers or ():
        yield "[Peer]"
        yield f"PublicKey = {peer.public_key}"
        if peer.allowed_ips:
            yield f"AllowedIPs = {', '.join(peer.allowed_ips)}"
        if peer.endpoint is not None:
            yield f"Endpoint = {peer.endpoint}"
        if peer.pre_shared_key is not None:
            yield f"PresharedKey = {peer.pre_shared_key}"
        if peer.persistent_keepalive is not None:
            yield f"PersistentKeepalive = {peer.persistent_keepalive}"


def _bore(bore: Bore) -> list[str]:
    proxy = bore.bore_address
    if proxy is None:
        proxy = bore.address or ""
        if bore.port is not None:
            proxy += f":{bore.port}"
    words = ["--to.addr", proxy, "--local.addr", f"localhost:{bore.target_port}"]
    return words if bore.secret is None else [*words, f"--secret={bore.secret}"]
