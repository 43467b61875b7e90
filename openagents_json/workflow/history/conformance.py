"""Whether a plan leads to a recorded history: each event either was a fact, or must be decided again."""

from __future__ import annotations

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


def first_difference(plan: Plan, recorded: Sequence[ev.Event]) -> Difference | None:
    """Return the first decision on record that this plan would not make, None when it would make all of them."""
    state = st.initial()
    expected: list[ev.Event] = []
    children = _children(recorded)
    versions = enumerate(recorded, 1)
    course = [(version, e) for version, e in versions if type(e) not in _NOTES]
    bounded = _of_bounds([event for _, event in course])
    for index, (version, event) in enumerate(course):
        if _lost_its_step(plan, event):
            reason = f"there is no step {_step_of(event)!r} any more"
            return Difference(version, event, None, reason)
        if expected and _same(expected[0], event):
            expected.pop(0)
        elif index in bounded or _is_given(plan, event, expected):
            expected = []
        else:
            now = expected[0] if expected else None
            return Difference(version, event, now, _reason(event, now))
        after = evolve(state, event)
        if after is state:
            reason = f"{type_name(event)} does not fit the state of the run"
            return Difference(version, event, None, reason)
        state = after
        following = course[index + 1][1] if index + 1 < len(course) else None
        if not (expected or state.closed or _more_facts(event, following)):
            expected = _decided(plan, state, children)
    return None


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


def _more_facts(event: ev.Event, following: ev.Event | None) -> bool:
    """Tell whether the next event is a fact too: several are recorded before the decision on all of them."""
    if isinstance(event, ev.RunStarted):
        return isinstance(following, ev.RunQueued)
    if type(event) in _GOES_ON:
        return type(following) in _FACTS or isinstance(following, ev.TimerSet)
    if type(event) in _FORCED:
        return type(following) in _FACTS or type(following) in _FORCED
    return type(event) in _FACTS and type(following) in _FACTS


def _is_given(plan: Plan, event: ev.Event, expected: Sequence[ev.Event]) -> bool:
    """Tell whether an event is to be taken as it is, as no decision leads to it."""
    if type(event) in _FACTS:
        return True
    # The steps before such an end are not on record: nothing tells whether they led to it.
    if type(event) in CLOSING and plan.persistence.mode == "outcome":
        return True
    return not expected and (type(event) in _FORCED or isinstance(event, ev.TimerSet))


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
        return index - 1 if was_scheduled else index
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
        outcome = decision(plan, state, cmd.Advance(), None, child_id, NONE)
    except cmd.Rejected:
        return []
    return list(outcome.events)


def _children(recorded: Sequence[ev.Event]) -> dict[str, str]:
    """Return the ids of child runs on record, which depend on the store, by what makes them unique."""
    run = recorded[0].run if recorded and isinstance(recorded[0], ev.RunStarted) else ""
    children: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for event in recorded:
        if isinstance(event, ev.ChildStarted):
            numbers[event.step] = numbers.get(event.step, 0) + 1
            children[f"{run}/{event.step}#{numbers[event.step]}"] = event.child
    return children


def _same(expected: ev.Event, event: ev.Event) -> bool:
    if type(expected) is not type(event):
        return False
    return _stored(_as_noted_by(event, expected)) == _stored(event)


def _as_noted_by(event: ev.Event, expected: ev.Event) -> ev.Event:
    """Return what is expected without the places of secrets, if the writer's version did not note them."""
    if not isinstance(expected, _SCHEDULES) or not isinstance(event, _SCHEDULES):
        return expected
    return replace(expected, secrets=None) if event.secrets is None else expected


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
    before, after = _stored(event), _stored(now)
    changed = [
        name
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return f"{old} is on record with other {', '.join(changed)}"


def _shown(event: ev.Event) -> str:
    return f"{type_name(event)} {getattr(event, 'step', '') or ''}".strip()
