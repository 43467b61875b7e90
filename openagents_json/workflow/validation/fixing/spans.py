"""Where in a text the name and the value of a member begin and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import yaml

from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.parse import value_span

Span = tuple[int, int]


_NOWHERE: Final[Span] = (0, 0)


class MemberSpans(NamedTuple):
    """Where the value at a pointer is, and the name in front of it; an item of an array has none."""

    value: Span
    name: Span = _NOWHERE


def unescape(key: str) -> str:
    """Return the name that a segment of a JSON pointer stands for (RFC 6901)."""
    return key.replace("~1", "/").replace("~0", "~")


def json_spans(text: str, pointer: str) -> MemberSpans:
    """Return where a member is in a text of JSON.

    Raises LookupError.
    """
    value = value_span(text, pointer)
    if value is None:
        raise LookupError(pointer)
    before = text[: value[0]].rstrip().removesuffix(":").rstrip()
    name = f'"{unescape(pointer.rpartition("/")[2])}"'
    end = len(before)
    # A name that is written with escapes is not looked for.
    is_plain = before.endswith(name)
    return MemberSpans(value, (end - len(name), end) if is_plain else _NOWHERE)


def yaml_spans(text: str, pointer: str) -> MemberSpans:
    """Return where a member is in a text of YAML; of what stands there by an alias, it is where the alias is.

    Raises LookupError.
    """
    walk = _Walk()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        take = _TAKEN.get(type(event), _Walk.pass_over)
        take(walk, event)
    return walk.members[pointer]


@dataclass(slots=True)
class _Open:
    """A mapping or a sequence whose end has not come yet."""

    pointer: str
    is_mapping: bool
    count: int = 0
    name: Any = None
    """The event of the name whose value comes next."""

    def next_pointer(self) -> str:
        """Return the pointer of what comes next in it."""
        part = str(self.count)
        if self.is_mapping:
            part = escape(getattr(self.name, "value", ""))
        return f"{self.pointer}/{part}"


@dataclass(slots=True)
class _Walk:
    members: dict[str, MemberSpans] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)

    def pass_over(self, _: Any) -> None:
        """Leave out an event that says nothing of a member."""

    def begin(self, event: Any) -> None:
        """Take the beginning of a mapping or of a sequence."""
        pointer = self._open[-1].next_pointer() if self._open else ""
        self.put(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(pointer, is_mapping))

    def end(self, _: Any) -> None:
        """Take the end of a mapping or of a sequence."""
        self._open.pop()

    def put(self, event: Any) -> None:
        """Take a name, or a value."""
        if not self._open:
            return
        around = self._open[-1]
        if around.is_mapping and around.name is None:
            around.name = event
            return
        pointer = around.next_pointer()
        self.members[pointer] = MemberSpans(
            value=_span(event),
            name=_span(around.name),
        )
        around.count += 1
        around.name = None


_TAKEN: Final[dict[type, Callable[[_Walk, Any], None]]] = {
    yaml.MappingStartEvent: _Walk.begin,
    yaml.SequenceStartEvent: _Walk.begin,
    yaml.MappingEndEvent: _Walk.end,
    yaml.SequenceEndEvent: _Walk.end,
    yaml.ScalarEvent: _Walk.put,
    yaml.AliasEvent: _Walk.put,
}


def _span(event: Any) -> Span:
    if event is None:
        return _NOWHERE
    start = event.start_mark
    end = event.end_mark
    return start.index, end.index
