# To the outside: iperf3 to a host that the provider chose, else curl from and to its addresses.
export LC_ALL=C
if [ -n "${DSQ_BENCH_IPERF_HOST:-}" ] && command -v iperf3 >/dev/null; then
  echo '@@ iperf3 upload'
  iperf3 -J -t 5 -c "$DSQ_BENCH_IPERF_HOST" -p "${DSQ_BENCH_IPERF_PORT:-5201}"
  echo '@@ iperf3 download'
  iperf3 -J -R -t 5 -c "$DSQ_BENCH_IPERF_HOST" -p "${DSQ_BENCH_IPERF_PORT:-5201}"
  echo '@@ end'
  exit
fi
command -v curl >/dev/null || {
  echo '@@ nothing'
  echo 'Neither iperf3 (with iperf_host) nor curl is installed on the node.'
  exit 3
}
if [ -n "${DSQ_BENCH_DOWNLOAD_URL:-}" ]; then
  echo '@@ curl download'
  curl -fsSL --max-time 60 -o /dev/null -w 'bytes_per_s=%{speed_download}\n' \
    -- "$DSQ_BENCH_DOWNLOAD_URL"
fi
if [ -n "${DSQ_BENCH_UPLOAD_URL:-}" ]; then
  echo '@@ curl upload'
  dd if=/dev/zero bs=1M count=64 2>/dev/null |
    curl -fsS --max-time 60 -o /dev/null -w 'bytes_per_s=%{speed_upload}\n' \
      -T - -- "$DSQ_BENCH_UPLOAD_URL"
fi
echo '@@ end'
