"""What the templates of a document refer to: steps, inputs and values that are there at their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from openagents_json.workflow.errors import ExpressionError
from openagents_json.workflow.expressions.names import ROOTS, SECRET, SECRETS, Names
from openagents_json.workflow.expressions.templates import (
    TemplatePart,
    compile_condition,
    compile_value,
)
from openagents_json.workflow.language.problems import Collector, Nearest


def compiled(
    value: Any,
    names: Names,
    pointer: str,
    collector: Collector,
    step_id: str | None,
    *,
    condition: bool = False,
) -> tuple[TemplatePart, ...]:
    """Compile a value and check what it refers to; problems are collected."""
    wrong: list[ExpressionError] = []
    is_condition = condition and isinstance(value, str)
    compile_it = compile_condition if is_condition else compile_value
    try:
        template = compile_it(value, names, pointer, wrong)
    except RecursionError:
        message = "it is nested too deeply"
        collector.error("expression_error", pointer, message, step_id=step_id)
        return ()
    for error in wrong:
        collector.error(
            "expression_error",
            error.pointer,
            str(error),
            found=error.expression,
            step_id=step_id,
        )
    for part in template.parts:
        _ReferenceCheck(part, names, collector, step_id).check()
    return template.parts


@dataclass(frozen=True, slots=True)
class _ReferenceCheck:
    """Looks up what one expression refers to, among the names of its place."""

    part: TemplatePart
    names: Names
    collector: Collector
    step_id: str | None

    def check(self) -> None:
        for path in _longest(self.part.paths):
            self._check_path(path)

    def _check_path(self, path: tuple[str, ...]) -> None:
        root = path[0]
        names = self.names
        if root == SECRETS and root not in names.steps:
            self._check_secret()
        elif root in ("input", "inputs"):
            self._check_input(path[1:])
        elif root == "steps":
            self._check_step(path[1:])
        elif root in names.steps and root not in names.local:
            self._check_step(path)
        elif not names.is_known(root):
            self._missing(
                "missing_referenced_step" if len(path) > 1 else "unknown_reference",
                f"there is no step, input or value named {root!r}",
                root,
                (*names.steps, *ROOTS, *names.local),
            )

    def _check_secret(self) -> None:
        source = self.part.source
        if SECRETS in self.names.local and SECRET.match(source):
            return
        message = f"{source!r}: a secret can be used in the inputs of a component only, as {{{{secrets.NAME}}}}"
        self._refuse("misplaced_secret", message)

    def _check_input(self, keys: tuple[str, ...]) -> None:
        declared = self.names.inputs
        self.collector.uses.add(("inputs", *keys[:1]))
        is_undeclared = keys and declared and keys[0] not in declared
        if is_undeclared:
            message = f"the document declares no input {keys[0]!r}"
            self._missing("missing_workflow_input", message, keys[0], declared)

    def _check_step(self, path: tuple[str, ...]) -> None:
        """Look up a path that begins with the id of a step."""
        if not path:
            self.collector.uses.add(("steps",))
            self._check_steps_as_value()
            return
        step = path[0]
        names = self.names
        self.collector.uses.add(_use_of(path))
        if step not in names.steps:
            message = f"there is no step {step!r}"
            self._missing("missing_referenced_step", message, step, names.steps)
        elif step == self.step_id:
            self._refuse("self_reference", "a step cannot refer to itself")
        elif len(path) > 2 and path[1] == "outputs" and step in names.outputs:
            self._check_output(step, path[2])

    def _check_steps_as_value(self) -> None:
        if self.part.source.strip() == "steps":
            self.collector.warn(
                "misplaced_reference",
                self.part.pointer,
                "all steps together are no value, so this fails when a run gets there",
                found=self.part.source,
                suggestion="name one of them, as in steps['id']",
                step_id=self.step_id,
            )

    def _check_output(self, step: str, output: str) -> None:
        declared = self.names.outputs[step]
        if output not in declared:
            message = f"step {step!r} declares no output {output!r}"
            self._missing("missing_step_output", message, output, declared)

    def _refuse(self, code: str, message: str) -> None:
        self.collector.error(
            code,
            self.part.pointer,
            message,
            found=self.part.source,
            step_id=self.step_id,
        )

    def _missing(
        self, code: str, message: str, name: str, candidates: Iterable[str]
    ) -> None:
        self.collector.error(
            code,
            self.part.pointer,
            f"{message} (in {self.part.source!r})",
            found=name,
            near=Nearest(name, candidates, is_listed=True),
            step_id=self.step_id,
        )


def _use_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return what of a step a path refers to: one of its outputs, or all of it."""
    if path[1:2] == ("outputs",):
        return ("steps", path[0], *path[2:3])
    return ("steps", path[0], *path[1:2])


def _longest(paths: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Leave out what another path goes on from: `a` and `a.b` of `{{a.b}}` are one reference, and one problem."""
    unique_paths = tuple(dict.fromkeys(paths))
    for path in unique_paths:
        if not any(_goes_on_from(path, other) for other in unique_paths):
            yield path


def _goes_on_from(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(other) > len(path) and other[: len(path)] == path
