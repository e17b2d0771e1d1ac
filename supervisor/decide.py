"""What to do about a job: chain x Slurm x journal as one table. Pure.

:func:`~dsq.supervisor.states.chain_state` names what the chain says,
:func:`~dsq.supervisor.states.body_state` what Slurm and the journal together say about the
job's processes. :data:`~dsq.supervisor.rules.RULES` has one rule for every pair.
Principles behind the cells:

* The chain is the truth about whose job it is; Slurm about processes; the journal about
  what we did. While one of them does not answer, the job is left as it is.
* At most one accepted sbatch a claim: after an unknown outcome only ``Find``.
* A job is lost after two sightings of its absence and a grace period, not before.
* A job that may have run is never handed back; one that certainly never ran costs nothing.
"""

from __future__ import annotations

from dsq.supervisor.actions import Action
from dsq.supervisor.observe import ChainView, SlurmView
from dsq.supervisor.records import JobRecord
from dsq.supervisor.rules import RULES, Case
from dsq.supervisor.states import Policy, body_state, chain_state


def decide(
    chain: ChainView | None, slurm: SlurmView, journal: JobRecord, now: float, policy: Policy
) -> list[Action]:
    """What to do about one job now, in order.

    Args:
        chain: The job as just read, None if it could not be read.
        slurm: The newest look into the cluster.
        journal: The record, with both folded in (:func:`dsq.supervisor.observe.observe`).
        now: Unix time.
    """
    body = body_state(slurm, journal, now, policy)
    return RULES[chain_state(chain), body](Case(journal, slurm, now, policy))
