"""The workflow language: its model, its renderer, and the services that keep scripts and logs.

Start at :mod:`dsq.sbatch.workflow` (read and check a workflow) and
:mod:`dsq.sbatch.render` (make the batch script). Importing the room loads nothing.
"""
