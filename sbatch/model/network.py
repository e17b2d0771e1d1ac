"""Networks of steps: WireGuard, bore and the job's own virtual networks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dsq.sbatch.model.base import Deprecated, Go, Int, Model, Secret, Text
from dsq.sbatch.model.network_rules import Cidr, HostnamePort, IpOrFqdn
from dsq.sbatch.model.rules import Gte, Lt

Port = Annotated[Int, Gte(1), Lt(65536)]
"""A TCP or UDP port."""


class WireguardPeer(Model):
    """A peer of a WireGuard interface."""

    public_key: Text = Field(alias="publicKey")
    """Its public key."""
    pre_shared_key: Annotated[Text | None, Secret()] = Field(default=None, alias="preSharedKey")
    """A key that both sides share."""
    allowed_ips: Annotated[list[Annotated[Text, Cidr()]] | None, Go("AllowedIPs")] = Field(
        default=None, alias="allowedIPs"
    )
    """Networks that are reached through the peer."""
    endpoint: Annotated[Text | None, HostnamePort()] = None
    """Where the peer listens: `host:port`."""
    persistent_keepalive: Annotated[Int | None, Gte(0), Lt(65536)] = Field(
        default=None, alias="persistentKeepalive"
    )
    """Seconds between packets that keep the way open."""


class Wireguard(Model):
    """A WireGuard interface. Needs `mapUid: 0`."""

    address: list[Annotated[Text, Cidr()]] | None = None
    """Addresses of the interface."""
    private_key: Annotated[Text, Secret()] = Field(alias="privateKey")
    """Its private key."""
    peers: list[WireguardPeer] | None = None
    """Its peers."""


class Bore(Model):
    """A way from a public proxy to a port of the step."""

    address: Annotated[Text | None, IpOrFqdn(), Deprecated("Use boreAddress instead.")] = None
    """Host of the proxy."""
    port: Annotated[Port | None, Deprecated("Use boreAddress instead.")] = None
    """Port of the proxy."""
    bore_address: Annotated[Text | None, HostnamePort()] = Field(default=None, alias="boreAddress")
    """The proxy: `host:port`."""
    target_port: Port = Field(alias="targetPort")
    """The port of the step."""
    secret: Annotated[Text | None, Secret()] = None
    """Token that identifies the client."""


class VNet(Model):
    """An interface in a virtual network of the job."""

    name: Text
    """Name of one of the job's `virtualNetworks`."""
    address: Annotated[Text, Cidr()]
    """Address of the interface, and the network that is routed to it."""


class NetworkInterface(Model):
    """An interface of a step. With several, `wireguard` goes before `vnet` before `bore`."""

    wireguard: Wireguard | None = None
    """A WireGuard interface."""
    bore: Bore | None = None
    """A way in from a public proxy."""
    vnet: Annotated[VNet | None, Go("VNet")] = None
    """An interface in a virtual network."""


class VirtualNetwork(Model):
    """A WireGuard network between steps of the job."""

    name: Text
    """The name that interfaces use."""
    gateway_address: Annotated[Text, Cidr()] = Field(alias="gatewayAddress")
    """Address of the hub; it does not lead to the Internet."""
