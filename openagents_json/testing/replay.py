"""Replay: a recorded history against a changed document, or changed components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openagents_json.catalog.registry import Registry
from openagents_json.components import builtin
from openagents_json.simulation.stubs import Call, Stubs, context_of
from openagents_json.testing.play import Source, _Anything, plan_of
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
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
    if not recorded or not isinstance(recorded[0], ev.RunStarted):
        raise ValueError(
            "a history begins with RunStarted; `openagents runs history RUN --json` prints all of it"
        )
    difference = first_difference(plan, recorded)
    if difference is not None:
        return _divergence(difference)
    names = set(rerun if rerun is not None else components or ())
    if rerun is None:
        for thing in real:
            own = Registry()
            own.add(thing)
            names |= set(own.names())
    return _calls(plan, recorded, Stubs(components or {}, registry), names)


def _divergence(difference: Difference) -> Divergence:
    old = (
        None
        if difference.recorded is None
        else {
            "type": type_name(difference.recorded),
            "data": to_data(difference.recorded),
        }
    )
    new = (
        None
        if difference.now is None
        else {"type": type_name(difference.now), "data": to_data(difference.now)}
    )
    return Divergence(difference.version, old, new, difference.reason)


def _calls(
    plan: Any, recorded: Sequence[ev.Event], cast: Stubs, names: set[str]
) -> Divergence | None:
    inputs: dict[str, Mapping[str, Json]] = {}
    workflow = (
        recorded[0].workflow
        if recorded and isinstance(recorded[0], ev.RunStarted)
        else ""
    )
    run = recorded[0].run if recorded and isinstance(recorded[0], ev.RunStarted) else ""
    for version, event in enumerate(recorded, 1):
        if isinstance(event, ev.StepScheduled):
            inputs[event.step] = event.inputs
        elif isinstance(event, ev.CompensationScheduled):
            inputs[event.compensation] = event.inputs
        elif isinstance(event, ev.StepCompleted) and event.attempt:
            component = plan.of(event.step).component or ""
            if component.partition("@")[0] in names:
                call = Call(
                    component,
                    event.step,
                    event.attempt,
                    inputs.get(event.step, {}),
                    run,
                )
                outcome = cast.perform(
                    call, context_of(call, workflow, lambda: 0, lambda _: None)
                )
                if (
                    not isinstance(outcome, cmd.Completed)
                    or outcome.output != event.output
                ):
                    shown = (
                        outcome.output
                        if isinstance(outcome, cmd.Completed)
                        else getattr(outcome, "error", None)
                    )
                    reason = f"step {event.step}: {component} gave {event.output!r} and gives {shown!r} now"
                    old = {"type": type_name(event), "data": to_data(event)}
                    return Divergence(
                        version,
                        old,
                        {"type": type(outcome).__name__, "data": {"output": shown}},
                        reason,
                    )
    return None
