"""What differs between two runs: the first event, and step by step what went in and came out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Final, NamedTuple

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_traits import INCIDENTAL
from openagents_json.workflow.core.event_types import to_data, type_name, types_with
from openagents_json.workflow.history.builds import BuildDifference
from openagents_json.workflow.types import Json

_VOLATILE = frozenset(
    {
        "run",
        "fence",
        "fences",
        "worker",
        "build",
        "child",
        "signal",
        "at_ms",
        "parent",
        "labels",
    }
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
    """Two runs side by side; other `builds` of components are told, and are no difference by themselves."""

    first: Divergence | None
    status: tuple[str, str]
    inputs: tuple[Change, ...]
    steps: tuple[StepDifference, ...]
    output: tuple[Change, ...]
    builds: tuple[BuildDifference, ...] = ()

    @property
    def same(self) -> bool:
        """Tell whether nothing differs."""
        one, other = self.status
        differences = (self.first, self.inputs, self.steps, self.output)
        return one == other and not any(differences)


def changes_of(one: Json, other: Json, path: str = "") -> Iterator[Change]:
    """Return the values at which two JSON values differ, the smallest ones."""
    match one, other:
        case Mapping(), Mapping():
            prefix = f"{path}." if path else ""
            paths = {name: f"{prefix}{name}" for name in sorted({*one, *other})}
            yield from _changes_of_members(one, other, paths)
        case list() | tuple(), list() | tuple():
            here = dict(enumerate(one))
            there = dict(enumerate(other))
            paths = {index: f"{path}[{index}]" for index in here | there}
            yield from _changes_of_members(here, there, paths)
        case _:
            # True equals 1, and is another value.
            if one != other or isinstance(one, bool) != isinstance(other, bool):
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
        first=_first(one, other),
        status=(first.status, second.status),
        inputs=_changes(first.inputs, second.inputs),
        steps=tuple(_steps(first, second)),
        output=_changes(first.output, second.output),
    )


def _changes(one: Json, other: Json) -> tuple[Change, ...]:
    return tuple(islice(changes_of(one, other), _MOST))


def _steps(one: st.RunState, other: st.RunState) -> Iterator[StepDifference]:
    for path in sorted({*one.steps, *other.steps}):
        here = _outcome_of(one.steps.get(path))
        there = _outcome_of(other.steps.get(path))
        difference = StepDifference(
            step=path,
            one=here.status,
            other=there.status,
            inputs=_changes(here.inputs, there.inputs),
            output=_changes(here.output, there.output),
            error=_changes(here.error, there.error),
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


class _Entry(NamedTuple):
    """An event, with its version; behind the last one of a lane there is none."""

    version: int | None = None
    event: ev.Event | None = None

    @property
    def kind(self) -> str:
        """Return the type of the event, empty where there is none."""
        return "" if self.event is None else type_name(self.event)

    @property
    def data(self) -> dict[str, Json]:
        """Return what may not differ in the other run."""
        return {} if self.event is None else _data(self.event)


_NO_ENTRY: Final = _Entry()


def _first(one: Sequence[ev.Event], other: Sequence[ev.Event]) -> Divergence | None:
    """Return the divergence that comes first in the first run, or else in the second."""
    lanes, others = _lanes(one), _lanes(other)
    divergences: list[Divergence] = []
    for name in lanes.keys() | others.keys():
        divergence = _first_apart(name, lanes[name], others[name])
        if divergence is not None:
            divergences.append(divergence)

    def order(divergence: Divergence) -> tuple[int, int]:
        behind, other_behind = len(one) + 1, len(other) + 1
        version = divergence.one_version or behind
        return version, divergence.other_version or other_behind

    return min(divergences, key=order, default=None)


def _first_apart(
    name: str, lane: Sequence[_Entry], other: Sequence[_Entry]
) -> Divergence | None:
    """Return where two lanes are not alike any more."""
    for here, there in zip_longest(lane, other, fillvalue=_NO_ENTRY):
        if here.kind != there.kind or here.data != there.data:
            return _divergence(name, here, there)
    return None


def _lanes(events: Sequence[ev.Event]) -> defaultdict[str, list[_Entry]]:
    """Split a history by step; attempts that were given back or lost are left out, as nothing came of them."""
    lanes: defaultdict[str, list[_Entry]] = defaultdict(list)
    for version, event in enumerate(events, 1):
        if type(event) not in _INCIDENTAL:
            step = str(getattr(event, "step", None) or "")
            lanes[step].append(_Entry(version, event))
    return lanes


def _data(event: ev.Event) -> dict[str, Json]:
    left_out = _VOLATILE
    if not isinstance(event, ev.RunReopened):
        left_out |= {"attempt", "definition", "version"}
    data = to_data(event)
    return {name: value for name, value in data.items() if name not in left_out}


def _divergence(name: str, here: _Entry, there: _Entry) -> Divergence:
    changes: tuple[Change, ...] = ()
    if here.kind == there.kind:
        changes = _changes(here.data, there.data)
    return Divergence(
        step=name,
        one_version=here.version,
        other_version=there.version,
        one=here.kind,
        other=there.kind,
        changes=changes,
    )
