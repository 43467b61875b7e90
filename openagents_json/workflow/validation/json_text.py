"""A JSON text that is edited: after a change inside of one step, only that step is parsed and placed again."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from openagents_json.workflow.errors import NotADocument
from openagents_json.workflow.language.parse import (
    Source,
    item_spans,
    lines_of,
    offsets,
    parse,
)
from openagents_json.workflow.validation.part_checks import STEPS

_ITEM: Final = re.compile(rf"/{STEPS}/(\d+)(?:/|\Z)")


class Edit(NamedTuple):
    """A step of a text that has changed, and nothing around it."""

    number: int
    text: JsonText


_MOST_SHIFTS: Final = 16
"""Edits of so many steps are added up each time that a place is asked for; more are added to all places once."""


class _Spans:
    """Where each step is in a text that is edited; `grown` says by how much some steps have become longer."""

    def __init__(
        self,
        spans: Sequence[tuple[int, int]],
        grown: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._spans = spans
        self._grown = grown

    def __len__(self) -> int:
        """Return how many steps there are."""
        return len(self._spans)

    def __getitem__(self, index: int) -> tuple[int, int]:
        """Return where a step begins and ends."""
        start, stop = self._spans[index]
        before = sum(size for number, size in self._grown.items() if number < index)
        return start + before, stop + before + self._grown.get(index, 0)

    def last_before(self, offset: int) -> int:
        """Return which step is the last that begins before a place, -1 for none."""
        numbers = range(len(self))
        return bisect_left(numbers, offset, key=lambda index: self[index][0]) - 1

    def with_growth(self, index: int, size: int) -> _Spans:
        """Return where the steps are when one has grown by so many characters."""
        grown = {**self._grown, index: self._grown.get(index, 0) + size}
        spans = _Spans(self._spans, grown)
        if len(grown) <= _MOST_SHIFTS:
            return spans
        return _Spans([spans[number] for number in range(len(spans))])


class JsonText:
    """A text with its value, and where its steps are in it."""

    def __init__(self, text: str, value: Mapping[str, Any], spans: _Spans) -> None:
        self.text = text
        self.value = value
        self._spans = spans
        self._in_steps: list[dict[str, int] | None] = [None] * len(spans)
        self._elsewhere: dict[str, int] = {}

    def source(self) -> Source:
        """Return the text as a document."""
        return Source(self.value, self.positions)

    # -- edits -------------------------------------------------------------------------------------------

    def edited(self, text: str) -> Edit | None:
        """Return what a text is after an edit inside of one step, None when it is another edit."""
        first, behind = _change(self.text, text)
        end = len(self.text) - behind
        index = self._spans.last_before(first)
        if index < 0:
            return None
        start, stop = self._spans[index]
        # Its braces are where they were: whatever is before and behind them is read as it was.
        if not start < first <= end < stop:
            return None
        grown = len(text) - len(self.text)
        step = _object_of(text[start : stop + grown])
        return None if step is None else Edit(index, self._with(text, index, step))

    def _with(self, text: str, index: int, step: Mapping[str, Any]) -> JsonText:
        steps = [*self.value[STEPS]]
        steps[index] = step
        grown = len(text) - len(self.text)
        start, _ = self._spans[index]
        spans = self._spans.with_growth(index, grown)
        edited = JsonText(text, {**self.value, STEPS: steps}, spans)
        edited._in_steps = [*self._in_steps]
        edited._in_steps[index] = None
        edited._elsewhere = {
            pointer: at if at <= start else at + grown
            for pointer, at in self._elsewhere.items()
        }
        return edited

    # -- starts ------------------------------------------------------------------------------------------

    def positions(self, pointers: Iterable[str]) -> Mapping[str, tuple[int, int]]:
        """Return line and column of the values at pointers, or of the nearest around each that exists."""
        starts = self._offsets([*pointers])
        lines = lines_of(self.text, set(starts.values()))
        return {pointer: lines[at] for pointer, at in starts.items()}

    def _offsets(self, pointers: list[str]) -> dict[str, int]:
        by_step: dict[int, list[str]] = {}
        elsewhere = []
        for pointer in pointers:
            index = self._step_of(pointer)
            if index is None:
                elsewhere.append(pointer)
            else:
                by_step.setdefault(index, []).append(pointer)
        starts = self._offsets_elsewhere(elsewhere)
        for index, inside in by_step.items():
            starts.update(self._offsets_in(index, inside))
        return starts

    def _step_of(self, pointer: str) -> int | None:
        match = _ITEM.match(pointer)
        index = int(match[1]) if match else len(self._spans)
        return index if index < len(self._spans) else None

    def _offsets_elsewhere(self, pointers: list[str]) -> dict[str, int]:
        new = [pointer for pointer in pointers if pointer not in self._elsewhere]
        if new:
            self._elsewhere.update(offsets(self.text, new))
        return {pointer: self._elsewhere[pointer] for pointer in pointers}

    def _offsets_in(self, index: int, pointers: list[str]) -> dict[str, int]:
        start, stop = self._spans[index]
        base = len(f"/{STEPS}/{index}")
        inside = self._in_steps[index] or {}
        relative = {pointer: pointer[base:] for pointer in pointers}
        new = [at for at in relative.values() if at not in inside]
        if new:
            inside = {**inside, **offsets(self.text[start:stop], new)}
            self._in_steps[index] = inside
        return {pointer: start + inside[at] for pointer, at in relative.items()}


def json_text(text: str, value: Any) -> JsonText | None:
    """Return a text as one that may be edited, None for a document that has no steps."""
    if not isinstance(value, dict) or not isinstance(value.get(STEPS), list):
        return None
    spans = item_spans(text, STEPS)
    return (
        JsonText(text, value, _Spans(spans))
        if len(spans) == len(value[STEPS])
        else None
    )


def _object_of(text: str) -> Mapping[str, Any] | None:
    """Return the object that a text is, None for any other, and for one in which a name stands twice."""
    try:
        value, _, doubled = parse(text)
    except NotADocument:
        return None
    return value if isinstance(value, dict) and not doubled else None


def _change(old: str, new: str) -> tuple[int, int]:
    """Return how many characters two texts have in common before and behind what differs."""
    shorter = min(len(old), len(new))
    first = _common(shorter, lambda at, to: old[at:to] == new[at:to])
    behind = _common(
        shorter - first,
        lambda at, to: (
            old[len(old) - to : len(old) - at] == new[len(new) - to : len(new) - at]
        ),
    )
    return first, behind


def _common(most: int, is_same: Any) -> int:
    """Return the length up to which two texts are the same, by halves: what is the same is compared once."""
    same, differs = 0, most + 1
    while same + 1 < differs:
        middle = (same + differs) // 2
        if is_same(same, middle):
            same = middle
        else:
            differs = middle
    return same
