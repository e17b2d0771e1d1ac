"""Clients of the grid's services, and the protocols they speak.

``protos/`` holds the wire formats, ``gen/`` the code generated from them
(``generate.py``). ``sbatch`` fetches scripts, ``logger`` reads and writes logs,
``graphql`` submits workflows. ``signing`` has the texts that wallets sign for them.
"""
