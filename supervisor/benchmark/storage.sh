# Files: IOR where it is installed, else fio, else dd. 2 MiB a transfer, as with IOR's labels.
export LC_ALL=C
cache=${DSQ_CACHE_ROOT:-/opt/cache} megabytes=${DSQ_BENCH_STORAGE_MB:-1024}
rounds=${DSQ_BENCH_ROUNDS:-3} tasks=${DSQ_BENCH_TASKS:-1}

with_ior() { # name
  echo "@@ ior $1 $tasks"
  mpi_run "$tasks" '' ior -a POSIX -F -e -w -r -t 2m \
    -b "$((megabytes / tasks / 2 * 2))m" -i "$rounds" -o "$folder/data" \
    -O summaryFormat=CSV
}

with_dd() { # name
  round=0
  while [ "$round" -lt "$rounds" ]; do
    echo "@@ dd $1 write"
    dd if=/dev/zero of="$folder/data" bs=2M count="$((megabytes / 2))" conv=fdatasync 2>&1
    # Out of the page cache, so that the storage is read and not the memory.
    dd if="$folder/data" of=/dev/null iflag=nocache count=0 2>/dev/null
    echo "@@ dd $1 read"
    dd if="$folder/data" of=/dev/null bs=2M iflag=direct 2>&1 ||
      dd if="$folder/data" of=/dev/null bs=2M 2>&1
    round=$((round + 1))
  done
}

measured=
measure() { # name folder
  mkdir -p -- "$2" 2>/dev/null || return 0
  folder=$(mktemp -d -- "$2/dsq-bench.XXXXXXXX" 2>/dev/null) || return 0
  if command -v ior >/dev/null && with_ior "$1"; then
    :
  elif command -v fio >/dev/null; then
    for way in write read; do
      echo "@@ fio $1"
      fio --name=dsq --directory="$folder" --filename=data --rw="$way" --bs=2M \
        --size="${megabytes}M" --end_fsync=1 --output-format=json --loops="$rounds" --invalidate=1
    done
  else
    with_dd "$1"
  fi
  measured=1
  echo '@@ end'
  rm -rf -- "$folder"
}

measure scratch "$cache/shared"
measure shared-world-tmp "$cache/world-tmp"
measure shared-tmp "$cache/persistent"
measure disk-world-tmp "$cache/disk/world-tmp"
measure disk-tmp "$cache/disk/tmp"
[ -n "$measured" ] || {
  echo '@@ nothing'
  echo "No storage below $cache can be written by this account."
  exit 3
}
