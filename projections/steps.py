"""The view of steps: those under way anywhere, and what was counted of each component."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from eventstore.event import Json, Recorded
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_traits import Attempt
from openagents_json.workflow.core.event_types import (
    CLOSED_AS,
    DEFINES,
    SCHEDULES,
    names_by_attempt,
)
from projections.projection import Counted, Projection, counted_before
from projections.quantiles import bucket, quantile

ComponentOf = Callable[[str, str], str]
"""(hash of a definition, step) -> the component that the step runs, "" when it runs none."""

_COUNTED: Final = names_by_attempt(
    {
        Attempt.COMPLETED: "completed",
        Attempt.FAILED: "failed",
        Attempt.TIMED_OUT: "failed",
        Attempt.LOST: "lost",
        Attempt.GIVEN_BACK: "released",
        Attempt.BEGUN: None,
        Attempt.CANCELLED: None,
        Attempt.OVERRIDDEN: None,
        Attempt.LATE: None,
    }
)
"""The name of an event -> how an attempt of a component ended with it."""


Steps = dict[str, Any]
"""The open steps of a run, by name."""

BeginOf = Callable[[str], Mapping[str, Any]]
"""Run -> the data of its first event."""


def steps_projection(component_of: ComponentOf, begin_of: BeginOf) -> Projection:
    """Make the projection of steps; what it is given must depend on its arguments alone.

    A document holds the open steps of a run: what they wait for, since when, and the attempt and worker.
    """

    def apply(
        run: dict[str, Any] | None, event: Recorded
    ) -> dict[str, Any] | Counted | None:
        if event.type in DEFINES:
            begin = (
                event.data
                if event.type == ev.RunStarted.__name__
                else begin_of(event.stream)
            )
            definition = event.data.get("definition") or (run or begin)["definition"]
            return {
                "workflow": begin["workflow"],
                "definition": definition,
                "steps": {},
            }
        if run is None or event.type in CLOSED_AS:
            return None
        counts = (
            counted(run, event)
            if event.type in _COUNTED and not counted_before(event)
            else None
        )
        MOVES[event.type](run["steps"], event)
        return Counted(run, counts) if counts else run

    def counted(run: Mapping[str, Any], event: Recorded) -> dict[str, int] | None:
        step, end = event.data["step"], _COUNTED[event.type]
        known = run["steps"].get(step)
        if known is None or known["status"] != "started":
            return None
        component = component_of(run["definition"], step)
        if not component:
            return None
        if end not in ("completed", "failed"):
            return {f"{component}|{end}": 1}
        return {
            f"{component}|{end}": 1,
            f"{component}|ms|{bucket(event.time_ms - known['since_ms'])}": 1,
        }

    return Projection("steps", apply, types=TYPES)


def _name(event: Recorded) -> str:
    return str(event.data[SCHEDULES.get(event.type, "step")])


def _scheduled(steps: Steps, event: Recorded) -> None:
    status = event.data.get("kind") or (
        "gated" if event.data.get("gates") else "scheduled"
    )
    steps[_name(event)] = {"status": status, "since_ms": event.time_ms}


def _started(steps: Steps, event: Recorded) -> None:
    attempt = {name: event.data[name] for name in ("attempt", "worker")}
    steps[_name(event)] = {"status": "started", "since_ms": event.time_ms, **attempt}


def _failed(steps: Steps, event: Recorded) -> None:
    if event.data.get("retry_ms") is None:
        _over(steps, event)
    else:
        _waits("retrying", steps, event)


def _over(steps: Steps, event: Recorded) -> None:
    steps.pop(_name(event), None)


def _waits(status: str, steps: Steps, event: Recorded) -> None:
    step = _name(event)
    steps[step] = {**steps.get(step, {}), "status": status, "since_ms": event.time_ms}


def _elsewhere(steps: Steps, event: Recorded) -> None:
    """Say what becomes of steps that were under way in another run, or in another store."""
    for path in event.data.get("forgotten") or ():
        steps.pop(path, None)
    for place, status in (("lost", "scheduled"), ("gated", "gated")):
        for path in event.data.get(place) or ():
            if path in steps:
                steps[path] = {
                    **steps[path],
                    "status": status,
                    "since_ms": event.time_ms,
                }


MOVES: Final[Mapping[str, Callable[[Steps, Recorded], None]]] = {
    cls.__name__: move
    for cls, move in (
        (ev.StepScheduled, _scheduled),
        (ev.CompensationScheduled, _scheduled),
        (ev.StepAdmitted, partial(_waits, "scheduled")),
        (ev.StepStarted, _started),
        (ev.StepCompleted, _over),
        (ev.StepFailed, _failed),
        (ev.StepTimedOut, _failed),
        (ev.StepLeaseLost, partial(_waits, "scheduled")),
        (ev.StepReleased, partial(_waits, "scheduled")),
        (ev.StepRetryScheduled, partial(_waits, "waiting")),
        (ev.StepCancelled, _over),
        (ev.StepOverridden, _over),
        (ev.RunForked, _elsewhere),
        (ev.RunImported, _elsewhere),
    )
}
"""The name of an event -> what it does to the open steps; a test holds it against the traits of the events."""

TYPES: Final = DEFINES | CLOSED_AS.keys() | MOVES.keys()


@dataclass(frozen=True, slots=True)
class ComponentStatistics:
    """What happened to the attempts of a component; latencies in ms, None where nothing has ended."""

    component: str
    completed: int
    failed: int
    lost: int
    released: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @property
    def error_rate(self) -> float:
        """Return the part of the attempts that failed or were lost."""
        ended = self.completed + self.failed + self.lost
        return (self.failed + self.lost) / ended if ended else 0.0


def component_statistics(
    tallies: Iterable[Mapping[str, Json]],
) -> list[ComponentStatistics]:
    """Sum up the counts of all partitions, by component."""
    ends: dict[str, dict[str, int]] = {}
    times: dict[str, dict[int, int]] = {}
    for counts in tallies:
        for name, value in counts.items():
            component, *rest = name.split("|")
            if rest[0] == "ms":
                buckets = times.setdefault(component, {})
                buckets[int(rest[1])] = buckets.get(int(rest[1]), 0) + value
            else:
                found = ends.setdefault(component, {})
                found[rest[0]] = found.get(rest[0], 0) + value
    return [
        ComponentStatistics(
            component,
            *(
                ends[component].get(end, 0)
                for end in ("completed", "failed", "lost", "released")
            ),
            *(quantile(times.get(component, {}), q) for q in (0.5, 0.95, 0.99)),
        )
        for component in sorted(ends)
    ]
