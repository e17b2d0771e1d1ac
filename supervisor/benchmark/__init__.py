"""Measuring a cluster with ordinary jobs, and the labels that come of it.

:mod:`.kinds` says which jobs, :mod:`.results` reads what they printed, :mod:`.store` keeps
it with its date, :mod:`.runner` runs what is due. The first kind, ``machine``, is the small
job of each registration: it tells what a compute node is, and shows for real whether the
account may raise the limit of a running job.
"""
