"""What may be written at the cursor: components, their inputs, steps, inputs of the run, names of the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

from openagents_json.catalog.registry import Registry
from openagents_json.engine.editing.component_text import (
    NOTHING,
    component_text,
    parameter_facts,
    parameter_text,
)
from openagents_json.engine.editing.outline import Cursor, Outline
from openagents_json.engine.editing.references import reference_at
from openagents_json.engine.editing.schema_places import members_at, values_at
from openagents_json.engine.editing.tokens import NAME, VALUE
from openagents_json.workflow.component_spec import ComponentSpec, Parameter
from openagents_json.workflow.language.checks.shapes import object_of

OF_STEPS: Final = {
    "output": "what its component gave",
    "outputs": "its outputs, by name",
    "success": "whether it has completed",
    "status": "completed, failed or skipped",
    "error": "why it failed",
    "attempts": "how often it was tried",
}
OF_RUNS: Final = {
    "id": "the id of the workflow",
    "version": "its version",
    "run_id": "the id of the run",
    "status": "the status of the run",
}
_ROOTS: Final = {
    "input": "an input of the run",
    "workflow": "the run itself",
    "secrets": "a secret of the worker, as {{secrets.NAME}}",
    "item": "the item of a foreach",
    "index": "its number",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What may be written: `text` in the place of what stands between `start` and `end`."""

    label: str
    kind: str
    text: str
    start: int
    end: int
    detail: str = ""
    documentation: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What there is to choose from, wherever it is written."""

    label: str
    kind: str
    detail: str = ""
    documentation: str = ""

    def written(self, text: str, start: int, end: int) -> Proposal:
        """Return it as a text in the place of another one."""
        return Proposal(
            self.label, self.kind, text, start, end, self.detail, self.documentation
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """Proposes what may be written into one text."""

    outline: Outline
    registry: Registry
    is_yaml: bool

    def at(self, offset: int) -> list[Proposal]:
        """Return what may be written at a place."""
        cursor = self.outline.at(offset)
        reference = reference_at(cursor)
        if reference is not None:
            span = (reference.start, reference.end)
            choices = self._of(reference.owner)
            return [choice.written(choice.label, *span) for choice in choices]
        ways = {NAME: self._names, VALUE: self._values}
        write = self._form(cursor)
        span = (cursor.start, cursor.end)
        choices = ways[cursor.kind](cursor)
        return [choice.written(write(choice.label), *span) for choice in choices]

    def _form(self, cursor: Cursor) -> Callable[[str], str]:
        """Return how a name or a value is written there: what has its quotes, or its colon, gets no second ones."""
        is_written = (*cursor.path, cursor.text) in self.outline.names
        is_bare = cursor.is_quoted or (is_written and bool(cursor.text))
        forms = {
            (NAME, True): "{}: ",
            (NAME, False): '"{}": ',
            (VALUE, True): "{}",
            (VALUE, False): '"{}"',
        }
        form = "{}" if is_bare else forms[cursor.kind, self.is_yaml]
        return form.format

    # -- names of members --------------------------------------------------------------------------------

    def _names(self, cursor: Cursor) -> Iterable[Choice]:
        others = {*self.outline.members(*cursor.path)} - {cursor.text}
        is_inputs = cursor.path[-1:] == ("inputs",) and len(cursor.path) > 1
        choices = self._inputs(cursor) if is_inputs else self._members(cursor)
        return filter(lambda choice: choice.label not in others, choices)

    def _inputs(self, cursor: Cursor) -> Iterable[Choice]:
        return map(_parameter, self.parameters(cursor))

    def parameters(self, cursor: Cursor) -> Iterable[Parameter]:
        """Return the inputs of the component whose step the cursor is in."""
        return self.spec(self.outline.component_at(cursor.path)).inputs or ()

    def spec(self, reference: str) -> ComponentSpec:
        """Return what is known of a component, `NOTHING` of one that there is not."""
        return self.registry.find(reference) or NOTHING

    def _members(self, cursor: Cursor) -> Iterable[Choice]:
        return map(_member, members_at(cursor.path).items())

    # -- values ------------------------------------------------------------------------------------------

    def _values(self, cursor: Cursor) -> Iterable[Choice]:
        names = ("", *map(str, filter(_is_name, cursor.path)))
        ways: Mapping[str, Callable[[], Iterable[Choice]]] = {
            "component": self._components,
            "depends_on": self._steps,
            "source": self._steps,
            "target": self._steps,
        }
        words = map(partial(Choice, kind="word"), values_at(cursor.path))
        return ways[names[-1]]() if names[-1] in ways else words

    def _components(self) -> Iterable[Choice]:
        return map(_component, map(self.spec, sorted(self.registry.names())))

    def _steps(self) -> Iterable[Choice]:
        return map(self._step, self.outline.steps())

    def _step(self, step_id: str) -> Choice:
        return Choice(step_id, "step", self.outline.component_of(step_id))

    # -- references --------------------------------------------------------------------------------------

    def _of(self, owner: tuple[str, ...]) -> Iterable[Choice]:
        """Return what may follow upon a reference, and what may begin one."""
        if not owner:
            return chain(self._steps(), _listed(_ROOTS))
        root, *rest = owner
        if root in self.outline.steps():
            return self._of_output(root, rest) if rest else _listed(OF_STEPS)
        ways: Mapping[tuple[str, ...], Iterable[Choice]] = {
            ("input",): self._run_inputs(),
            ("inputs",): self._run_inputs(),
            ("workflow",): _listed(OF_RUNS),
        }
        return ways.get(owner, ())

    def _run_inputs(self) -> Iterable[Choice]:
        return map(self._run_input, self.outline.members("inputs"))

    def _run_input(self, name: str) -> Choice:
        kind = self.outline.value("inputs", name, "type")
        text = self.outline.value("inputs", name, "description")
        return Choice(name, "input", kind, text)

    def _of_output(self, step_id: str, parts: list[str]) -> Iterable[Choice]:
        """Return the members of an output, where the component says what it gives."""
        spec = self.spec(self.outline.component_of(step_id))
        schema = object_of(spec.metadata.get("result"))
        resolved = partial(_resolved, definitions=object_of(schema.get("$defs")))
        for part in parts[1:]:
            schema = object_of(resolved(schema).get("properties")).get(part, {})
        members = object_of(resolved(schema).get("properties"))
        return map(_member, zip(members, map(resolved, members.values()), strict=True))


def _is_name(part: str | int) -> bool:
    return isinstance(part, str)


def _parameter(parameter: Parameter) -> Choice:
    facts = parameter_facts(parameter)
    return Choice(parameter.name, "input", facts, parameter_text(parameter))


def _component(spec: ComponentSpec) -> Choice:
    return Choice(spec.name, "component", spec.version, component_text(spec))


def _member(described: tuple[str, Mapping[str, Any]]) -> Choice:
    name, schema = described
    kind, text = schema.get("type", ""), schema.get("description", "")
    return Choice(name, "member", str(kind), str(text))


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(object_of(schema).get("$ref", "")).removeprefix("#/$defs/")
    return object_of(definitions.get(name, schema))


def _listed(texts: Mapping[str, str]) -> Iterable[Choice]:
    return [Choice(name, "value", "", text) for name, text in texts.items()]
