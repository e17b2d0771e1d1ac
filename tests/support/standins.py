"""Stand-ins for the programs that batch scripts call, written into a directory for a PATH.

Each notes its arguments, environment and standard input, byte for byte, and then does
the least that lets the script go on: ``srun`` runs the command as a process here,
``apptainer`` and ``enroot`` run it on the host instead of in an image, and programs that
make networks let it run in the host's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ENV = shutil.which("env") or "env"
"""Also found by a script whose own PATH is empty."""

_HEAD = r"""#!/bin/bash
record=@RECORDS@/$EPOCHREALTIME.$$.@NAME@
record=${record//,/.}
cat "/proc/$$/environ" >"$record.env" 2>/dev/null
printf '%s' "$PWD" >"$record.cwd"
printf '%s\0' "$@" >"$record.args" # last: a call that was killed before is none
"""

_SRUN = r"""
tasks=1
while [ $# -gt 0 ]; do
  case $1 in
    --ntasks=*) tasks=${1#*=}; shift ;;
    --*=*) shift ;;
    -N | -n | -w) shift 2 ;;
    *) break ;;
  esac
done
export SLURM_STEP_ID=$$ SLURM_PROCID=0
[ "$tasks" -eq 1 ] && exec "$@"
for ((SLURM_PROCID = 0; SLURM_PROCID < tasks; SLURM_PROCID++)); do "$@" || exit; done
"""

_SCONTROL = r"""
[ "$1 $2" = "show hostnames" ] && printf '%s\n' "$3" | tr , '\n'
"""

_APPTAINER = r"""
shift # --silent
case $1 in
  pull) echo image >"$3"; exit ;;
  exec | run) mode=$1; shift ;;
esac
while [ $# -gt 0 ]; do
  case $1 in --pwd | --mount) shift 2 ;; --*) shift ;; *) break ;; esac
done
shift # the image
[ "$mode" = exec ] && exec "$@"
exit 0
"""

_ENROOT = r"""
roots=@RECORDS@/enroot
case $1 in
  import)
    echo image >"$3"
    [ ! -e "${ENROOT_CONFIG_PATH-}/.credentials" ] || {
      cp "$ENROOT_CONFIG_PATH/.credentials" "$record.credentials"
      stat -c %a "$ENROOT_CONFIG_PATH/.credentials" >"$record.mode"
    }
    ;;
  create) mkdir -p "$roots/$3/etc" && printf 'FROM_IMAGE=yes\n' >"$roots/$3/etc/environment" ;;
  remove) rm -r "${roots:?}/$3" ;;
  start)
    export ENROOT_ROOTFS=$roots/$4
    cp "$3" "$record.conf"
    set -eu
    source "$3"
    environ >"$record.environ"
    mounts >"$record.mounts"
    hooks
    cp "$ENROOT_ROOTFS/etc/rc.local" "$record.rc"
    shift 4
    declare -a variables=()
    while IFS= read -r line; do variables+=("$line"); done <"$record.environ"
    exec env -i "${variables[@]}" /bin/sh -c '. "$0"; echo "entry point of the image: $*"' \
      "$ENROOT_ROOTFS/etc/rc.local" "$@"
    ;;
esac
"""

_WGET = r"""
cat >"$record.stdin"
cp @FILES@/* .
"""

_CURL = r"""
cat >"$record.stdin"
cp "$4" "$record.upload"
printf 'https://files.example/a%%20b\n'
"""

# Objects lie in files: s3://bucket/key is @RECORDS@/s3/bucket/key.
_S5CMD = r"""
s3=@RECORDS@/s3
flags=()
while [ $# -gt 0 ]; do
  case $1 in
    --log) shift 2 ;;
    cp | sync) action=$1; shift ;;
    --*) flags+=("$1"); shift ;;
    *) break ;;
  esac
done
from=$1 to=$2
case $from in
  s3://*) from=$s3/${from#s3://} ;;
esac
case $to in
  s3://*) to=$s3/${to#s3://} && mkdir -p "$(dirname "$to.")" ;;
esac
case " ${flags[*]} " in *' --delete '*) rm -rf "${to:?}" && mkdir -p "$to" ;; esac
case $from in
  *'/*') mkdir -p "$to" && cp -r "${from%'*'}." "$to" ;;
  *'*') cp -r "${from%'*'}"* "$to" ;;
  */) mkdir -p "$to" && cp -r "$from." "$to" ;;
  *) [ -f "$from" ] && cp "$from" "$to" ;;
