"""What the values are that templates give in a scope of a document, as JSON Schemas, as far as that is sure.

A text that is one path of keys keeps the type of what it refers to; a template with text around it is a text; what any
other expression gives is not known.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from openagents_json.workflow.errors import ExpressionError
from openagents_json.workflow.expressions.forms import path_in
from openagents_json.workflow.expressions.names import SECRETS, Names
from openagents_json.workflow.expressions.pieces import split
from openagents_json.workflow.expressions.templates import bare_reference
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.nested_steps import (
    all_steps,
    block_of,
    steps_in,
)
from openagents_json.workflow.language.scoping import (
    inner_names,
    item_names,
    local,
    names_in,
    names_of,
)
from openagents_json.workflow.validation.schemas.callees import (
    Callees,
    Taker,
    schema_of_input,
    schema_of_output,
)
from openagents_json.workflow.validation.schemas.contradictions import Schema
from openagents_json.workflow.validation.schemas.members import (
    NULL,
    any_item,
    any_of,
    at_path,
)

Path = Sequence[str | int]
Steps = Mapping[str, Mapping[str, Any]]

TEXT: Final = {"type": "string"}

_FACTS: Final[Mapping[str | int, Schema]] = {
    "success": {"type": "boolean"},
    "status": TEXT,
    "attempts": {"type": "integer"},
}
_STARTED: Final = {
    "type": "object",
    "properties": {"run": TEXT},
    "required": ["run"],
}
"""What a step gives that starts a workflow and goes on."""

_UNSURE: Final = frozenset({"outputs", "error", "errors"})
_MOST_MEMBERS: Final = 50
"""Of larger arrays and objects in a document, only their type is looked at."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope of a document: the names that templates may use there, and what is known of the values of each.

    `steps` are those that can be seen, `locals` what items of a foreach are. `is_inside_result` tells that the result
    of a block is looked at: of blocks in it, nothing is known. `workflow` is the id of the document. `is_called` tells
    that it is the document of a workflow that another one calls: of those that it calls itself, nothing is known.
    """

    names: Names
    callees: Callees
    inputs: Mapping[str, Any]
    steps: Steps
    locals: Mapping[str, Schema]
    is_inside_result: bool = False
    workflow: str = ""
    is_called: bool = False

    # -- other scopes ------------------------------------------------------------------------------------

    def in_step(self, step: Mapping[str, Any]) -> Scope:
        """Return the scope of what a step says of itself: it sees its items."""
        added = inner_names(step)
        if not added:
            return self
        schemas: dict[str, Schema] = dict.fromkeys(added, True)
        if "foreach" in step:
            item, index = item_names(step)
            schemas[index] = {"type": ["integer", "string"]}
            schemas[item] = any_item(self.schema_of(step["foreach"]))
        return replace(
            self,
            names=local(self.names, *added),
            locals={**self.locals, **schemas},
        )

    def in_block(self, block: Mapping[str, Any], at: str) -> Scope:
        """Return the scope inside of a block, which sees its steps."""
        own = {step["id"]: step for _, step in steps_in(block)}
        return replace(
            self,
            names=names_in(block, self.names, at=at),
            steps=ChainMap(own, self.steps),  # type: ignore[arg-type]
        )

    def with_names(self, *more: str) -> Scope:
        """Return the scope with names of which nothing is known."""
        schemas = {**self.locals, **dict.fromkeys(more, True)}
        return replace(self, names=local(self.names, *more), locals=schemas)

    def with_secrets(self) -> Scope:
        """Return the scope of the inputs of a component, in which secrets are filled in."""
        return replace(self, names=local(self.names, SECRETS))

    # -- values ------------------------------------------------------------------------------------------

    def schema_of(self, value: Any) -> Schema:
        """Return the schema of what a value of the document gives here; true where nothing is sure.

        Of a reference, that is what it gives where there is something: it gives null where a step did not run.
        """
        if isinstance(value, str):
            return self._schema_of_text(value)
        if isinstance(value, Mapping):
            return self._schema_of_object(value)
        if isinstance(value, list | tuple):
            return self._schema_of_array(value)
        return {"const": value}

    def _schema_of_object(self, value: Mapping[str, Any]) -> Schema:
        if len(value) > _MOST_MEMBERS:
            return {"type": "object"}
        members = {str(name): self.possible(item) for name, item in value.items()}
        return {
            "type": "object",
            "properties": members,
            "required": [*members],
            "additionalProperties": False,
        }

    def _schema_of_array(self, value: Sequence[Any]) -> Schema:
        count = len(value)
        if count > _MOST_MEMBERS:
            return {"type": "array"}
        items = [self.possible(item) for item in value]
        rules = {"type": "array", "minItems": count, "maxItems": count}
        return {**rules, "prefixItems": items, "items": False} if items else rules

    def possible(self, value: Any) -> Schema:
        """Return the schema of all that a value may give, null of references too."""
        schema = self.schema_of(value)
        return any_of([schema, NULL]) if self.is_reference(value) else schema

    def is_literal(self, value: Any) -> bool:
        """Tell whether a value is given as it is written: no text in it is a template."""
        if isinstance(value, str):
            return bool(self._schema_of_text(value) == {"const": value})
        return all(self.is_literal(part) for _, part in parts_of(value))

    def is_reference(self, value: Any) -> bool:
        """Tell whether a value is one expression, and nothing beside it."""
        return isinstance(value, str) and self._expression(value) is not None

    def _expression(self, text: str) -> str | None:
        """Return the one expression that a text is, None for any other text."""
        try:
            pieces = [*split(text)]
        except ExpressionError:
            return ""  # whatever it is
        [(kind, piece), *more] = pieces
        if more:
            return None
        if kind == "expression":
            return piece.strip()
        return bare_reference(text, self.names) or None

    def _schema_of_text(self, text: str) -> Schema:
        expression = self._expression(text)
        if expression is None:
            is_plain = "{{" not in text and "${" not in text
            return {"const": text} if is_plain else TEXT
        path = path_in(expression, self.names) if expression else None
        return self._at(path) if path else True

    # -- references --------------------------------------------------------------------------------------

    def _at(self, path: Path) -> Schema:
        """Return the schema of what a path leads to."""
        root, *keys = path
        name = str(root)
        if name == SECRETS and name not in self.locals:
            return TEXT
        if name in self.names.local:
            return at_path(self.locals.get(name, True), keys)
        if name in ("input", "inputs"):
            return self._input(keys)
        if name == "steps" and keys:
            return self._step(str(keys[0]), keys[1:])
        if name in ("workflow", "steps") or name not in self.names.steps:
            return True
        return self._step(name, keys)

    def _input(self, keys: Path) -> Schema:
        if not keys:
            return {"type": "object"}
        declared = self.inputs.get(str(keys[0]))
        return at_path(schema_of_input(declared), keys[1:])

    def _step(self, name: str, keys: Path) -> Schema:
        step = self.steps.get(name)
        if step is None:
            return True
        if not keys:
            return {"type": "object"}
        first, *rest = keys
        if first in _FACTS:
            return at_path(_FACTS[first], rest)
        if first == "output":
            return at_path(self.result_of(step), rest)
        if first in _UNSURE or "outputs" in step:
            return True
        return at_path(self.result_of(step), keys)

    def carried_from(self, step: Mapping[str, Any], name: str | None) -> Schema:
        """Return the schema of what a connection takes from a step: its result, or what that has under a name."""
        if "outputs" in step:
            return True
        result = self.result_of(step)
        if name in (None, "output"):
            return result
        return any_of([at_path(result, [str(name)]), NULL])

    # -- results -----------------------------------------------------------------------------------------

    def result_of(self, step: Mapping[str, Any]) -> Schema:
        """Return the schema of what a step gives when it has run; true where nothing is sure."""
        handlers = array_of(step.get("on_error"))
        if any("output" in object_of(handler) for handler in handlers):
            return True
        held = block_of(step)
        if "workflow" in step:
            once = self._result_of_workflow(step)
        elif held is None:
            once = self.callees.result_of(step)
        else:
            once = self._result_of_block(step, held[0])
        return _of_each(once) if "foreach" in step and once is not True else once

    def output(self, declared: Any) -> Schema:
        """Return the schema of a declared output: what is said of it, or else what its source gives."""
        stated = schema_of_output(declared)
        source = object_of(declared).get("source")
        return stated or (True if source is None else self.possible(source))

    def _result_of_block(
        self, step: Mapping[str, Any], block: Mapping[str, Any]
    ) -> Schema:
        """Return the schema of the result of a block, by what is in the block itself.

        What is around it may change while the block stays the same.
        """
        if self.is_inside_result or "output" not in block:
            return True
        own = {inner["id"]: inner for _, inner in steps_in(block)}
        names = names_in(block, Names(frozenset()), *inner_names(step), at="")
        inside = Scope(names, self.callees, {}, own, {}, is_inside_result=True)
        return inside.schema_of(block["output"])

    def _result_of_workflow(self, step: Mapping[str, Any]) -> Schema:
        """Return the schema of what the run of a workflow gives that a step calls."""
        if step.get("detached"):
            return _STARTED
        document = self.document_of(step)
        return True if document is None else _result_of_run(document, self.callees)

    def document_of(self, step: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the document of the workflow that a step calls; None for its own one, which is being written."""
        called = str(step.get("workflow")).partition("@")[0]
        if self.is_called or called == self.workflow:
            return None
        return self.callees.document_of(step)

    def taker(self, step: Mapping[str, Any], name: str) -> Taker | None:
        """Return who takes an input of a step; None where nothing is known of it."""
        is_known = "component" in step or self.document_of(step) is not None
        return self.callees.taker(step, name) if is_known else None


