"""Whether what steps are given can be what they take: references, connections, items and values of the document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Final

from openagents_json.workflow.expressions.payload_schema import fits
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.lookups import carried_in
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.graph import split_end
from openagents_json.workflow.language.nested_steps import (
    block_of,
    compensation_step,
    steps_in,
)
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.scoping import COMPENSATION
from openagents_json.workflow.types import quoted
from openagents_json.workflow.validation.called import (
    check_called_inputs,
    check_carried_input,
)
from openagents_json.workflow.validation.schemas.callees import (
    Taken,
    schema_of_output,
)
from openagents_json.workflow.validation.schemas.comparison import (
    Comparison,
    Fit,
    cannot_fit,
    compare,
    is_open,
)
from openagents_json.workflow.validation.schemas.contradictions import Schema
from openagents_json.workflow.validation.schemas.members import at_path
from openagents_json.workflow.validation.schemas.remedies import (
    instead_of_literal,
    instead_of_reference,
)
from openagents_json.workflow.validation.schemas.scopes import Scope, parts_of
from openagents_json.workflow.validation.schemas.words import in_words

NOTHING_CARRIED: Final[Set[str]] = frozenset()

_EXPRESSION: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
"""A text that is one expression."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An input of a component or a workflow, and what of it is looked at: all of it, or what is under some keys."""

    name: str
    owner: str
    taken: Taken
    step_id: str | None

    def part(self, key: str | int) -> _Input:
        """Return what is taken inside of it under a key."""
        schema, stated = self.taken
        inner = Taken(at_path(schema, [key]), at_path(stated, [key]))
        return replace(self, name=f"{self.name}.{key}", taken=inner)

    def in_words(self) -> str:
        """Say what it takes."""
        return f"{self.name!r} of {self.owner} takes {in_words(self.taken.stated)}"


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Looks at what steps and connections give to components; problems are collected."""

    collector: Collector

    # -- steps -------------------------------------------------------------------------------------------

    def check_step(
        self, step: Mapping[str, Any], pointer: str, scope: Scope, carried: Set[str]
    ) -> None:
        """Look at a step and those inside of it; what connections bring, `carried`, stands before its inputs."""
        own = scope.in_step(step)
        self._check_inputs(step, pointer, own, carried)
        called = scope.document_of(step)
        if called is not None:
            check_called_inputs(step, pointer, called, carried, self.collector)
        undo = compensation_step(step)
        if undo is not None:
            undoing = own.with_names(*COMPENSATION)
            at = f"{pointer}/compensate"
            self._check_inputs(undo, at, undoing, NOTHING_CARRIED)
        held = block_of(step)
        if held is not None:
            block, path = held
            at = pointer + path
            self.check_block(block, at, own.in_block(block, at))

    def check_block(self, block: Mapping[str, Any], pointer: str, scope: Scope) -> None:
        """Look at the steps and connections of a block."""
        carried = carried_in(block)
        for index, step in steps_in(block):
            arriving = carried.get(step["id"], NOTHING_CARRIED)
            self.check_step(step, f"{pointer}/steps/{index}", scope, arriving)
        for index, connection in enumerate(array_of(block.get("connections"))):
            self.check_connection(connection, f"{pointer}/connections/{index}", scope)

    def _check_inputs(
        self,
        step: Mapping[str, Any],
        pointer: str,
        scope: Scope,
        carried: Set[str],
    ) -> None:
        inputs = object_of(step.get("inputs"))
        filled = scope.with_secrets() if inputs else scope
        for name, value in inputs.items():
            taker = scope.taker(step, name)
            if name in carried or taker is None:
                continue
            into = _Input(name, taker.name, taker.taken, step["id"])
            self._check(value, f"{pointer}/inputs/{escape(str(name))}", filled, into)

    # -- connections -------------------------------------------------------------------------------------

    def check_connection(self, connection: Any, pointer: str, scope: Scope) -> None:
        """Look at what a connection brings to an input of a step."""
        rules = object_of(connection)
        source, output = _end(rules.get("source"))
        target, name = _end(rules.get("target"))
        giving = scope.steps.get(source)
        taking = scope.steps.get(target)
        if giving is None or taking is None or name is None:
            return
        called = scope.document_of(taking)
        if called is not None:
            at = f"{pointer}/target"
            check_carried_input(taking, name, at, called, self.collector)
        taker = scope.taker(taking, name)
        if taker is None or "transform" in rules:
            return
        into = _Input(name, taker.name, taker.taken, target)
        given = scope.carried_from(giving, output)
        comparison = compare(given, into.taken.schema)
        self._tell(comparison, rules["source"], given, into, f"{pointer}/source")

    # -- what a document gives ---------------------------------------------------------------------------

    def check_outputs(self, document: Mapping[str, Any], scope: Scope) -> None:
        """Look whether the declared outputs of a document are what their sources give."""
        for name, declared in object_of(document.get("outputs")).items():
            source = object_of(declared).get("source")
            stated = schema_of_output(declared)
            given = scope.schema_of(source)
            if isinstance(source, str) and cannot_fit(given, stated):
                message = f"{source!r} is {in_words(given)}; the output {name!r} is declared as {in_words(stated)}"
                self.collector.warn(
                    "cannot_fit",
                    f"/outputs/{escape(str(name))}/source",
                    message,
                    found=source,
                    expected=in_words(stated),
                )

    # -- values ------------------------------------------------------------------------------------------

    def _check(self, value: Any, pointer: str, scope: Scope, into: _Input) -> bool:
        """Look at a value of the document; tells whether it cannot fit.

        What is in it is looked at first: then the problem stands where it is.
        """
        if is_open(into.taken.schema):
            return False
        parts = [*parts_of(value)]
        if parts and scope.is_literal(value) and fits(into.taken.schema, value):
            return False
        wrong = [
            self._check(part, f"{pointer}/{escape(str(key))}", scope, into.part(key))
            for key, part in parts
        ]
        if any(wrong):
            return True
        given = scope.schema_of(value)
        # What may not fit in it was told of its parts.
        comparison = compare(given, into.taken.schema, is_sure=bool(parts))
        words = (
            str(value) if isinstance(value, str) and given != {"const": value} else ""
        )
        self._tell(comparison, words, given, into, pointer)
        return comparison.fit is Fit.CANNOT_FIT

    def _tell(
        self,
        comparison: Comparison,
        source: str,
        given: Schema,
        into: _Input,
        pointer: str,
    ) -> None:
        """Note what does not fit; `source` is the reference that gives it, "" for a value of the document itself."""
        subject = f"{source!r} is" if source else "it is"
        message = f"{subject} {in_words(given)}; {into.in_words()}"
        if comparison.fit is Fit.CANNOT_FIT:
            # A run may be meant to go on behind the step that fails of it, so it is no error.
            self.collector.warn(
                "cannot_fit",
                pointer,
                message,
                found=source or None,
                expected=in_words(into.taken.stated),
                suggestion=_suggestion(source, given, into.taken.schema),
                step_id=into.step_id,
            )
        elif comparison.fit is Fit.MAY_NOT_FIT:
            example = quoted(comparison.example)
            self.collector.note(
                "may_not_fit",
                pointer,
                f"{message}, so {example} would be refused",
                found=source or None,
                expected=in_words(into.taken.stated),
                step_id=into.step_id,
            )


def _end(text: Any) -> tuple[str, str | None]:
    return split_end(text) if isinstance(text, str) else ("", None)


def _suggestion(source: str, given: Schema, taken: Schema) -> str:
    if not source:
        return instead_of_literal(object_of(given).get("const"), taken)
    path = _EXPRESSION.fullmatch(source)
    if path is None:
        return ""
    return instead_of_reference(path[1], given, taken)
