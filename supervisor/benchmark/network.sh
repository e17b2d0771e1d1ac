# Between nodes: the OSU benchmarks where they are installed, else TCP with python3.
export LC_ALL=C
nodes=${DSQ_BENCH_NODES:-2}

with_osu() {
  for kind in latency bibw; do
    echo "@@ osu $kind"
    mpi_run 2 1 "osu_$kind" || return
    echo '@@ end'
  done
  if command -v osu_alltoall >/dev/null; then
    echo '@@ osu alltoall'
    mpi_run "$nodes" 1 osu_alltoall
    echo '@@ end'
  fi
}

if command -v osu_latency >/dev/null && command -v osu_bibw >/dev/null; then
  with_osu && exit
fi

if command -v python3 >/dev/null; then
  cat >pingpong.py <<'END'
"""Two tasks on two nodes: the second one listens and tells where in a file they share."""

import os
import pathlib
import socket
import time

place = pathlib.Path("pingpong.address")
MESSAGE, BLOCK, SECONDS = 8, 1 << 20, 2.0


def take(line, size):
    while size:
        got = line.recv(min(size, BLOCK))
        if not got:
            raise SystemExit(0)
        size -= len(got)


if os.environ["SLURM_PROCID"] == "1":
    with socket.create_server(("", 0)) as server:
        name = socket.gethostname()
        part = place.with_suffix(".part")
        part.write_text(f"{name} {server.getsockname()[1]}")
        part.rename(place)
        server.settimeout(60)
        line, _ = server.accept()
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            size = int.from_bytes(line.recv(8, socket.MSG_WAITALL), "big")
            if not size:
                break
            take(line, size)
            line.sendall(b"x" * MESSAGE)
else:
    deadline = time.monotonic() + 60
    while not place.exists():
        if time.monotonic() > deadline:
            raise SystemExit("the other node did not answer")
        time.sleep(0.05)
    host, port = place.read_text().split()
    line = socket.create_connection((host, int(port)), 60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def trips(size, seconds):
        head, body = size.to_bytes(8, "big"), b"x" * size
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            line.sendall(head + body)
            take(line, MESSAGE)
            count += 1
        return count, time.perf_counter() - began

    trips(MESSAGE, 0.2)
    count, taken = trips(MESSAGE, SECONDS)
    print("latency_us=%.3f" % (taken / count / 2 * 1e6))
    count, taken = trips(64 * BLOCK, SECONDS)
    print("mbit_per_s=%.3f" % (count * 64 * BLOCK * 8 / taken / 1e6))
    line.sendall(bytes(8))
END
  echo '@@ tcp'
  srun --nodes=2 --ntasks=2 --ntasks-per-node=1 python3 pingpong.py && echo '@@ end' && exit
fi
echo '@@ nothing'
echo 'Neither the OSU benchmarks nor python3 are installed on the nodes.'
exit 3
