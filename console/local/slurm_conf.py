"""The configuration of a throwaway Slurm, as the texts of its files.

Nothing is written or asked here but this machine's name and the account's.
"""

from __future__ import annotations

import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path

GPU_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
"""slurmd wants a character device for each GPU; these are on every machine."""

SCHEDULING = (
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "SwitchType=switch/none",
    "MpiDefault=none",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core_Memory",
    "SchedulerType=sched/backfill",
    # Jobs that the main scheduler starts are saved within seconds, those of the backfill
    # scheduler only with the next periodic save: so the former goes first.
    "SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=10",
)
"""How jobs are started and held together: without cgroups and without root."""

LIMITS = (
    "DefMemPerCPU=500",
    "KillWait=2",
    "InactiveLimit=0",
    "SlurmctldTimeout=30",
    "SlurmdTimeout=60",
    "MessageTimeout=10",
    "EnforcePartLimits=ALL",
    "ReturnToService=2",
    "SlurmdParameters=config_overrides",
)

CGROUP_CONF = """\
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainDevices=no
"""


@dataclass(frozen=True, slots=True)
class SlurmConf:
    """What the configuration of a cluster depends on.

    Attributes:
        root: Where the controller's state and the log files go.
        place: Where sockets, pid files and spool folders go.
        port: The first of its ports: the controller's, slurmd's usual one, then one a node.
        nodes: Names of the nodes.
        cpus: CPUs of each node.
        mem_mb: Memory of each node in MB.
        gpus: Pretended GPUs of each node, at most as many as :data:`GPU_DEVICES`.
        partition: The partition of all nodes.
        min_job_age: Seconds for which ended jobs stay in the queue's list.
    """

    root: Path
    place: Path
    port: int
    nodes: tuple[str, ...]
    cpus: int
    mem_mb: int
    gpus: int
    partition: str
    min_job_age: int

    def slurm_conf(self) -> str:
        """The text of ``slurm.conf``."""
        lines = [
            *self._daemons(),
            *SCHEDULING,
            *self._records(),
            *LIMITS,
            *(["GresTypes=gpu"] if self.gpus else []),
            *self._nodes(),
            f"PartitionName={self.partition} Nodes={','.join(self.nodes)} Default=YES "
            "MaxTime=7-00:00:00 DefaultTime=01:00:00 State=UP",
            f"PartitionName=debug Nodes={self.nodes[0]} MaxTime=00:30:00 PriorityTier=10 State=UP",
        ]
        return "\n".join(lines) + "\n"

    def gres_conf(self) -> str:
        """The text of ``gres.conf``: which devices stand for GPUs."""
        nodes = ",".join(self.nodes)
        devices = GPU_DEVICES[: self.gpus]
        lines = [f"NodeName={nodes} Name=gpu Type=a100 File={device}" for device in devices]
        return "\n".join(["AutoDetect=off", *lines]) + "\n"

    def _daemons(self) -> list[str]:
        """Who the daemons are, and where they listen, write and keep what they know."""
        place, log = self.place, self.root / "log"
        me = pwd.getpwuid(os.geteuid()).pw_name
        return [
            "ClusterName=dsq",
            f"SlurmctldHost={_host()}(127.0.0.1)",
            f"SlurmUser={me}",
            f"SlurmdUser={me}",
            f"SlurmctldPort={self.port}",
            f"SlurmdPort={self.port + 1}",
            "AuthType=auth/munge",
            f"AuthInfo=socket={place}/run/munge.socket",
            "CredType=cred/munge",
            f"StateSaveLocation={self.root}/state",
            f"SlurmdSpoolDir={place}/spool.%n",
            f"SlurmctldPidFile={place}/run/slurmctld.pid",
            f"SlurmdPidFile={place}/run/slurmd.%n.pid",
            f"SlurmctldLogFile={log}/slurmctld.log",
            f"SlurmdLogFile={log}/slurmd.%n.log",
            f"PlugStackConfig={place}/etc/plugstack.conf",
        ]

    def _records(self) -> list[str]:
        """What is measured of jobs, and what is kept of those that have ended."""
        return [
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=2",
            "JobAcctGatherParams=OverMemoryKill",
            "AccountingStorageType=accounting_storage/none",
            "JobCompType=jobcomp/filetxt",
            f"JobCompLoc={self.place}/run/jobcomp.txt",
            f"MinJobAge={self.min_job_age}",
        ]

    def _nodes(self) -> list[str]:
        gres = f" Gres=gpu:a100:{self.gpus}" if self.gpus else ""
        return [
            f"NodeName={node} NodeHostname={_host()} NodeAddr=127.0.0.1 "
            f"Port={self.port + 1 + number} "
            f"CPUs={self.cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={self.cpus} "
            f"ThreadsPerCore=1 RealMemory={self.mem_mb} TmpDisk=1000{gres} State=UNKNOWN"
            for number, node in enumerate(self.nodes, 1)
        ]


def _host() -> str:
    return socket.gethostname().split(".")[0]
