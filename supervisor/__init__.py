"""The provider's side of the grid: claims jobs, runs them on Slurm, reports what they cost.

Nothing heavy is imported here; see :mod:`dsq.supervisor.run` for the way in and
docs/provider.md for the operator's guide.
"""
