"""What the service gets from elsewhere for a workflow: its modules, and what registries say."""

from __future__ import annotations

from dsq.core.clock import Clock
from dsq.core.errors import DsqError, UnreachableError
from dsq.sbatch.model import Workflow
from dsq.sbatch.modules.git import CachedModules, Fetcher, GitModules
from dsq.sbatch.modules.resolving import ModuleLimits, needs_modules, with_modules
from dsq.sbatch.outbound import OutboundPolicy
from dsq.sbatch.service.engine import DomainError
from dsq.sbatch.service.registry import Registries
from dsq.sbatch.service.settings import ServiceSettings
from dsq.sbatch.service.size import check_size


class Preparation:
    """Completes workflows within the settings.

    Without ``outbound_hosts`` nobody is asked: modules must have come with the workflow, as
    dsq sends them.
    """

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        self._settings = settings
        self._limits = ModuleLimits(
            uses=settings.max_modules,
            depth=settings.max_module_depth,
            seconds=settings.modules_seconds,
        )
        self._fetcher: Fetcher | None = None
        if settings.outbound_hosts:
            git = GitModules(self._policy(settings.max_module_bytes))
            self._fetcher = CachedModules(settings.data_dir / "modules", git)
        self._registries: Registries | None = None
        if settings.registry_lookups:
            self._registries = Registries(self._policy(settings.outbound_bytes), clock)

    def _policy(self, most: int) -> OutboundPolicy:
        return OutboundPolicy(
            hosts=self._settings.outbound_hosts,
            private_hosts=self._settings.outbound_private_hosts,
            seconds=self._settings.outbound_seconds,
            max_bytes=most,
        )

    def is_needed(self, workflow: Workflow) -> bool:
        """Tells whether a workflow lacks anything."""
        return self._registries is not None or needs_modules(workflow)

    async def complete(self, workflow: Workflow) -> Workflow:
        """Puts modules in, and asks about images.

        Raises:
            DomainError: A module or an image is not there, or the whole is too large.
        """
        try:
            if needs_modules(workflow):
                workflow = await with_modules(workflow, self._fetcher, limits=self._limits)
                check_size(workflow.to_wire(), self._settings)
            if self._registries is not None:
                workflow = await self._registries.complete(workflow)
        except DomainError:
            raise
        except DsqError as error:
            extensions = {"type": "internal"}
            if isinstance(error, UnreachableError):
                extensions["code"] = "UNAVAILABLE"
            raise DomainError([(str(error), extensions)]) from error
        return workflow
