"""Whether a plan leads to a recorded history: each event either was a fact, or must be decided again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import NONE, is_of_a_bound
from openagents_json.workflow.core.decide.decider import decision
from openagents_json.workflow.core.event_traits import Origin, Phase
from openagents_json.workflow.core.event_types import (
    CLOSING,
    to_data,
    type_name,
    types_with,
)
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.plan import Plan, canonical


@dataclass(frozen=True, slots=True)
class Difference:
    """The first event that a plan would not lead to; `now` is what it would lead to instead."""

    version: int
    recorded: ev.Event | None
    now: ev.Event | None
    reason: str


_FACTS: Final = types_with(lambda traits: traits.origin is Origin.FACT)
"""Events that come from outside: workers, people and time. What follows from them is decided."""

_NOTES: Final = types_with(lambda traits: traits.origin is Origin.NOTE)
"""Events that say something about the run and change nothing of its course."""

_FORCED: Final = types_with(lambda traits: traits.origin is Origin.FORCED)
"""Events that may follow from a command that left no event of its own, such as a limit of the run."""

_GOES_ON: Final = types_with(lambda traits: traits.phase is Phase.OPENS) - {
    ev.RunStarted
} | {ev.TimerSet}
"""Events behind which the time limits of steps that hold others begin anew."""

_SCHEDULES: Final = (ev.StepScheduled, ev.CompensationScheduled)

_STORED_WITH: Final[Mapping[type[ev.Event], frozenset[type[ev.Event]]]] = (
    dict.fromkeys(_FACTS, _FACTS)
    | dict.fromkeys(_FORCED, _FACTS | _FORCED)
    | dict.fromkeys(_GOES_ON, _FACTS | {ev.TimerSet})
    | {ev.RunStarted: frozenset({ev.RunQueued})}
)
"""The type of an event -> those that may come behind it before anything is decided on both."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """An event on record, and the next one; `of_bound` tells that it happened because a bound was reached."""

    version: int
    event: ev.Event
    following: ev.Event | None
    of_bound: bool


def first_difference(plan: Plan, recorded: Sequence[ev.Event]) -> Difference | None:
    """Return the first decision on record that this plan would not make, None when it would make all of them."""
    state = st.initial()
    expected: list[ev.Event] = []
    children = _children(recorded)
    for entry in _course(recorded):
        event = entry.event
        if _lost_its_step(plan, event):
            reason = f"there is no step {_step_of(event)!r} any more"
            return Difference(
                version=entry.version, recorded=event, now=None, reason=reason
            )
        if _is_first(event, expected):
            expected.pop(0)
        elif entry.of_bound or _is_given(plan, event, expected):
            expected = []
        else:
            now = next(iter(expected), None)
            return Difference(
                version=entry.version,
                recorded=event,
                now=now,
                reason=_reason(event, now),
            )
        after = evolve(state, event)
        if after is state:
            reason = f"{type_name(event)} does not fit the state of the run"
            return Difference(
                version=entry.version, recorded=event, now=None, reason=reason
            )
        state = after
        is_open = not state.closed
        is_undecided = is_open and not expected and not _more_facts(entry)
        if is_undecided:
            expected = _decided(plan, state, children)
    return None


def _course(recorded: Sequence[ev.Event]) -> list[_Recorded]:
    """Return what is on record, without what changes nothing of the course of the run."""
    versions = enumerate(recorded, 1)
    course = [entry for entry in versions if type(entry[1]) not in _NOTES]
    events = [event for _, event in course]
    bounded = _of_bounds(events)
    followers = [*events[1:], None]
    return [
        _Recorded(version, event, followers[index], index in bounded)
        for index, (version, event) in enumerate(course)
    ]


def _step_of(event: ev.Event) -> str:
    """Return the step that an event is about, "" where it is about none."""
    step = getattr(event, "step", None)
    return step if isinstance(step, str) else ""


def _lost_its_step(plan: Plan, event: ev.Event) -> bool:
    """Tell whether an event is about a step that a plan does not have."""
    step = _step_of(event)
    if not step or type(event) in _FORCED:
        return False
    try:
        plan.of(step)
    except KeyError:
        return True
    return False


def _more_facts(entry: _Recorded) -> bool:
    """Tell whether the next event is a fact too: several are recorded before the decision on all of them."""
    stored_with = _STORED_WITH.get(type(entry.event), frozenset())
    return type(entry.following) in stored_with


def _is_given(plan: Plan, event: ev.Event, expected: Sequence[ev.Event]) -> bool:
    """Tell whether an event is to be taken as it is, as no decision leads to it."""
    kind = type(event)
    if kind in _FACTS:
        return True
    # The steps before such an end are not on record: nothing tells whether they led to it.
    if kind in CLOSING and plan.persistence.mode == "outcome":
        return True
    may_be_forced = kind in _FORCED or kind is ev.TimerSet
    return may_be_forced and not expected


def _of_bounds(course: Sequence[ev.Event]) -> set[int]:
    """Return the indexes of what happened because a bound was reached, which is a setting of whoever decided."""
    indexes: set[int] = set()
    for index, event in enumerate(course):
        if is_of_a_bound(getattr(event, "error", None)):
            first = _first_of_bound(course, index)
            indexes.update(range(first, index + 1))
    return indexes


def _first_of_bound(course: Sequence[ev.Event], index: int) -> int:
    """Return where that begins which ends in an event: with the attempt that fails, or with all that is cancelled."""
    if isinstance(course[index], ev.StepFailed):
        was_scheduled = index > 0 and isinstance(course[index - 1], _SCHEDULES)
        if was_scheduled:
            return index - 1
        return index
    while index and isinstance(course[index - 1], ev.StepCancelled):
        index -= 1
    return index


def _decided(
    plan: Plan, state: st.RunState, children: Mapping[str, str]
) -> list[ev.Event]:
    """Return what a plan would decide now; children have the ids that are on record."""

    def child_id(name: str) -> str:
        return children.get(name, name)

    try:
        outcome = decision(
            plan=plan,
            state=state,
            command=cmd.Advance(),
            refused=None,
            child=child_id,
            bounds=NONE,
        )
    except cmd.Rejected:
        return []
    return list(outcome.events)


def _children(recorded: Sequence[ev.Event]) -> dict[str, str]:
    """Return the ids of child runs on record, which depend on the store, by what makes them unique."""
    first = next(iter(recorded), None)
    run = first.run if isinstance(first, ev.RunStarted) else ""
    children: dict[str, str] = {}
    counts = Counter[str]()
    for event in recorded:
        if isinstance(event, ev.ChildStarted):
            counts[event.step] += 1
            name = f"{run}/{event.step}#{counts[event.step]}"
            children[name] = event.child
    return children


def _is_first(event: ev.Event, expected: Sequence[ev.Event]) -> bool:
    """Tell whether an event is the one that is expected next."""
    following = next(iter(expected), None)
    if following is None or type(following) is not type(event):
        return False
    noted = _as_noted_by(event, following)
    return _stored(noted) == _stored(event)


def _as_noted_by(event: ev.Event, expected: ev.Event) -> ev.Event:
    """Return what is expected without the places of secrets, if the writer's version did not note them."""
    if not isinstance(expected, _SCHEDULES) or not isinstance(event, _SCHEDULES):
        return expected
    if event.secrets is None:
        return replace(expected, secrets=None)
    return expected


def _stored(event: ev.Event) -> dict[str, bytes]:
    """Return the fields of an event as they are stored: on the log, a tuple is a list like any other."""
    return {name: canonical(value) for name, value in to_data(event).items()}


def _reason(event: ev.Event, now: ev.Event | None) -> str:
    old = _shown(event)
    if now is None:
        return f"{old} is on record, and nothing would happen now"
    new = _shown(now)
    if old != new:
        return f"{old} is on record, {new} would happen now"
    apart = _stored(event).items() ^ _stored(now).items()
    names = sorted({name for name, _ in apart})
    return f"{old} is on record with other {', '.join(names)}"


def _shown(event: ev.Event) -> str:
    step = getattr(event, "step", None) or ""
    return f"{type_name(event)} {step}".strip()
