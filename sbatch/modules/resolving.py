"""Puts modules into the workflow that uses them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsq.core.errors import DsqError, NotFoundError, WorkflowError
from dsq.sbatch.crosscheck import all_steps
from dsq.sbatch.model import Module, Step, StepUse, Workflow
from dsq.sbatch.modules.git import MAX_FILE, Fetched, Fetcher
from dsq.sbatch.modules.source import FILE, Local, Remote, parse_source
from dsq.sbatch.modules.template import fill_in
from dsq.sbatch.nodes import SourceError
from dsq.sbatch.problems import InvalidWorkflow
from dsq.sbatch.validation import check
from dsq.sbatch.yaml_source import read_text


@dataclass(frozen=True, slots=True)
class ModuleLimits:
    """How much modules may be.

    Attributes:
        uses: Most modules of a workflow, those of modules counted.
        depth: Most modules inside each other.
        seconds: Longest time for all of them.
    """

    uses: int = 50
    depth: int = 8
    seconds: float = 60.0


def needs_modules(workflow: Workflow) -> bool:
    """Tells whether the workflow names a module that is not filled in."""
    return any(
        placed.step.use is not None and placed.step.use.module is None
        for placed in all_steps(workflow)
    )


async def with_modules(
    workflow: Workflow,
    fetcher: Fetcher | None,
    *,
    folder: Path | None = None,
    limits: ModuleLimits | None = None,
) -> Workflow:
    """Puts each module into the ``use`` that names it.

    Args:
        workflow: A checked workflow.
        fetcher: Gets modules of other hosts; None refuses them.
        folder: The folder of the workflow's file, to which paths are relative; None refuses
            paths, as a service must.

    Raises:
        InvalidWorkflow: A module is not valid, or the job is too small for it.
        WorkflowError: There are too many, they use each other, or a source makes no sense.
        NotFoundError: There is no such module.
        UnreachableError: A host does not answer, or not in time.
    """
    if not needs_modules(workflow):
        return workflow
    limits = limits or ModuleLimits()
    resolver = _Resolver(workflow, fetcher, limits)
    try:
        async with asyncio.timeout(limits.seconds):
            steps = await resolver.steps(workflow.steps, _Place(folder, ()))
    except TimeoutError:
        raise WorkflowError(
            f"The modules did not come within {limits.seconds:g} seconds."
        ) from None
    filled = workflow.model_copy(update={"steps": steps})
    checked, problems = check(Workflow, filled.to_wire(), workflow._source)
    if checked is None:
        raise InvalidWorkflow("the workflow with its modules", problems)
    return filled


@dataclass(frozen=True, slots=True)
class _Place:
    """Where steps stand.

    Attributes:
        folder: What paths are relative to; None where there are none.
        inside: Identities of the modules around.
    """

    folder: Path | None
    inside: tuple[str, ...]


class _Resolver:
    def __init__(self, job: Workflow, fetcher: Fetcher | None, limits: ModuleLimits) -> None:
        # A module sees what it is for and no secret: not where files come from and go to.
        self._job = job.model_copy(
            update={"input": None, "output": None, "virtual_networks": None, "steps": []}
        )
        self._fetcher = fetcher
        self._limits = limits
        self._count = 0
        self._fetched: dict[Remote, Fetched] = {}

    async def steps(self, steps: list[Step], place: _Place) -> list[Step]:
        return [await self._step(step, place) for step in steps]

    async def _step(self, step: Step, place: _Place) -> Step:
        changed: dict[str, Any] = {}
        for name in ("steps", "catch", "finally_"):
            inner = getattr(step, name)
            if inner:
                changed[name] = await self.steps(inner, place)
        for name in ("for_", "launch"):
            body = getattr(step, name)
            if body is not None:
                inner = await self.steps(body.steps, place)
                changed[name] = body.model_copy(update={"steps": inner})
        if step.use is not None:
            changed["use"] = await self._use(step, step.use, place)
        return step.model_copy(update=changed) if changed else step

    async def _use(self, step: Step, use: StepUse, place: _Place) -> StepUse:
        self._count += 1
        if self._count > self._limits.uses:
            raise WorkflowError(f"A workflow uses at most {self._limits.uses} modules.")
        if use.module is not None:
            inner = await self.steps(use.module.steps, place)
            return use.model_copy(update={"module": use.module.model_copy(update={"steps": inner})})
        source = parse_source(use.source)
        text, identity, folder = await self._read(source, place)
        if identity in place.inside:
            raise WorkflowError(f"The module {identity} uses itself.")
        if len(place.inside) >= self._limits.depth:
            raise WorkflowError(f"Modules are at most {self._limits.depth} inside each other.")
        module = self._module(text, identity, step)
        # The steps that were handed over are in the module now, where it wanted them.
        given = _Place(folder, (*place.inside, identity))
        inner = await self.steps(module.steps, given)
        filled = module.model_copy(update={"steps": inner})
        return use.model_copy(update={"module": filled, "steps": None})

    async def _read(self, source: Remote | Local, place: _Place) -> tuple[bytes, str, Path | None]:
        """The file, what names it, and the folder that its own paths are relative to."""
        if isinstance(source, Local):
            if place.folder is None:
                raise WorkflowError(
                    f"The module '{source.path}' is a file; only files of yours can use files.",
                    hint="Submit with dsq, which reads them, or name a repository.",
                )
            path = _file(place.folder / source.path)
            return read_file(path), str(path), path.parent
        if self._fetcher is None:
            raise WorkflowError(
                f"The module at {source.host} is not fetched: outbound requests are off.",
                hint="Submit with dsq, which fetches it and sends it along.",
            )
        if source not in self._fetched:
            self._fetched[source] = await self._fetcher.fetch(source)
        found = self._fetched[source]
        return found.text, source.at(found.commit), None

    def _module(self, text: bytes, identity: str, step: Step) -> Module:
        try:
            filled = fill_in(text.decode("utf-8"), {"Job": self._job, "Step": step})
            node = read_text(filled)
        except UnicodeDecodeError:
            raise WorkflowError(f"The module {identity} is not UTF-8 text.") from None
        except SourceError as error:
            raise InvalidWorkflow(f"the module {identity}", [error.problem()]) from None
        except DsqError as error:
            raise WorkflowError(f"The module {identity} cannot be used: {error.message}") from None
        module, problems = check(Module, _completed(node.data()), node)
        if module is None:
            raise InvalidWorkflow(f"the module {identity}", problems)
        return module


def read_file(path: Path) -> bytes:
    """Reads the file of a module.

    Raises:
        NotFoundError: There is none.
        WorkflowError: It is too large.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE + 1)
    except OSError as error:
        raise NotFoundError(f"The module {path} cannot be read: {error.strerror}.") from None
    if len(text) > MAX_FILE:
        raise WorkflowError(f"The module {path} has more than {MAX_FILE} bytes.")
    return text


def _file(path: Path) -> Path:
    return (path / FILE if path.is_dir() else path).resolve()


_LEAST = {"tasks": 1, "cpusPerTask": 1, "memPerCpu": 1, "gpus": 0}


def _completed(data: Any) -> Any:
    """A module as modules in the wild are written: their heads lack fields, or have others.

    Nothing of that changes what a job does; the steps are as strict as a workflow's.
    """
    if not isinstance(data, dict):
        return data
    made = dict(data)
    least = made.get("minimumResources", {})
    if isinstance(least, dict):
        made["minimumResources"] = {name: least.get(name, _LEAST[name]) for name in _LEAST}
    made.setdefault("description", "")
    for name in ("inputs", "outputs"):
        if isinstance(made.get(name), list):
            made[name] = [
                {"description": "", **each} if isinstance(each, dict) else each
                for each in made[name]
            ]
    return made
