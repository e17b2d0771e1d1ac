"""The meta-scheduler: gives waiting jobs to providers that can start them.

``packing``, ``matching``, ``policy`` and ``backoff`` are pure: no I/O, no clock of
their own, so that tests and simulations drive the very code that the service runs.
``state`` keeps what they look at, ``picture`` reads it from the chain, ``loop`` hears
events and sends the decisions, ``oracle`` answers questions over HTTP, ``service`` is the
process around them. docs/metascheduler.md describes the rules.
"""
