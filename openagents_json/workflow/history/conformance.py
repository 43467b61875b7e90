"""Whether a plan leads to a recorded history: each event either was a fact, or must be decided again."""

from __future__ import annotations

from collections.abc import Sequence
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


def first_difference(plan: Plan, recorded: Sequence[ev.Event]) -> Difference | None:
    """Return the first decision on record that this plan would not make, None when it would make all of them."""
    state, expected = st.initial(), list[ev.Event]()
    child = _children(recorded)
    course = [
        (version, event)
        for version, event in enumerate(recorded, 1)
        if type(event) not in _NOTES
    ]
    limited = _limited([event for _, event in course])
    for position, (version, event) in enumerate(course, 1):
        path = getattr(event, "step", None)
        if (
            isinstance(path, str)
            and path
            and type(event) not in _FORCED
            and not _known(plan, path)
        ):
            return Difference(
                version, event, None, f"there is no step {path!r} any more"
            )
        if expected and _same(expected[0], event):
            expected.pop(0)
        elif position - 1 in limited or _comes_from_outside(event, expected):
            expected = []
        elif type(event) in CLOSING and plan.persistence.mode == "outcome":
            expected = []  # the steps before the end are not on record: nothing tells whether they led to it
        else:
            now = expected[0] if expected else None
            return Difference(version, event, now, _reason(event, now))
        after = evolve(state, event)
        if after is state:
            return Difference(
                version,
                event,
                None,
                f"{type_name(event)} does not fit the state of the run",
            )
        state = after
        following = course[position][1] if position < len(course) else None
        if not expected and not state.closed and not _more_facts(event, following):
            expected = _decided(plan, state, child)
    return None


def _more_facts(event: ev.Event, following: ev.Event | None) -> bool:
    """Tell whether the next event is a fact too: several are recorded before the decision on all of them."""
    if isinstance(event, ev.RunStarted):
        return isinstance(following, ev.RunQueued)
    if type(event) in _GOES_ON:
        return type(following) in _FACTS or isinstance(following, ev.TimerSet)
    if type(event) in _FORCED:
        return type(following) in _FACTS or type(following) in _FORCED
    return type(event) in _FACTS and type(following) in _FACTS


def _comes_from_outside(event: ev.Event, expected: Sequence[ev.Event]) -> bool:
    if type(event) in _FACTS:
        return True
    return not expected and (type(event) in _FORCED or isinstance(event, ev.TimerSet))


def _limited(course: Sequence[ev.Event]) -> set[int]:
    """Return the places of what happened because a bound was reached, which is a setting of whoever decided."""
    limited = set()
    for index, event in enumerate(course):
        if not is_of_a_bound(getattr(event, "error", None)):
            continue
        first, fails = index, isinstance(event, ev.StepFailed)
        before = (
            (ev.StepScheduled, ev.CompensationScheduled)
            if fails
            else (ev.StepCancelled,)
        )
        while first and isinstance(course[first - 1], before):
            first -= 1
            if fails:
                break
        limited |= set(range(first, index + 1))
    return limited


def _decided(plan: Plan, state: st.RunState, child: dict[str, str]) -> list[ev.Event]:
    try:
        outcome = decision(
            plan, state, cmd.Advance(), None, lambda name: child.get(name, name), NONE
        )
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


def _known(plan: Plan, path: str) -> bool:
    try:
        plan.of(path)
    except KeyError:
        return False
    return True


def _same(expected: ev.Event, event: ev.Event) -> bool:
    if (
        isinstance(event, ev.StepScheduled | ev.CompensationScheduled)
        and event.secrets is None
        and type(expected) is type(event)
    ):
        expected = replace(
            expected, secrets=None
        )  # an older version did not note where secrets stand
    return type(expected) is type(event) and _stored(expected) == _stored(event)


def _stored(event: ev.Event) -> dict[str, bytes]:
    """Return the fields of an event as they are stored: on the log, a tuple is a list like any other."""
    return {name: canonical(value) for name, value in to_data(event).items()}


def _reason(event: ev.Event, now: ev.Event | None) -> str:
    old = f"{type_name(event)} {getattr(event, 'step', '') or ''}".strip()
    if now is None:
        return f"{old} is on record, and nothing would happen now"
    new = f"{type_name(now)} {getattr(now, 'step', '') or ''}".strip()
    if old == new:
        before, after = _stored(event), _stored(now)
        names = sorted(
            k for k in before.keys() | after.keys() if before.get(k) != after.get(k)
        )
        return f"{old} is on record with other {', '.join(names)}"
    return f"{old} is on record, {new} would happen now"
