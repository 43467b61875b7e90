"""Replay: a recorded history against a changed document, or changed components."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openagents_json.catalog.registry import Registry
from openagents_json.components import builtin
from openagents_json.simulation.stubs import Call, Stubs, context_of
from openagents_json.testing.play import Source, _Anything, plan_of
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.history.conformance import Difference, first_difference
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay leaves the history: the version of the event, what was recorded, what would happen now."""

    version: int
    recorded: Mapping[str, Any] | None
    now: Mapping[str, Any] | None
    reason: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"event {self.version}: {self.reason}"


def replay(
    document: Source,
    history: Iterable[Mapping[str, Any]],
    *,
    components: Mapping[str, Any] | None = None,
    real: Iterable[Any] = (),
    rerun: Sequence[str] | None = None,
) -> Divergence | None:
    """Return the first divergence of a document from a recorded history, None when there is none.

    `history` has type and data of each event, as `openagents runs history --json` prints them. With `components` or
    `real`, the recorded calls of these components (of those in `rerun`, or of all that are given) are made again with
    the recorded inputs, and their results compared. Raises ValueError when it is not a history from its beginning on.
    """
    registry = Registry()
    for thing in (builtin, *real):
        registry.add(thing)
    plan = plan_of(document, _Anything(registry))
    recorded = [from_data(str(item["type"]), item["data"]) for item in history]
    started = recorded[0] if recorded else None
    if not isinstance(started, ev.RunStarted):
        raise ValueError("a history begins with RunStarted; give all of it")
    difference = first_difference(plan, recorded)
    if difference is not None:
        return _divergence(difference)
    names = set(rerun) if rerun is not None else {*(components or ()), *_names(real)}
    stubs = Stubs(components or {}, registry)
    return _first_other_result(plan, started, recorded, stubs, names)


def _names(real: Iterable[Any]) -> Iterator[str]:
    """Return the names of the components of functions, classes and modules."""
    for thing in real:
        registry = Registry()
        registry.add(thing)
        yield from registry.names()


def _divergence(difference: Difference) -> Divergence:
    return Divergence(
        version=difference.version,
        recorded=_event_json(difference.recorded),
        now=_event_json(difference.now),
        reason=difference.reason,
    )


def _event_json(event: ev.Event | None) -> Mapping[str, Any] | None:
    if event is None:
        return None
    return {"type": type_name(event), "data": to_data(event)}


def _first_other_result(
    plan: Plan,
    started: ev.RunStarted,
    recorded: Sequence[ev.Event],
    stubs: Stubs,
    names: Collection[str],
) -> Divergence | None:
    """Make the recorded calls of some components again, and return the first with another result."""
    inputs: dict[str, Mapping[str, Json]] = {}
    for version, event in enumerate(recorded, 1):
        if isinstance(event, ev.StepScheduled):
            inputs[event.step] = event.inputs
        elif isinstance(event, ev.CompensationScheduled):
            inputs[event.compensation] = event.inputs
        elif isinstance(event, ev.StepCompleted) and event.attempt:
            component = plan.of(event.step).component or ""
            if component.partition("@")[0] not in names:
                continue
            given = inputs.get(event.step, {})
            call = Call(
                component=component,
                step=event.step,
                attempt=event.attempt,
                inputs=given,
                run=started.run,
            )
            context = context_of(call, started.workflow, lambda: 0, lambda _: None)
            divergence = _compared(version, event, call, stubs.perform(call, context))
            if divergence is not None:
                return divergence
    return None


def _compared(
    version: int, event: ev.StepCompleted, call: Call, outcome: cmd.Outcome
) -> Divergence | None:
    """Return how an outcome differs from the recorded one, None when it does not."""
    if isinstance(outcome, cmd.Completed):
        if outcome.output == event.output:
            return None
        shown = outcome.output
    else:
        shown = getattr(outcome, "error", None)
    reason = f"step {event.step}: {call.component} gave {event.output!r} and gives {shown!r} now"
    now = {"type": type(outcome).__name__, "data": {"output": shown}}
    return Divergence(version, _event_json(event), now, reason)