def scope_of(
    document: Mapping[str, Any], callees: Callees, *, is_called: bool = False
) -> Scope:
    """Return what is known of the values that templates give in a document itself."""
    steps = {step["id"]: step for _, step in steps_in(document)}
    inputs = object_of(document.get("inputs"))
    name = str(document.get("id"))
    names = names_of(document)
    return Scope(names, callees, inputs, steps, {}, workflow=name, is_called=is_called)


def _result_of_run(document: Mapping[str, Any], callees: Callees) -> Schema:
    """Return the schema of what a run of a document gives when it has completed."""
    if any("terminate" in location.step for location in all_steps(document)):
        return True
    scope = scope_of(document, callees, is_called=True)
    if "output" in document:
        return scope.schema_of(document["output"])
    # Steps may set others, and without any it has those of the last steps.
    outputs = object_of(document.get("outputs"))
    members = {str(name): scope.output(spec) for name, spec in outputs.items()}
    return {"type": "object", "properties": members, "required": [*members]}


def _of_each(schema: Schema) -> Schema:
    """Return the schema of the results of all items: null stands for those that failed."""
    item = any_of([schema, NULL])
    return {
        "anyOf": [
            {"type": "array", "items": item},
            {"type": "object", "additionalProperties": item},
        ]
    }


def parts_of(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Return what is in an object or an array, with its keys."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
