"""Nodes from the events of a YAML parser, without recursion: none is nested deeper, or says more, than a document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from openagents_json.workflow.errors import NotADocument
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.parse import MAX_DEPTH, TOO_DEEP, Flaw
from openagents_json.workflow.language.sizes import MAX_VALUES
from openagents_json.workflow.language.yaml_text.nodes import Node
from openagents_json.workflow.language.yaml_text.words import advice_for, meaning

_MERGE: Final = "<<"


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet."""

    content: list[Node] | dict[str, Node]
    line: int
    column: int
    anchor: str | None
    name: str | None = None
    """The name of the member whose value comes next."""

    height: int = 0
    size: int = 1

    def node(self) -> Node:
        return Node(
            content=self.content,
            line=self.line,
            column=self.column,
            height=self.height,
            size=self.size,
        )

    def part(self) -> str:
        """Return what stands for the next member in a pointer."""
        if isinstance(self.content, list):
            return str(len(self.content))
        return self.name or ""


@dataclass(slots=True)
class Builder:
    """Takes the events of one document."""

    root: Node | None = None
    flaws: list[Flaw] = field(default_factory=list)
    doubled: set[str] = field(default_factory=set)
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, Node] = field(default_factory=dict)
    _values: int = 0

    def take(self, event: Any) -> None:
        """Take the next event.

        Raises NotADocument.
        """
        take = _TAKEN.get(type(event))
        if take is not None:
            take(self, event)

    def _begin_document(self, event: Any) -> None:
        if self.root is not None:
            raise _refused(
                event, "a second document begins here; write each to a file of its own"
            )

    def _begin(self, event: Any) -> None:
        _refuse_tag(event)
        self._refuse_as_name(event)
        if len(self._open) >= MAX_DEPTH:
            raise _refused(event, TOO_DEEP, "too_deep")
        content: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._count(event, 1)
        self._open.append(_Open(content, *_position(event), event.anchor))

    def _end(self, _: Any) -> None:
        ended = self._open.pop()
        node = ended.node()
        if ended.anchor is not None:
            self._anchors[ended.anchor] = node
        self._put(node)

    def _scalar(self, event: Any) -> None:
        _refuse_tag(event)
        if self._is_name_next():
            self._name(event)
            return
        self._count(event, 1)
        node = Node(self._value(event), *_position(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._put(node)

    def _value(self, event: Any) -> Any:
        is_plain = not event.style
        if not is_plain:
            return event.value
        advice = advice_for(event.value)
        if advice:
            self._note(
                event, f"{event.value!r} can be read in more than one way; {advice}"
            )
            return event.value
        try:
            return meaning(event.value)
        except ValueError as error:  # a number with more digits than Python reads
            raise _refused(event, str(error).split(";")[0]) from error

    def _name(self, event: Any) -> None:
        mapping = self._open[-1]
        name = event.value
        is_plain = not event.style
        if is_plain and name == "":
            raise _refused(
                event, 'a name is missing before the colon; an empty one is written ""'
            )
        if is_plain and name == _MERGE:
            raise _refused(
                event,
                "members are not merged with <<; repeat them, or use step_templates",
            )
        if name in mapping.content:
            self.doubled.add(name)
        mapping.name = name

    def _alias(self, event: Any) -> None:
        self._refuse_as_name(event)
        node = self._anchors.get(event.anchor)
        if node is None:
            raise _refused(
                event, f"*{event.anchor} stands for nothing that ends before it"
            )
        if len(self._open) + node.height > MAX_DEPTH:
            raise _refused(event, TOO_DEEP, "too_deep")
        self._count(event, node.size)
        self._put(node)

    def _put(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        container = self._open[-1]
        container.height = max(container.height, node.height + 1)
        container.size += node.size
        if isinstance(container.content, list):
            container.content.append(node)
        elif container.name is not None:
            container.content[container.name] = node
            container.name = None

    def _count(self, event: Any, values: int) -> None:
        """Count values before they are held: an alias of aliases says much in few characters."""
        self._values += values
        if self._values > MAX_VALUES:
            raise _refused(
                event, f"it has more than {MAX_VALUES:,} values", "too_large"
            )

    def _is_name_next(self) -> bool:
        if not self._open:
            return False
        container = self._open[-1]
        return isinstance(container.content, dict) and container.name is None

    def _refuse_as_name(self, event: Any) -> None:
        if self._is_name_next():
            raise _refused(event, "the name of a member must be a text")

    def _note(self, event: Any, message: str) -> None:
        pointer = "".join(f"/{escape(container.part())}" for container in self._open)
        line, column = _position(event)
        self.flaws.append(
            Flaw(
                code="ambiguous_word",
                pointer=pointer,
                message=message,
                text=event.value,
                line=line,
                column=column,
            )
        )


_TAKEN: Final[dict[type, Callable[[Builder, Any], None]]] = {
    yaml.DocumentStartEvent: Builder._begin_document,
    yaml.MappingStartEvent: Builder._begin,
    yaml.SequenceStartEvent: Builder._begin,
    yaml.MappingEndEvent: Builder._end,
    yaml.SequenceEndEvent: Builder._end,
    yaml.ScalarEvent: Builder._scalar,
    yaml.AliasEvent: Builder._alias,
}
"""What is done with an event; the others say nothing of the document."""


def _refuse_tag(event: Any) -> None:
    if event.tag is not None:
        raise _refused(
            event, f"tags as {event.tag} are not read; write the value as JSON has it"
        )


def _position(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _refused(event: Any, reason: str, problem: str = "invalid_yaml") -> NotADocument:
    return NotADocument(reason, *_position(event), problem=problem)
