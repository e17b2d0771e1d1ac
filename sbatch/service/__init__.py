"""The sbatch API: takes workflows, keeps scripts and logs, hands both to whom they belong.

``graphql`` and ``sdl`` are the HTTP side, ``scripts`` and ``logs`` the gRPC side, ``store``
and ``logstore`` what lies on disk, ``ledger`` the view of the chain, ``serve`` the process.
"""
