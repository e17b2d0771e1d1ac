"""Renders steps: groups, conditions, loops, launches, catch and finally."""

from __future__ import annotations

from collections.abc import Sequence

from dsq.core.quoting import join, quote
from dsq.sbatch.model import Step, StepAsyncLaunch, StepFor, Workflow
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

    def __init__(self, workflow: Workflow) -> None:
        self.features: set[str] = set()
        self._run = RunRenderer(workflow, self.features)
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
        body = self._launch(step, where) if launched else self._body(step, where)
        catch, finally_ = (None, None) if launched else (step.catch, step.finally_)
        return fill(
            "envelope.sh",
            where=where,
            number=self._number() if finally_ else 0,
            depends_on=[handle.upper() for handle in step.depends_on or ()],
            condition=step.if_,
            body=body,
            catch=self.block(catch, f"{where}.catch") if catch else "",
            finally_=self.block(finally_, f"{where}.finally") if finally_ else "",
        )

    def _body(self, step: Step, where: str) -> str:
        parts = []
        if step.name:
            parts.append(f"printf '%s\\n' {quote(f'Running: {step.name}')}")
        if step.steps:
            parts.append(self.block(step.steps, f"{where}.steps"))
        elif step.run is not None:
            parts.append(self._run.run(step.run, step.name or "", f"{where}.run"))
        elif step.for_ is not None:
            parts.append(self._loop(step.for_, f"{where}.for"))
        elif step.launch is not None:
            parts.append(self.block(step.launch.steps, f"{where}.launch.steps"))
        return "\n".join(parts) or ":"

    def _loop(self, loop: StepFor, where: str) -> str:
        if loop.parallel:
            self.features.add("parallel")
        span = loop.range
        return fill(
            "loop.sh",
            where=where,
            number=self._number(),
            parallel=loop.parallel,
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
            number=self._number() if step.finally_ else 0,
            depends_on=(),
            condition=None,
            body=self._body(step, where),
            catch=self.block(step.catch, f"{where}.catch") if step.catch else "",
            finally_=self.block(step.finally_, f"{where}.finally") if step.finally_ else "",
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
