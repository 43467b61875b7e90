"""What one step of a document means: its templates, its handlers, its compensation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.workflow.errors import ExpressionError
from openagents_json.workflow.expressions.names import SECRETS, Names
from openagents_json.workflow.expressions.templates import TemplatePart, escape
from openagents_json.workflow.language.checks.handlers import check_handlers
from openagents_json.workflow.language.checks.references import compiled
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.checks.waits import (
    check_waits,
    without_schemas,
)
from openagents_json.workflow.language.compile_step import compile_step
from openagents_json.workflow.language.nested_steps import compensation_step
from openagents_json.workflow.language.problems import Collector, Nearest
from openagents_json.workflow.language.scoping import COMPENSATION, inner_names, local
from openagents_json.workflow.language.steps import Call

_CALL = frozenset(Call.options) | {"id"}
_NOT_COMPILED = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)


class StepCheck:
    """Looks through the templates of one step; `names` are those around it, `inner` those of its items too."""

    def __init__(
        self,
        step: Mapping[str, Any],
        pointer: str,
        names: Names,
        ids: frozenset[str],
        collector: Collector,
    ):
        self.step = step
        self.pointer = pointer
        self.names = names
        self.ids = ids
        self.collector = collector
        self.inner = local(names, *inner_names(step))
        self.name: str = step["id"]
        self.parts: list[TemplatePart] = []

    def run(self) -> list[TemplatePart]:
        """Return the expressions that make edges; problems are collected."""
        self._inputs()
        self._repetition()
        self._what_it_does()
        self._outputs()
        self._dependencies()
        check_handlers(
            step=self.step,
            pointer=self.pointer,
            inner=self.inner,
            siblings=self.ids,
            collector=self.collector,
        )
        self._compensation()
        check_waits(self.step, self.pointer, self.collector)
        return self.parts

    def loop_conditions(self, inside: Names) -> None:
        """Look at the conditions of a loop, which see the steps in it."""
        loop = object_of(self.step.get("loop"))
        for key in ("while", "until"):
            self._condition(loop.get(key), inside, f"loop/{key}")

    # -- what makes edges --------------------------------------------------------------------------------

    def _inputs(self) -> None:
        # Only what a worker hands to a component is filled in; elsewhere a secret would be the text of its reference.
        is_component = "component" in self.step
        names = local(self.inner, SECRETS) if is_component else self.inner
        for key, value in object_of(self.step.get("inputs")).items():
            self._value(value, names, f"inputs/{escape(str(key))}")

    def _repetition(self) -> None:
        """Look at the condition and the items; of a foreach, the condition is asked for each item."""
        step = self.step
        repeated = "foreach" in step
        names = self.inner if repeated else self.names
        self._condition(step.get("condition"), names, "condition")
        if repeated:
            self._value(step["foreach"], self.names, "foreach")

    def _what_it_does(self) -> None:
        step = self.step
        ending = object_of(step.get("terminate"))
        if "output" in ending:
            self._value(ending["output"], self.inner, "terminate/output")
        for key in ("sleep", "wait_for"):
            if key in step:
                self._value(without_schemas(step[key]), self.inner, key)
        for key in ("mutex", "rate_limit", "fairness"):
            if key in step:
                self._value(step[key], self.inner, key)

    def _value(self, value: Any, names: Names, option_path: str) -> None:
        pointer = f"{self.pointer}/{option_path}"
        self.parts += compiled(value, names, pointer, self.collector, self.name)

    def _condition(self, value: Any, names: Names, option_path: str) -> None:
        if isinstance(value, str):
            self.parts += compiled(
                value=value,
                names=names,
                pointer=f"{self.pointer}/{option_path}",
                collector=self.collector,
                step_id=self.name,
                condition=True,
            )

    # -- what makes none ---------------------------------------------------------------------------------

    def _outputs(self) -> None:
        names = local(self.names, "result", "output")
        for key, value in object_of(self.step.get("outputs")).items():
            pointer = f"{self.pointer}/outputs/{escape(str(key))}"
            compiled(value, names, pointer, self.collector, self.name)

    def _dependencies(self) -> None:
        for index, source in enumerate(array_of(self.step.get("depends_on"))):
            if not isinstance(source, str) or source in self.ids:
                continue
            elsewhere = " beside this one" if source in self.names.steps else ""
            self.collector.error(
                "missing_referenced_step",
                f"{self.pointer}/depends_on/{index}",
                f"there is no step {source!r}{elsewhere}",
                found=source,
                near=Nearest(source, self.ids),
                step_id=self.name,
            )

    def _compensation(self) -> None:
        undo = compensation_step(self.step)
        if undo is None:
            return
        names = local(self.inner, SECRETS, *COMPENSATION)
        for key, value in object_of(undo.get("inputs")).items():
            pointer = f"{self.pointer}/compensate/inputs/{escape(str(key))}"
            compiled(value, names, pointer, self.collector, None)
        if not undo.keys() <= _CALL:
            self._unusual(undo, local(self.inner, *COMPENSATION))

    def _unusual(self, undo: Mapping[str, Any], names: Names) -> None:
        """Look at a compensation with options of a step that are not those of a call: whether it can be compiled."""
        pointer = f"{self.pointer}/compensate"
        try:
            compile_step(
                step=undo,
                path="",
                names=names,
                inner=names,
                binding={},
                pointer=pointer,
                block=None,
            )
        except ExpressionError as error:
            error_pointer = getattr(error, "pointer", pointer)
            self.collector.error(
                "expression_error", error_pointer, str(error), found=error.expression
            )
        except _NOT_COMPILED as error:
            unusual = ", ".join(sorted(undo.keys() - _CALL))
            message = (
                f"it is no step that could be run, because of one of {unusual}: {error}"
            )
            self.collector.error("schema_error.type", pointer, message, found=unusual)
