"""What the steps of a run wait for, until when, and which signals answer them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventstore.event import Recorded
from eventstore.redis.coordination.members import Directory
from executor.runs.repository import Session
from executor.worker.abilities import Fleet
from openagents_json.engine.answers.waits import AwaitedSignal, StepWait
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.plan import StepPlan


def waits_of(
    session: Session, recorded: Sequence[Recorded], directory: Directory
) -> tuple[StepWait, ...]:
    """Return what the open steps of a run wait for; those that hold other steps wait for these, and are left out."""
    steps = session.state.steps
    lacks = _lacking(session, directory)
    ends = _ends_of_timers(recorded)
    waits = []
    for path in sorted(session.state.open_steps):
        step = steps[path]
        plan = session.plan.of(path)
        if not _holds_steps(step):
            waits.append(_wait(path, step, plan, lacks.get(path), ends.get(path)))
    return tuple(waits)


def lacking(core: Core, run: str) -> dict[str, str]:
    """Return the steps of a run that wait for what no live worker has, and what that is.

    Raises RunNotFound.
    """
    return _lacking(core.sessions.load(run), core.directory)


def _lacking(session: Session, directory: Directory) -> dict[str, str]:
    state = session.state
    fleet = Fleet(directory)
    fleet.see(directory.workers())
    lacks = {}
    for path in sorted(state.open_steps):
        step = state.steps[path]
        plan = session.plan.of(path)
        if step.status != st.SCHEDULED or step.kind:
            continue
        if not fleet.can(plan.queue, plan.component or ""):
            component = f"the component {plan.component}"
            lacks[path] = (
                f"waits for {component}, which no live worker has, in queue {plan.queue}"
            )
    return lacks


def _holds_steps(step: st.StepState) -> bool:
    return step.kind in st.GROUPS or step.kind == st.BLOCK


def _ends_of_timers(recorded: Sequence[Recorded]) -> dict[str, int]:
    """Return when the latest timer of each step ends; one that is set for a duration counts from its own commit."""
    ends: dict[str, int] = {}
    for item in recorded:
        if item.type == ev.TimerSet.__name__:
            data: Mapping[str, Any] = item.data
            delay_ms = data.get("delay_ms") or 0
            ends[data["step"]] = data.get("at_ms") or item.time_ms + delay_ms
    return ends


def _wait(
    path: str,
    step: st.StepState,
    plan: StepPlan,
    lack: str | None,
    until_ms: int | None,
) -> StepWait:
    signals = tuple(_signals(step, plan)) if step.kind == "wait" else ()
    fails_then = bool(signals and plan.wait and plan.wait.timer is None)
    has_timer = step.kind in ("wait", "sleep") and step.timer
    return StepWait(
        step=path,
        reason=lack or _reason(step, signals),
        signals=signals,
        until_ms=until_ms if has_timer else None,
        fails_then=fails_then,
    )


def _signals(step: st.StepState, plan: StepPlan) -> Iterator[AwaitedSignal]:
    declared = plan.wait.signals if plan.wait else ()
    awaited = step.inputs.get("signals") or ()
    for number, signal in enumerate(awaited):
        schema = declared[number].schema if number < len(declared) else None
        yield AwaitedSignal(str(signal["name"]), signal["key"], schema)


def _reason(step: st.StepState, signals: Sequence[AwaitedSignal]) -> str:
    match step.status:
        case st.STARTED:
            return f"is run by {step.worker}, attempt {step.attempt}"
        case st.GATED:
            return "waits for a lock or a rate"
        case st.WAITING | st.RETRYING:
            return f"waits to be tried again, after {step.failures} failures"
        case st.SCHEDULED:
            return "waits for a worker"
        case _ if step.child:
            return f"waits for its run {step.child}"
        case _ if signals:
            return f"waits for {' or '.join(map(_named, signals))}"
        case _ if step.kind == "sleep":
            return "sleeps"
        case _:
            return f"waits ({step.kind})"


def _named(signal: AwaitedSignal) -> str:
    key = f" with key {signal.key}" if signal.key is not None else ""
    return f"signal {signal.name}{key}"
