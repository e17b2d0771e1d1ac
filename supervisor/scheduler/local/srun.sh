#!/bin/bash
# Stands in for srun on a cluster of one machine: runs the tasks of a step as processes.
# Flags that say how much, where and how tasks are bound are taken and, where they say more
# than the job has, refused; flags that would change the step's files are not known here.

fail() {
  echo "srun: error: $1" >&2
  exit 1
}

number() { # flag value
  [[ $2 =~ ^[0-9]+$ ]] || fail "Invalid numeric value \"$2\" for $1."
}

ntasks=1 cpus=${SLURM_CPUS_PER_TASK:-1} gpus='' name='' export_=ALL dir='' label=''

while (($#)); do
  flag=$1
  case $flag in
  --) shift && break ;;
  --*=*) value=${flag#*=} flag=${flag%%=*} && shift ;;
  --ntasks | --cpus-per-task | --mem-per-cpu | --mem | --gpus | --gpus-per-task | --gres | \
    --job-name | --export | --mpi | --cpu-bind | --gpu-bind | --mem-bind | --nodes | --nodelist | \
    --chdir | --time | --ntasks-per-node | --partition | --distribution | --wait | --output | \
    --error | --input | --exclude | --gpus-per-node | --hint | --cores-per-socket | --account | \
    --jobid | --threads-per-core)
    value=${2-} && shift 2
    ;;
  --*) value='' && shift ;;
  -[ncNwJDtpmdWoeixA])
    value=${2-} && shift 2
    ;;
  -[ncNwJDtpmdWoeixA]?*) value=${flag:2} flag=${flag:0:2} && shift ;;
  -?*) value='' && shift ;;
  *) break ;;
  esac
  case $flag in
  -n | --ntasks) number "$flag" "$value" && ntasks=$value ;;
  -c | --cpus-per-task) number "$flag" "$value" && cpus=$value ;;
  --gpus) number "$flag" "${value##*:}" && gpus=${value##*:} ;;
  -J | --job-name) name=$value ;;
  --export) export_=$value ;;
  -D | --chdir) dir=$value ;;
  -l | --label) label=1 ;;
  -o | --output | -e | --error | -i | --input | --multi-prog | --jobid | --het-group)
    fail "$flag is not known on a cluster of one machine."
    ;;
  esac
done
(($#)) || fail "No command given to execute."
((ntasks > 0)) || fail "Invalid numeric value \"$ntasks\" for --ntasks."
((ntasks * cpus <= ${SLURM_NTASKS:-1} * ${SLURM_CPUS_PER_TASK:-1})) ||
  fail "Unable to create step for job ${SLURM_JOB_ID:-0}: More processors requested than permitted"
if [[ -n $gpus ]] && ((gpus > ${SLURM_GPUS:-0})); then
  fail "Unable to create step for job ${SLURM_JOB_ID:-0}: Invalid generic resource (gres) specification"
fi
[[ -z $dir ]] || cd -- "$dir" || exit 1

# The number of this step, counted in the job's folder.
step=0
if [[ -n ${SLURM_SUBMIT_DIR-} ]] && exec {count}<>"$SLURM_SUBMIT_DIR/.step"; then
  flock "$count"
  read -r step <&"$count" || step=0
  echo $((step + 1)) >"$SLURM_SUBMIT_DIR/.step"
  exec {count}>&-
fi 2>/dev/null

run() { # rank words...
  local rank=$1 host=${SLURMD_NODENAME:-localhost}
  shift
  exec env "${given[@]}" SLURM_PROCID="$rank" SLURM_LOCALID="$rank" SLURM_NODEID=0 \
    SLURM_NTASKS="$ntasks" SLURM_NPROCS="$ntasks" SLURM_STEP_ID="$step" SLURM_STEPID="$step" \
    SLURM_STEP_NUM_TASKS="$ntasks" SLURM_STEP_NUM_NODES=1 SLURM_STEP_NODELIST="$host" \
    SLURM_NNODES=1 SLURM_CPUS_PER_TASK="$cpus" SLURM_STEP_NAME="${name:-$1}" \
    SLURM_SRUN_COMM_HOST=127.0.0.1 "$@"
}

# --export: ALL, NONE, or a list of NAME and NAME=value, ALL among them or not.
given=()
IFS=, read -r -d '' -a words < <(printf '%s\0' "$export_")
all=
for word in "${words[@]}"; do
  case $word in
  ALL) all=1 ;;
  NONE | NIL) ;;
  *=*) given+=("$word") ;;
  ?*) [[ ! -v $word ]] || given+=("$word=${!word}") ;;
  esac
done
if [[ -z $all ]]; then
  while IFS= read -r word; do
    given=("$word=${!word}" "${given[@]}")
  done < <(compgen -e SLURM)
  given=(-i "${given[@]}")
fi

((ntasks > 1)) || [[ -n $label ]] || run 0 "$@"

pids=()
# shellcheck disable=SC2317,SC2329
forward() { # signal
  interrupted=1
  ((${#pids[@]} == 0)) || kill -s "$1" "${pids[@]}" 2>/dev/null
}
for signal in TERM INT HUP USR1 USR2 QUIT; do
  # shellcheck disable=SC2064
  trap "forward $signal" "$signal"
done
exec {input}<&0
for ((rank = 0; rank < ntasks; rank++)); do
  # The first task alone gets the input: processes cannot all read the same.
  from=/dev/null
  ((rank > 0)) || from=/dev/fd/$input
  if [[ -n $label ]]; then
    (set -o pipefail && (run "$rank" "$@") <"$from" 2>&1 | sed -u "s/^/$rank: /") &
  else
    run "$rank" "$@" <"$from" &
  fi
  pids+=($!)
done
highest=0
for pid in "${pids[@]}"; do
  interrupted=1
  while [[ -n $interrupted ]]; do # a signal that was forwarded also ends the wait
    interrupted=''
    wait "$pid"
    code=$?
  done
  ((code > highest)) && highest=$code
done
exit "$highest"
