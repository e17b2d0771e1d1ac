"""Many seeds on all cores, and the command line."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dsq.supervisor.run import first_error
from tests.support.chaos.play import play
from tests.support.chaos.tally import ENOUGH_SEEDS, Tally
from tests.support.virtual import run_virtual


def run_seed(seed: int, tally: Tally | None = None) -> str:
    """Plays a seed; "" or what went wrong. ``tally`` takes what it met."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="dsq-chaos-", dir=base))
    try:
        run_virtual(play(seed, folder, tally))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        if isinstance(error, BaseExceptionGroup):
            error = first_error(error)
        return f"{type(error).__name__}: {error}"
    finally:
        logging.disable(before)
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _tallied(seed: int) -> tuple[str, Tally]:
    tally = Tally()
    return run_seed(seed, tally), tally


def run_seeds(first: int, count: int, *, workers: int | None = None) -> Tally:
    """Plays seeds on all cores; prints those that fail."""
    total = Tally()
    began = time.monotonic()
    # What is there already lives as long as the workers: nobody need look through it again.
    gc.collect()
    gc.freeze()
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        numbers = range(first, first + count)
        played = pool.map(_tallied, numbers, chunksize=8)
        for seed, (problem, tally) in zip(numbers, played, strict=True):
            total.add(tally)
            if problem:
                total.failed += 1
                head, *tail = problem.splitlines()
                print(f"seed {seed} failed: {head}", flush=True)
                if total.failed <= 3:
                    print("\n".join(tail[-40:]), flush=True)
            done = seed - first + 1
            if done % 1000 == 0:
                print(f"{done} seeds in {time.monotonic() - began:.0f} s", flush=True)
    return total


def _count(word: str) -> int:
    """A number of seeds."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no number of seeds: 1 or more.")
    return int(word)


def _seed(word: str) -> int:
    """A seed."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is no seed: a whole number, 0 or more.")
    return int(word)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.chaos",
        description="Plays the real agent and journal in a world in which everything goes wrong.",
        epilog="Prints each failing seed, and last how many failed; exits with 1 if any did, or if "
        f"{ENOUGH_SEEDS} seeds or more left out something that they should meet.",
    )
    parser.add_argument(
        "seeds",
        nargs="?",
        type=_count,
        default=ENOUGH_SEEDS,
        metavar="SEEDS",
        help="how many are played (%(default)s)",
    )
    parser.add_argument(
        "first",
        nargs="?",
        type=_seed,
        default=0,
        metavar="FIRST_SEED",
        help="the first of them (%(default)s)",
    )
    parser.add_argument(
        "--trace", type=_seed, metavar="SEED", help="play this one, and print what happened"
    )
    return parser


def _trace(seed: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="dsq-chaos-"))
    try:
        print("\n".join(run_virtual(play(seed, folder))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def main(words: Sequence[str]) -> int:
    """The command line.

    Returns:
        The exit code: 1 if a seed failed, or many seeds did not meet what they should.

    Raises:
        SystemExit: With 2, after a sentence, if the words make no sense.
    """
    args = _parser().parse_args(words)
    if args.trace is not None:
        return _trace(args.trace)
    total = run_seeds(args.first, args.seeds)
    print("\n".join(total.lines()))
    unmet = total.unmet() if args.seeds >= ENOUGH_SEEDS else []
    for name in unmet:
        print(f"never met in {args.seeds} seeds: {name}")
    print(f"{args.seeds} seeds, {total.failed} failed")
    return 1 if total.failed or unmet else 0
