"""Everything that can go wrong, drawn by a seed: the real agent and journal in a fake world.

    python -m tests.support.chaos [SEEDS] [FIRST_SEED]     many seeds, on all cores
    python -m tests.support.chaos --trace SEED             one seed, with what happened

The process dies at any boundary of journal and effect, of each kind; requests and answers get lost or
late; chain, cluster and services go away; the chain goes back, also over a customer's
payment, also far below what was read; clocks differ and jump; Slurm kills, requeues, suspends
and forgets jobs, gives their ids again and closes its partition; the journal is lost, its disk
full, its place on the chain too old or too far; a second supervisor uses the key. Whatever
happens: no job runs twice, none is lost, each ends in a bounded time, at most once, billed by
Slurm's own times, and the credits add up.

:mod:`.scene` is a world and its jobs, :mod:`.faults` what goes wrong in it, :mod:`.story` one
seed from beginning to end, :mod:`.ends` what must hold then; :mod:`.play` plays a seed,
:mod:`.command` many of them, and :mod:`.tally` counts what they met.
"""
