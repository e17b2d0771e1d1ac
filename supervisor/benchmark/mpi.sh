# Stands before the benchmarks whose tools may be MPI programs. Where Slurm has no default for
# MPI, srun would start each rank as a program of its own: it is told the interface that works.
mpi=
if scontrol show config 2>/dev/null | grep -qi '^MpiDefault *= *\(none\|(null)\)'; then
  for kind in pmix pmi2; do
    # With the plugin there, its library may still be missing.
    if srun --mpi="$kind" --ntasks="${SLURM_NNODES:-1}" --ntasks-per-node=1 true 2>/dev/null; then
      mpi=--mpi=$kind
      break
    fi
  done
fi

# Starts ranks with srun, else with the starter of the MPI that is installed. That one takes as many
# as the job has tasks, and a task here may have the CPUs of many ranks.
mpi_run() { # ranks tasks-a-node words...
  ranks=$1 each=${2:+--ntasks-per-node=$2}
  shift 2
  # shellcheck disable=SC2086 # nothing, or one word
  srun $mpi --ntasks="$ranks" $each --cpus-per-task=1 "$@" && return
  command -v mpirun >/dev/null && [ -z "$each" ] || return 1
  SLURM_TASKS_PER_NODE="$((ranks / ${SLURM_NNODES:-1}))(x${SLURM_NNODES:-1})" \
    mpirun -np "$ranks" "$@"
}
