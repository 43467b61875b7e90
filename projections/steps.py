"""The view of steps: those under way anywhere, and what was counted of each component."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

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

K = TypeVar("K")

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
            return _defined(run, event, begin_of)
        if run is None or event.type in CLOSED_AS:
            return None
        counts = _counts(run, event, component_of)
        MOVES[event.type](run["steps"], event)
        if counts:
            return Counted(run, counts)
        return run

    return Projection("steps", apply, types=TYPES)


def _defined(
    run: Mapping[str, Any] | None, event: Recorded, begin_of: BeginOf
) -> dict[str, Any]:
    """Return the document of a run that has begun, or goes on with another definition."""
    is_start = event.type == ev.RunStarted.__name__
    begin = event.data if is_start else begin_of(event.stream)
    definition = event.data.get("definition") or (run or begin)["definition"]
    return {"workflow": begin["workflow"], "definition": definition, "steps": {}}


def _counts(
    run: Mapping[str, Any], event: Recorded, component_of: ComponentOf
) -> dict[str, int]:
    """Return what is counted of a component when an attempt of a step ends, nothing when none does."""
    if event.type not in _COUNTED or counted_before(event):
        return {}
    name = event.data["step"]
    end = _COUNTED[event.type]
    step = run["steps"].get(name)
    if step is None or step["status"] != "started":
        return {}
    component = component_of(run["definition"], name)
    if not component:
        return {}
    counts = {f"{component}|{end}": 1}
    if end in ("completed", "failed"):
        took_ms = event.time_ms - step["since_ms"]
        counts[f"{component}|ms|{bucket(took_ms)}"] = 1
    return counts


def _name(event: Recorded) -> str:
    return str(event.data[SCHEDULES.get(event.type, "step")])


def _scheduled(steps: Steps, event: Recorded) -> None:
    waiting = "gated" if event.data.get("gates") else "scheduled"
    status = event.data.get("kind") or waiting
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
    for name, status in (("lost", "scheduled"), ("gated", "gated")):
        for path in event.data.get(name) or ():
            if path in steps:
                changes = {"status": status, "since_ms": event.time_ms}
                steps[path] = {**steps[path], **changes}


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
        if ended:
            return (self.failed + self.lost) / ended
        return 0.0


def component_statistics(
    tallies: Iterable[Mapping[str, Json]],
) -> list[ComponentStatistics]:
    """Sum up the counts of all partitions, by component."""
    ends: dict[str, dict[str, int]] = {}
    times: dict[str, dict[int, int]] = {}
    for counts in tallies:
        for name, value in counts.items():
            component, end, *rest = name.split("|")
            if end == "ms":
                _add(times.setdefault(component, {}), int(rest[0]), value)
            else:
                _add(ends.setdefault(component, {}), end, value)
    return [
        _statistics(component, ends[component], times.get(component, {}))
        for component in sorted(ends)
    ]


def _add(counts: dict[K, int], name: K, value: int) -> None:
    counts[name] = counts.get(name, 0) + value


def _statistics(
    component: str, ends: Mapping[str, int], times: Mapping[int, int]
) -> ComponentStatistics:
    return ComponentStatistics(
        component,
        completed=ends.get("completed", 0),
        failed=ends.get("failed", 0),
        lost=ends.get("lost", 0),
        released=ends.get("released", 0),
        p50_ms=quantile(times, 0.5),
        p95_ms=quantile(times, 0.95),
        p99_ms=quantile(times, 0.99),
    )
