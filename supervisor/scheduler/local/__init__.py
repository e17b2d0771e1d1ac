"""The cluster that is this machine: batch scripts run as processes, without Slurm."""
