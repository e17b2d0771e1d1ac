"""Clusters: one port, and an adapter for Slurm and one for this machine alone."""
