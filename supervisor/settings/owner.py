"""Whether jobs would run as the account that owns the wallet."""

from __future__ import annotations

import ipaddress
import os
import pwd

from dsq.supervisor.settings.tables import ProviderSettings


def account_problem(settings: ProviderSettings) -> str:
    """Why jobs would run as the account that owns the wallet; "" if they would not.

    A job of that account can read the key file, its passphrase, the journal, and the
    supervisor's memory. Jobs get another account with ``job_user``, or on a host other
    than this one; an account of the same name on another host counts as another one.
    """
    me = pwd.getpwuid(os.geteuid()).pw_name
    cluster = settings.cluster
    if cluster.has_accounts:
        return ""  # each wallet has its own; this one is never among them
    if cluster.kind == "ssh":
        return _same(cluster.user or me, me) if is_this_host(cluster.host) else ""
    return _same(cluster.job_user or me, me)


def _same(job_account: str, me: str) -> str:
    if job_account != me:
        return ""
    return (
        f"Jobs would run as '{me}', the account that owns this provider's wallet: "
        "any job could read the key, its passphrase and the journal."
    )


def is_this_host(host: str) -> bool:
    """Whether ``host`` names this machine; names are compared, not resolved."""
    import socket

    name = host.rsplit("@", 1)[-1].strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        own = socket.gethostname().lower()
        return name in {"localhost", own, own.split(".")[0], socket.getfqdn().lower()}