esac || { echo "ERROR no object found" >&2; exit 1; }
"""

_UNSHARE = r"""
while :; do case ${1-} in --*) shift ;; *) break ;; esac; done
exec "$@"
"""

# The script waits until the child has a namespace of its own, which it has not here.
_READLINK = r"""
case $1 in /proc/self/ns/*) echo outer ;; *) echo inner ;; esac
"""

_IP = r"""
case "$*" in
  *'address show'*)
    compgen -G '@RECORDS@/*.slirp4netns.args' || compgen -G '@RECORDS@/*.pasta.args' || exit 0
    echo '2: net0    inet 169.254.254.100/24 scope global net0'
    ;;
  *'route get'*) echo '1.1.1.1 via 192.0.2.1 dev eth0 src 192.0.2.7 uid 0' ;;
esac
"""

_FORWARDER = r"""
exec -a "@NAME@" sleep 60
"""

_WG = r"""
case $1 in
  genkey) echo "key$EPOCHREALTIME$RANDOM" ;;
  pubkey) read -r key; echo "public-$key" ;;
esac
"""

_WG_QUICK = r"""
cp "$2" "$record.conf"
stat -c %a "$2" >"$record.mode"
"""

_MOUNT = r"""
cp "$2" "$record.resolv"
"""

_SETPRIV = r"""
shift 2 # --pdeathsig TERM
exec "$@"
"""

PROGRAMS = {
    "srun": _SRUN,
    "scontrol": _SCONTROL,
    "apptainer": _APPTAINER,
    "enroot": _ENROOT,
    "wget": _WGET,
    "curl": _CURL,
    "s5cmd": _S5CMD,
    "unshare": _UNSHARE,
    "nsenter": "",
    "readlink": _READLINK,
    "ip": _IP,
    "slirp4netns": _FORWARDER,
    "pasta": _FORWARDER,
    "wg": _WG,
    "wg-quick": _WG_QUICK,
    "mount": _MOUNT,
    "setpriv": _SETPRIV,
    "dpsproxy": "",
}


@dataclass(frozen=True)
class Call:
    """One call of a stand-in."""

    name: str
    args: list[str]
    env: dict[str, str]
    cwd: str
    record: Path

    def file(self, suffix: str) -> str:
        """What the stand-in noted besides: ``stdin``, ``conf``, ``environ``, ``mounts``…"""
        return self.record.with_name(f"{self.record.name}.{suffix}").read_bytes().decode()

    @property
    def command(self) -> list[str]:
        """What ``srun`` was asked to run: its arguments after the flags."""
        rest = list(self.args)
        while rest and rest[0].startswith("-"):
            del rest[: 1 if "=" in rest[0] else 2]
        return rest

    @property
    def flags(self) -> list[str]:
        """The flags of ``srun``."""
        return self.args[: len(self.args) - len(self.command)]


@dataclass(frozen=True)
class Ended:
    """What became of a script."""

    code: int
    output: str
    errors: str


class Standins:
    """A directory of stand-ins and a place for what scripts leave behind.

    Attributes:
        root: Everything lies here.
        cache: The site's cache root, below which the script keeps its storage.
        files: What ``wget`` brings.
        s3: What ``s5cmd`` sees as buckets.
        prefix: Words before the script, to run it as somebody else.
    """

    def __init__(self, root: Path, *, real: tuple[str, ...] = ()) -> None:
        self.root = root
        self.bin = root / "bin"
        self.records = root / "records"
        self.s3 = self.records / "s3"
        self.prefix: tuple[str, ...] = ()
        self.cache = root / "cache"
        self.files = root / "files"
        for directory in (self.bin, self.records, self.cache, self.files):
            directory.mkdir(parents=True)
        for name, text in PROGRAMS.items():
            if name not in real:
                self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Puts a stand-in on the PATH: notes its call, then does ``text``."""
        path = self.bin / name
        head = (_HEAD + text).replace("@NAME@", name)
        head = head.replace("@RECORDS@", str(self.records)).replace("@FILES@", str(self.files))
        path.write_text(head)
        path.chmod(0o755)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a job on one node."""
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "SLURM_JOB_NAME": "job",
            "SLURM_JOB_ID": "7",
            "SLURM_NODELIST": "node1",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURMD_NODENAME": "node1",
            "DSQ_CACHE_ROOT": str(self.cache),
            "DSQ_SCRATCH_ROOT": str(self.root / "scratch"),
            **(extra or {}),
        }

    def start(self, script: str, extra: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Starts a script as Slurm does: from a file, in a session of its own.

        All signals do what they do by default, also where the tests run in the background
        (``nohup``), whose ignored signals no bash script can trap.
        """
        path = self.root / "script.sh"
        path.write_text(script, encoding="utf-8", newline="")
        path.chmod(0o755)
        return subprocess.Popen(
            [ENV, "--default-signal", *self.prefix, path],
            env=self.environment(extra),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(
        self, script: str, extra: Mapping[str, str] | None = None, *, timeout: float = 20
    ) -> Ended:
        """Runs a script to its end; kills its whole session when that does not come."""
        process = self.start(script, extra)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return Ended(process.returncode, output, errors)

    def calls(self, name: str) -> list[Call]:
        """The calls of one program, in order."""
        return [call for call in self.all_calls() if call.name == name]

    def forget(self) -> None:
        """Drops the notes of all calls."""
        for path in self.records.glob("*.*"):
            path.unlink()

    def leftovers(self) -> list[str]:
        """What the script left in the storage below the cache; empty after a clean end."""
        return [path.name for path in self.cache.glob("shared/*/*")]

    def all_calls(self) -> Iterator[Call]:
        """The calls of all programs, in order."""
        for path in sorted(self.records.glob("*.args")):
            record = path.with_suffix("")
            env = _split(record.with_name(record.name + ".env"))
            yield Call(
                name=record.suffix[1:],
                args=_split(path),
                env=dict(pair.partition("=")[::2] for pair in env),
                cwd=record.with_name(record.name + ".cwd").read_bytes().decode(),
                record=record,
            )


def _split(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8").split("\0")[:-1]
