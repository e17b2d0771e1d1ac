"""Renders steps: groups, conditions, loops, launches, catch and finally."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsq.core.quoting import assignments, join
from dsq.sbatch.model import Step, StepAsyncLaunch, StepFor, StepUse, Workflow
from dsq.sbatch.render.network import Networks
from dsq.sbatch.render.run import RunRenderer
from dsq.sbatch.render.templating import fill

# Signals that a shell cannot pass on (9, 19, 32, 33), that end it in its own way anyway
# (1, 2, 3, 15), or that it gets all the time (17).
_NOT_FORWARDED = frozenset({0, 1, 2, 3, 9, 15, 17, 19, 32, 33})

_SIGTERM = 15


class StepRenderer:
    """Renders the steps of one workflow.

    Attributes:
        features: Names of the parts of the library that the steps need.
    """

    def __init__(self, workflow: Workflow, *, markers: bool = True) -> None:
        self.features: set[str] = set()
        self.networks = Networks(workflow)
        self._run = RunRenderer(workflow, self.networks, self.features)
        self._markers = markers
        self._numbers = 0

    def block(self, steps: Sequence[Step], where: str) -> str:
        """Renders steps one after the other; never empty, as shells want a command."""
        rendered = [self._step(step, f"{where}[{index}]") for index, step in enumerate(steps)]
        return "\n\n".join(rendered) if rendered else ":"

    def _step(self, step: Step, where: str) -> str:
        if step.depends_on:
            self.features.add("launch")
        if step.if_ is not None:
            self.features.add("condition")
        # What belongs to a launch happens in the background with it: else its catch would
        # see an empty success, and its finally would run at once.
        launched = step.launch is not None and not step.steps
        return fill(
            "envelope.sh",
            where=where,
            depends_on=[handle.upper() for handle in step.depends_on or ()],
            condition=step.if_,
            **self._wrapped(None if launched else step, where),
            body=self._launch(step, where) if launched else self._body(step, where),
        )

    def _wrapped(self, step: Step | None, where: str) -> dict[str, Any]:
        """The values of an envelope that go round the body of ``step``; None: nothing does."""
        if step is None:
            plain: dict[str, Any] = {"number": 0, "name": "", "attempts": 0, "timeout": 0}
            return {**plain, "markers": False, "catch": "", "finally_": ""}
        again = step.retries or 0
        attempts = again + 1 if again or step.timeout else 0
        if attempts:
            self.features.add("attempts")
        return {
            "number": self._number() if step.finally_ or attempts else 0,
            "name": step.name or "",
            "markers": self._markers,
            "attempts": attempts,
            "timeout": step.timeout or 0,
            "catch": self.block(step.catch, f"{where}.catch") if step.catch else "",
            "finally_": self.block(step.finally_, f"{where}.finally") if step.finally_ else "",
        }

    def _body(self, step: Step, where: str) -> str:
        if step.steps:
            return self.block(step.steps, f"{where}.steps")
        if step.run is not None:
            return self._run.run(step.run, step.name or "", f"{where}.run")
        if step.for_ is not None:
            return self._loop(step.for_, f"{where}.for")
        if step.launch is not None:
            return self.block(step.launch.steps, f"{where}.launch.steps")
        if step.use is not None:
            return self._use(step.use, f"{where}.use")
        return ":"

    def _use(self, use: StepUse, where: str) -> str:
        """Renders a module: its inputs as variables, its steps, its outputs."""
        module = use.module
        assert module is not None
        given = {each.key: each.value for each in use.args or ()}
        values = {
            each.key: given.get(each.key, each.default)
            for each in module.inputs or ()
            if each.key in given or each.default is not None
        }
        if use.export_env_as is not None:
            self.features.add("module")
        return fill(
            "use.sh",
            where=where,
            prefix=use.export_env_as or "",
            exports=[f"export {assignments({key: value or ''})}" for key, value in values.items()],
            steps=self.block(module.steps, f"{where}.module.steps"),
            outputs=join(each.key for each in module.outputs or ()),
        )

    def _loop(self, loop: StepFor, where: str) -> str:
        if loop.parallel:
            self.features.add("parallel")
        span = loop.range
        return fill(
            "loop.sh",
            where=where,
            number=self._number(),
            parallel=loop.parallel,
            limit=loop.max_parallel or 0,
            variable="index" if span is not None else "item",
            items=join(loop.items or ()) if span is None else None,
            begin=span.begin if span is not None else 0,
            end=span.end if span is not None else 0,
            increment=(span.increment or 1) if span is not None else 1,
            steps=self.block(loop.steps, f"{where}.steps"),
        )

    def _launch(self, step: Step, where: str) -> str:
        launch = step.launch
        assert isinstance(launch, StepAsyncLaunch)
        self.features.add("launch")
        signal = launch.signal_on_parent_step_exit
        signal = _SIGTERM if signal is None else signal
        inner = fill(
            "envelope.sh",
            where=where,
            depends_on=(),
            condition=None,
            **self._wrapped(step, where),
            body=self._body(step, where),
        )
        return fill(
            "launch_step.sh",
            where=f"{where}.launch",
            signal=signal,
            forward=signal not in _NOT_FORWARDED,
            handle=(launch.handle_name or "").upper(),
            steps=inner,
        )

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
