"""What differs between two runs: the first event, and step by step what went in and came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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
        return not (
            self.first
            or self.inputs
            or self.steps
            or self.output
            or self.status[0] != self.status[1]
        )


def changes_of(one: Json, other: Json, path: str = "") -> Iterator[Change]:
    """Return the values at which two JSON values differ, the smallest ones."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            member_path = f"{path}.{key}" if path else str(key)
            if key not in one or key not in other:
                yield Change(
                    member_path,
                    one.get(key),
                    other.get(key),
                    "one" if key not in one else "other",
                )
            else:
                yield from changes_of(one[key], other[key], member_path)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index in range(max(len(one), len(other))):
            member_path = f"{path}[{index}]"
            if index >= len(one) or index >= len(other):
                here, there = (
                    (one[index], None) if index < len(one) else (None, other[index])
                )
                yield Change(
                    member_path, here, there, "one" if index >= len(one) else "other"
                )
            else:
                yield from changes_of(one[index], other[index], member_path)
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield Change(path, one, other)


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
    return tuple(
        change for change, _ in zip(changes_of(one, other), range(_MOST), strict=False)
    )


def _steps(one: st.RunState, other: st.RunState) -> Iterator[StepDifference]:
    for path in sorted({*one.steps, *other.steps}):
        here, there = one.steps.get(path), other.steps.get(path)
        difference = StepDifference(
            path,
            here.status if here else "",
            there.status if there else "",
            _changes(here.inputs if here else None, there.inputs if there else None),
            _changes(here.output if here else None, there.output if there else None),
            _changes(here.error if here else None, there.error if there else None),
        )
        if (
            difference.one != difference.other
            or difference.inputs
            or difference.output
            or difference.error
        ):
            yield difference


def _first(one: Sequence[ev.Event], other: Sequence[ev.Event]) -> Divergence | None:
    """Return the divergence that comes first in the first run, or else in the second."""
    lanes, others = _lanes(one), _lanes(other)
    divergences: list[tuple[int, int, Divergence]] = []
    for name in lanes.keys() | others.keys():
        mine, theirs = lanes.get(name, []), others.get(name, [])
        for index in range(max(len(mine), len(theirs))):
            here = mine[index] if index < len(mine) else None
            there = theirs[index] if index < len(theirs) else None
            if here is None or there is None or _key(here[1]) != _key(there[1]):
                at = (
                    (here or (len(one) + 1, None))[0],
                    (there or (len(other) + 1, None))[0],
                )
                divergences.append((*at, _divergence(name, here, there)))
                break
    return min(divergences, key=lambda item: item[:2])[2] if divergences else None


_Lane = list[tuple[int, ev.Event]]


def _lanes(happened: Sequence[ev.Event]) -> dict[str, _Lane]:
    """Split a history by step; attempts that were given back or lost are left out, as nothing came of them."""
    lanes: dict[str, _Lane] = {}
    for version, event in enumerate(happened, 1):
        if type(event) not in _INCIDENTAL:
            lanes.setdefault(str(getattr(event, "step", "") or ""), []).append(
                (version, event)
            )
    return lanes


def _data(event: ev.Event) -> dict[str, Json]:
    left_out = _VOLATILE | (
        {"attempt", "definition", "version"}
        if not isinstance(event, ev.RunReopened)
        else set()
    )
    return {
        name: value for name, value in to_data(event).items() if name not in left_out
    }


def _key(event: ev.Event) -> tuple[str, dict[str, Json]]:
    return type_name(event), _data(event)


def _divergence(
    name: str, here: tuple[int, ev.Event] | None, there: tuple[int, ev.Event] | None
) -> Divergence:
    same = here and there and type(here[1]) is type(there[1])
    return Divergence(
        name,
        here[0] if here else None,
        there[0] if there else None,
        type_name(here[1]) if here else "",
        type_name(there[1]) if there else "",
        _changes(_data(here[1]), _data(there[1])) if here and there and same else (),
    )
