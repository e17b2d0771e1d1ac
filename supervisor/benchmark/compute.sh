# Floating point: HPL where it is installed (alone or in the HPC Challenge), else the product of
# two matrices on every CPU.
export LC_ALL=C
nodes=${DSQ_BENCH_NODES:-1} cpus=${DSQ_BENCH_CPUS:-1}

on_each_node() { # words...
  if [ "$nodes" -gt 1 ]; then
    srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="$cpus" "$@"
  else
    "$@"
  fi
}

hpl_input() {
  cat <<END
HPLinpack benchmark input file
dsq
HPL.out
6 device out (6=stdout,7=stderr,file)
1 # of problems sizes (N)
${DSQ_BENCH_HPL_N:?}
1 # of NBs
${DSQ_BENCH_HPL_NB:?}
0 PMAP process mapping (0=Row-,1=Column-major)
1 # of process grids (P x Q)
${DSQ_BENCH_HPL_P:?} Ps
${DSQ_BENCH_HPL_Q:?} Qs
16.0 threshold
1 # of panel fact
2 PFACTs
1 # of recursive stopping criterium
4 NBMINs
1 # of panels in recursion
2 NDIVs
1 # of recursive panel fact.
1 RFACTs
1 # of broadcast
1 BCASTs
1 # of lookahead depth
1 DEPTHs
2 SWAP (0=bin-exch,1=long,2=mix)
64 swapping threshold
1 L1 in (0=transposed,1=no-transposed) form
0 U in (0=transposed,1=no-transposed) form
1 Equilibration (0=no,1=yes)
8 memory alignment in double (> 0)
END
}

on_each_cpu() { # words...
  OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    mpi_run $((DSQ_BENCH_HPL_P * DSQ_BENCH_HPL_Q)) '' "$@"
}

if command -v xhpl >/dev/null; then
  echo '@@ hpl'
  hpl_input >HPL.dat
  on_each_cpu xhpl && echo '@@ end' && exit
fi
# HPL as a part of the HPC Challenge (Debian has it so); the rest of that runs too.
if command -v hpcc >/dev/null; then
  echo '@@ hpl hpcc'
  hpl_input >hpccinf.txt
  rm -f hpccoutf.txt
  on_each_cpu hpcc && grep -E '^(T/V|W[RC])|PASSED|FAILED' hpccoutf.txt && echo '@@ end' && exit
fi

if command -v python3 >/dev/null && python3 -c 'import numpy' 2>/dev/null; then
  echo '@@ matrix numpy'
  export OMP_NUM_THREADS="$cpus" OPENBLAS_NUM_THREADS="$cpus" MKL_NUM_THREADS="$cpus"
  cat >matrix.py <<'END'
import time

import numpy

size = 2048
a = numpy.random.rand(size, size)
b = numpy.random.rand(size, size)
a @ b
began, rounds = time.perf_counter(), 0
while time.perf_counter() - began < 3:
    a @ b
    rounds += 1
print("gflops=%.3f" % (2 * size**3 * rounds / (time.perf_counter() - began) / 1e9))
END
  on_each_node python3 matrix.py && echo '@@ end' && exit
fi

if command -v cc >/dev/null; then
  echo '@@ matrix c'
  cat >matrix.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define SIZE 384

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static void multiply(void) {
  for (int i = 0; i < SIZE; i++)
    for (int k = 0; k < SIZE; k++) {
      double factor = a[i][k];
      for (int j = 0; j < SIZE; j++) c[i][j] += factor * b[k][j];
    }
}

/* One process a CPU, so that no library for threads is needed. */
int main(int count, char **words) {
  int cpus = count > 1 ? atoi(words[1]) : 1, line[2];
  double total = 0, one;
  if (cpus < 1 || pipe(line)) return 1;
  for (int cpu = 0; cpu < cpus; cpu++) {
    if (fork()) continue;
    for (int i = 0; i < SIZE; i++)
      for (int j = 0; j < SIZE; j++) a[i][j] = i + cpu, b[i][j] = j % 7;
    long rounds = 0;
    double began = now();
    while (now() - began < 3) multiply(), rounds++;
    one = 2.0 * SIZE * SIZE * SIZE * rounds / (now() - began) / 1e9;
    if (c[SIZE / 2][1] < 1) one = 0; /* the product is used */
    return write(line[1], &one, sizeof one) != sizeof one;
  }
  for (int cpu = 0; cpu < cpus; cpu++) {
    if (read(line[0], &one, sizeof one) != sizeof one) return 1;
    total += one;
  }
  while (wait(NULL) > 0) continue;
  printf("gflops=%.3f\n", total);
  return 0;
}
END
  if cc -O3 -march=native -o matrix matrix.c 2>/dev/null || cc -O3 -o matrix matrix.c; then
    on_each_node ./matrix "$cpus" && echo '@@ end' && exit
  fi
fi
echo '@@ nothing'
echo 'Neither xhpl, nor python3 with numpy, nor cc is installed on the node.'
exit 3
