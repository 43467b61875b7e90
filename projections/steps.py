"""The view of steps: those under way anywhere, and what was counted of each component."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from eventstore.event import Json, Recorded
from projections.projection import Counted, Projection, counted_before
from projections.quantiles import bucket, quantile

ComponentOf = Callable[[str, str], str]
"""(hash of a definition, step) -> the component that the step runs, "" when it runs none."""

_TYPES: Final = frozenset(
    {
        "RunStarted",
        "RunReopened",
        "RunForked",
        "RunImported",
        "RunCompleted",
        "RunFailed",
        "RunCancelled",
        "StepScheduled",
        "CompensationScheduled",
        "StepAdmitted",
        "StepStarted",
        "StepCompleted",
        "StepFailed",
        "StepTimedOut",
        "StepLeaseLost",
        "StepReleased",
        "StepRetryScheduled",
        "StepCancelled",
        "StepOverridden",
    }
)
_ENDS: Final = {
    "StepCompleted": "completed",
    "StepFailed": "failed",
    "StepTimedOut": "failed",
    "StepLeaseLost": "lost",
    "StepReleased": "released",
}
_OVER: Final = frozenset({"RunCompleted", "RunFailed", "RunCancelled"})


BeginOf = Callable[[str], Mapping[str, Any]]
"""Run -> the data of its first event."""


def steps_projection(component_of: ComponentOf, begin_of: BeginOf) -> Projection:
    """Make the projection of steps; what it is given must depend on its arguments alone.

    A document holds the open steps of a run: what they wait for, since when, and the attempt and worker.
    """

    def apply(run: dict[str, Any] | None, event: Recorded) -> dict[str, Any] | Counted | None:
        if event.type in ("RunStarted", "RunReopened"):
            begin = event.data if event.type == "RunStarted" else begin_of(event.stream)
            definition = event.data.get("definition") or (run or begin)["definition"]
            return {"workflow": begin["workflow"], "definition": definition, "steps": {}}
        if run is None or event.type in _OVER:
            return None
        counts = counted(run, event) if event.type in _ENDS and not counted_before(event) else None
        _step(run["steps"], event)
        return Counted(run, counts) if counts else run

    def counted(run: Mapping[str, Any], event: Recorded) -> dict[str, int] | None:
        step, end = event.data["step"], _ENDS[event.type]
        known = run["steps"].get(step)
        if known is None or known["status"] != "started":
            return None
        component = component_of(run["definition"], step)
        if not component:
            return None
        if end not in ("completed", "failed"):
            return {f"{component}|{end}": 1}
        return {f"{component}|{end}": 1, f"{component}|ms|{bucket(event.time_ms - known['since_ms'])}": 1}

    return Projection("steps", apply, types=_TYPES)


def _step(steps: dict[str, Any], event: Recorded) -> None:
    data: Mapping[str, Any] = event.data
    if event.type in ("RunForked", "RunImported"):
        _elsewhere(steps, event)
        return
    name = str(data["compensation" if event.type == "CompensationScheduled" else "step"])
    known = steps.get(name, {})
    match event.type:
        case "StepScheduled" | "CompensationScheduled":
            status = data.get("kind") or ("gated" if data.get("gates") else "scheduled")
            steps[name] = {"status": status, "since_ms": event.time_ms}
        case "StepStarted":
            steps[name] = {
                "status": "started",
                "since_ms": event.time_ms,
                "attempt": data["attempt"],
                "worker": data["worker"],
            }
        case "StepLeaseLost" | "StepReleased" | "StepAdmitted":
            steps[name] = {**known, "status": "scheduled", "since_ms": event.time_ms}
        case "StepRetryScheduled":
            steps[name] = {**known, "status": "waiting", "since_ms": event.time_ms}
        case "StepFailed" | "StepTimedOut" if data.get("retry_ms") is not None:
            steps[name] = {**known, "status": "retrying", "since_ms": event.time_ms}
        case _:
            steps.pop(name, None)


def _elsewhere(steps: dict[str, Any], event: Recorded) -> None:
    """Say what becomes of steps that were under way in another run, or in another store."""
    for path in event.data.get("forgotten") or ():
        steps.pop(path, None)
    for place, status in (("lost", "scheduled"), ("gated", "gated")):
        for path in event.data.get(place) or ():
            if path in steps:
                steps[path] = {**steps[path], "status": status, "since_ms": event.time_ms}


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
        """Give the part of the attempts that failed or were lost."""
        ended = self.completed + self.failed + self.lost
        return (self.failed + self.lost) / ended if ended else 0.0


def component_statistics(tallies: Iterable[Mapping[str, Json]]) -> list[ComponentStatistics]:
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
            *(ends[component].get(end, 0) for end in ("completed", "failed", "lost", "released")),
            *(quantile(times.get(component, {}), q) for q in (0.5, 0.95, 0.99)),
        )
        for component in sorted(ends)
    ]
