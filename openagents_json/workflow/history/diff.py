"""What differs between two runs: the first event, and step by step what went in and came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Final, NamedTuple

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_traits import INCIDENTAL
from openagents_json.workflow.core.event_types import to_data, type_name, types_with
from openagents_json.workflow.types import Json

_VOLATILE = frozenset(
    {"run", "fence", "fences", "worker", "child", "signal", "at_ms", "parent", "labels"}
)
"""What differs from one run to the next by nature."""

_INCIDENTAL: Final = types_with(lambda traits: traits.attempt in INCIDENTAL)

_MOST: Final = 200
"""How many changes of a value are shown: nobody reads more."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs: where, and what it is in the one and in the other; `missing` sides have no such value."""

    path: str
    one: Json
    other: Json
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first event of one run that the other does not have: versions are None where a run has no event there."""

    step: str
    one_version: int | None
    other_version: int | None
    one: str
    other: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class StepDifference:
    """A step that went another way: its status in both runs ("" where it never began), and what differs."""

    step: str
    one: str
    other: str
    inputs: tuple[Change, ...]
    output: tuple[Change, ...]
    error: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side."""

    first: Divergence | None
    status: tuple[str, str]
    inputs: tuple[Change, ...]
    steps: tuple[StepDifference, ...]
    output: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Tell whether nothing differs."""
        one, other = self.status
        differences = (self.first, self.inputs, self.steps, self.output)
        return one == other and not any(differences)


def changes_of(one: Json, other: Json, path: str = "") -> Iterator[Change]:
    """Return the values at which two JSON values differ, the smallest ones."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = sorted({*one, *other})
        paths = {name: f"{path}.{name}" if path else str(name) for name in names}
        yield from _changes_of_members(one, other, paths)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        indexes = range(max(len(one), len(other)))
        paths = {index: f"{path}[{index}]" for index in indexes}
        here, there = dict(enumerate(one)), dict(enumerate(other))
        yield from _changes_of_members(here, there, paths)
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield Change(path, one, other)


def _changes_of_members(
    one: Mapping[Any, Json], other: Mapping[Any, Json], paths: Mapping[Any, str]
) -> Iterator[Change]:
    for key, path in paths.items():
        if key not in one:
            yield Change(path, None, other[key], "one")
        elif key not in other:
            yield Change(path, one[key], None, "other")
        else:
            yield from changes_of(one[key], other[key], path)


def compare(
    one: Sequence[ev.Event],
    other: Sequence[ev.Event],
    ends: tuple[st.RunState, st.RunState],
) -> Comparison:
    """Compare two histories, `ends` being what they come to.

    Steps that ran side by side may have done so in any order: what is compared is the sequence of each step.
    """
    first, second = ends
    return Comparison(
        _first(one, other),
        (first.status, second.status),
        _changes(first.inputs, second.inputs),
        tuple(_steps(first, second)),
        _changes(first.output, second.output),
    )


def _changes(one: Json, other: Json) -> tuple[Change, ...]:
    return tuple(islice(changes_of(one, other), _MOST))


def _steps(one: st.RunState, other: st.RunState) -> Iterator[StepDifference]:
    for path in sorted({*one.steps, *other.steps}):
        here = _outcome_of(one.steps.get(path))
        there = _outcome_of(other.steps.get(path))
        difference = StepDifference(
            path,
            here.status,
            there.status,
            _changes(here.inputs, there.inputs),
            _changes(here.output, there.output),
            _changes(here.error, there.error),
        )
        if _differs(difference):
            yield difference


class _StepOutcome(NamedTuple):
    """What is compared of a step; nothing, where it never began."""

    status: str = ""
    inputs: Json = None
    output: Json = None
    error: Json = None


def _outcome_of(step: st.StepState | None) -> _StepOutcome:
    if step is None:
        return _StepOutcome()
    return _StepOutcome(step.status, step.inputs, step.output, step.error)


def _differs(step: StepDifference) -> bool:
    changes = (step.inputs, step.output, step.error)
    return step.one != step.other or any(changes)


_Entry = tuple[int, ev.Event]
"""An event, with its version."""


def _first(one: Sequence[ev.Event], other: Sequence[ev.Event]) -> Divergence | None:
    """Return the divergence that comes first in the first run, or else in the second."""
    lanes, others = _lanes(one), _lanes(other)
    divergences: list[tuple[int, int, Divergence]] = []
    for name in lanes.keys() | others.keys():
        entries = _first_apart(lanes.get(name, []), others.get(name, []))
        if entries is None:
            continue
        here, there = entries
        version = here[0] if here else len(one) + 1
        other_version = there[0] if there else len(other) + 1
        divergence = _divergence(name, here, there)
        divergences.append((version, other_version, divergence))
    first = min(divergences, key=lambda item: item[:2], default=None)
    return None if first is None else first[2]


def _first_apart(
    lane: Sequence[_Entry], other: Sequence[_Entry]
) -> tuple[_Entry | None, _Entry | None] | None:
    """Return the first entries of two lanes that are not alike, None for one that is not there."""
    for here, there in zip_longest(lane, other):
        if here is None or there is None or _key(here[1]) != _key(there[1]):
            return here, there
    return None


def _lanes(events: Sequence[ev.Event]) -> dict[str, list[_Entry]]:
    """Split a history by step; attempts that were given back or lost are left out, as nothing came of them."""
    lanes: dict[str, list[_Entry]] = {}
    for version, event in enumerate(events, 1):
        if type(event) in _INCIDENTAL:
            continue
        step = str(getattr(event, "step", "") or "")
        lanes.setdefault(step, []).append((version, event))
    return lanes


def _data(event: ev.Event) -> dict[str, Json]:
    left_out = _VOLATILE
    if not isinstance(event, ev.RunReopened):
        left_out |= {"attempt", "definition", "version"}
    data = to_data(event)
    return {name: value for name, value in data.items() if name not in left_out}


def _key(event: ev.Event) -> tuple[str, dict[str, Json]]:
    return type_name(event), _data(event)


def _divergence(name: str, here: _Entry | None, there: _Entry | None) -> Divergence:
    version, event = here or (None, None)
    other_version, other_event = there or (None, None)
    changes: tuple[Change, ...] = ()
    if event is not None and type(event) is type(other_event):
        changes = _changes(_data(event), _data(other_event))
    return Divergence(
        name,
        version,
        other_version,
        "" if event is None else type_name(event),
        "" if other_event is None else type_name(other_event),
        changes,
    )
