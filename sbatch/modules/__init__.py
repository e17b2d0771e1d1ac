"""Modules: steps from elsewhere that a workflow uses.

:func:`~dsq.sbatch.modules.resolving.with_modules` puts each module into the ``use`` that
names it. Clients do that before they submit, so that what was looked at is what runs and
the service need not ask anybody; the service does it for clients that do not.
"""
