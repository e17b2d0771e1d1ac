# What a compute node is, and which container runtimes its jobs find.
export LC_ALL=C
echo '@@ machine'
echo "os=$(uname -s)"
echo "arch=$(uname -m)"
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
[ -n "$cpu" ] || cpu=$(lscpu 2>/dev/null | sed -n 's/^Model name: *//p' | head -n 1)
echo "cpu=$cpu"
echo "flags=$(sed -n 's/^flags[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)"
if command -v archspec >/dev/null; then echo "microarch=$(archspec cpu 2>/dev/null)"; fi
if command -v nvidia-smi >/dev/null; then
  echo "gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)"
fi
for runtime in apptainer singularity enroot; do
  command -v "$runtime" >/dev/null || continue
  case $runtime in
  enroot) echo "enroot=$(enroot version 2>/dev/null | head -n 1)" ;;
  *) echo "$runtime=$("$runtime" --version 2>/dev/null | head -n 1)" ;;
  esac
done
if srun --help 2>/dev/null | grep -q -e --container-image; then echo 'pyxis=yes'; fi
echo "workdir=$PWD"
echo '@@ end'
# Time for the supervisor to try whether it may raise the limit of a running job.
sleep "${DSQ_BENCH_SECONDS:-0}"
