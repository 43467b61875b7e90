"""What stands at the cursor: what it means, and where it is defined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.catalog.registry import Registry
from openagents_json.engine.editing.completion import OF_RUNS, OF_STEPS, Completion
from openagents_json.engine.editing.component_text import (
    NOTHING,
    component_text,
    parameter_text,
)
from openagents_json.engine.editing.outline import Cursor, Outline
from openagents_json.engine.editing.references import Reference, reference_at
from openagents_json.engine.editing.schema_places import members_at
from openagents_json.engine.editing.tokens import NAME, VALUE, Path, Token

_COMPONENT: Final = ("component",)
_INPUTS: Final = ("input", "inputs")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is shown of a stretch of a text, in Markdown."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where something is defined: at an offset of the text itself, or at a line of a file."""

    offset: int = 0
    length: int = 0
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Meanings:
    """Tells what the parts of one text mean."""

    outline: Outline
    registry: Registry

    def at(self, offset: int) -> Meaning:
        """Return what is shown of what stands at a place; its text is empty where there is nothing to say."""
        cursor = self.outline.at(offset)
        reference = reference_at(cursor)
        if reference is not None:
            text = self._of_reference(reference)
            return Meaning(text, reference.start, reference.end)
        ways = {NAME: self._of_name, VALUE: self._of_value}
        return Meaning(ways[cursor.kind](cursor), cursor.start, cursor.end)

    def source_at(self, offset: int) -> Source | None:
        """Return where what stands at a place is defined, None where that is nowhere."""
        cursor = self.outline.at(offset)
        reference = reference_at(cursor)
        if reference is not None:
            return _of_token(self._token_of(reference))
        if cursor.path[-1:] == _COMPONENT:
            return self._source_of_component(cursor.text)
        steps = self.outline.steps()
        step_id = cursor.text.partition(".")[0]
        return _of_token(steps.get(cursor.text, steps.get(step_id)))

    # -- what it means -----------------------------------------------------------------------------------

    def _of_name(self, cursor: Cursor) -> str:
        completion = Completion(self.outline, self.registry, is_yaml=False)
        parameters = completion.parameters(cursor)
        texts = {parameter.name: parameter_text(parameter) for parameter in parameters}
        schema = members_at(cursor.path).get(cursor.text, {})
        usual = str(schema.get("description", ""))
        is_input = cursor.path[-1:] == ("inputs",)
        return texts.get(cursor.text, usual) if is_input else usual

    def _of_value(self, cursor: Cursor) -> str:
        ways: Mapping[Path, Callable[[str], str]] = {
            _COMPONENT: self._of_component,
            ("id",): _nothing,
        }
        explain = ways.get(cursor.path[-1:], self._of_step)
        return explain(cursor.text)

    def _of_component(self, reference: str) -> str:
        return component_text(self.registry.find(reference) or NOTHING)

    def _of_step(self, text: str) -> str:
        step_id = text.partition(".")[0]
        if step_id not in self.outline.steps():
            return ""
        component = self._of_component(self.outline.component_of(step_id))
        return f"step `{step_id}`\n\n{component}".strip()

    def _of_reference(self, reference: Reference) -> str:
        root, *rest = (*reference.owner, reference.name)
        if root in _INPUTS:
            return self._of_input(rest)
        texts: Mapping[str, str] = OF_RUNS if root == "workflow" else OF_STEPS
        return texts.get(".".join(rest), "") or self._of_step(root)

    def _of_input(self, parts: list[str]) -> str:
        name = "".join(parts[:1])
        kind = self.outline.value("inputs", name, "type") or "any"
        text = self.outline.value("inputs", name, "description")
        return f"input `{name}`: {kind}\n\n{text}".strip()

    # -- where it is defined -----------------------------------------------------------------------------

    def _token_of(self, reference: Reference) -> Token | None:
        root, *rest = (*reference.owner, reference.name)
        if root in _INPUTS:
            return self.outline.members("inputs").get("".join(rest[:1]))
        return self.outline.steps().get(root)

    def _source_of_component(self, reference: str) -> Source | None:
        if not self.registry.can_run(reference):
            return None
        function: Any = self.registry.resolve(reference).function
        code = getattr(function, "__code__", None)
        file = getattr(code, "co_filename", getattr(function, "source", ""))
        line = getattr(code, "co_firstlineno", 1)
        return Source(file=file, line=line) if file else None


def _nothing(_: str) -> str:
    """Say nothing: an id is what it is."""
    return ""


def _of_token(token: Token | None) -> Source | None:
    if token is None:
        return None
    return Source(token.start, token.end - token.start)
