"""Opening a closed run again: what failed, or follows from a step, is forgotten, and all other results are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import (
    DecisionBuilder,
    inner_steps,
    withdraw,
)
from openagents_json.workflow.core.decide.redone import (
    RedoneSteps,
    is_undone,
)
from openagents_json.workflow.core.decide.step_start import REUSED, limit_again
from openagents_json.workflow.core.paths import (
    is_unwinding,
    static,
    within,
)
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.types import Json


def reopen(turn: DecisionBuilder, command: cmd.ReopenRun) -> None:
    """Say which steps are forgotten and which of those that hold others go on.

    Raises Rejected when the run is open, there is nothing to do again, or a result does not fit the plan.
    """
    state = turn.state
    if not state.closed:
        what = f"the run is {state.status}: it has not ended"
        raise cmd.Rejected("open", what, state.status)
    redone = _redone(turn, command)
    redone.unwinding()
    forgotten, resumed = redone.lists()
    kept, changed = _reusable(turn, command) if command.replay else ([], [])
    reopened = ev.RunReopened(
        forgotten=forgotten,
        resumed=resumed,
        inputs=_merged(state, command.inputs),
        step=command.step,
        reason=command.reason,
        kept=kept,
        changed=changed,
        anew=_completed(turn, forgotten),
    )
    if command.migrate:
        _check_fit(turn, redone.forgotten)
        plan = turn.plan
        reopened = replace(reopened, definition=plan.hash, version=plan.version)
    turn.emit(reopened)
    limit_again(turn, resumed)


def _redone(turn: DecisionBuilder, command: cmd.ReopenRun) -> RedoneSteps:
    """Return what is done again: everything, a step with what follows from it, or what failed.

    Raises Rejected.
    """
    state = turn.state
    redone = RedoneSteps(turn)
    if command.replay:
        redone.forgotten |= set(state.steps)
        return redone
    if command.step:
        if command.step not in state.steps:
            what = _unknown(state, command.step)
            raise cmd.Rejected("unknown_step", what, state.status)
        redone.again(command.step)
        return redone
    redone.undone()
    has_nothing_to_do = not redone.forgotten and state.status == st.COMPLETED
    if has_nothing_to_do and not command.migrate:
        what = "the run completed: name the step to begin with again"
        raise cmd.Rejected("completed", what, state.status)
    return redone


def _merged(
    state: st.RunState, inputs: Mapping[str, Json] | None
) -> dict[str, Json] | None:
    """Return the inputs of a run with those that change, None when none does."""
    if inputs is None:
        return None
    return {**state.inputs, **inputs}


def _completed(turn: DecisionBuilder, forgotten: Iterable[str]) -> list[str]:
    """Return the steps of components that had completed.

    Done again, they must not be taken for what was done before, and may have been undone since. A step that failed may
    have had its effect all the same: done again by hand, it is still the same to the systems that it calls.
    """
    steps = turn.state.steps
    plan = turn.plan
    of_workers = [path for path in forgotten if not steps[path].kind]
    completed = [path for path in of_workers if steps[path].status == st.COMPLETED]
    has_outcome_only = plan.persistence.mode == "outcome"
    if has_outcome_only and turn.state.status == st.COMPLETED:
        # The log does not say which they were.
        kinds = {path: step.kind for path, step in plan.steps.items()}
        components = [path for path, kind in kinds.items() if kind == "component"]
        completed += [path for path in components if path not in steps]
    return completed


def _reusable(
    turn: DecisionBuilder, command: cmd.ReopenRun
) -> tuple[list[str], list[str]]:
    """Return the steps whose results may stand if their inputs stay the same, and those that are not the same steps."""
    kept: list[str] = []
    changed: list[str] = []
    for path, step in turn.state.steps.items():
        if not _has_result(turn.state, path, step):
            continue
        is_other_step = static(path) in command.changed
        paths = changed if is_other_step else kept
        paths.append(path)
    return turn.in_order(kept), turn.in_order(changed)


def _has_result(state: st.RunState, path: str, step: st.StepState) -> bool:
    """Tell whether a step has a result of its own that counts."""
    if step.status != st.COMPLETED or step.kind not in REUSED:
        return False
    return not is_unwinding(path) and not is_undone(state, path, step)


def override(turn: DecisionBuilder, command: cmd.OverrideStep) -> None:
    """Say how a step ended; in a closed run, whatever else failed is done again.

    Raises Rejected when the run has no such step, or it has ended already in a run that is open.
    """
    state = turn.state
    path = command.step
    if path not in state.steps or is_unwinding(path):
        raise cmd.Rejected("unknown_step", _unknown(state, path), state.status)
    if state.closed:
        _reopen_for(turn, path, command.reason)
    else:
        _check_overridable(state, path)
        withdraw(turn, inner_steps(turn, path), f"{path} is {command.status} by hand")
    turn.emit(
        ev.StepOverridden(
            step=path,
            status=command.status,
            output=command.output,
            reason=command.reason,
        )
    )


def _check_overridable(state: st.RunState, path: str) -> None:
    """Refuse to say how a step of an open run ended that has ended, or that is about to be undone.

    Raises Rejected.
    """
    if path not in state.open_steps:
        what = f"step {path} is {state.steps[path].status} already"
        raise cmd.Rejected("resolved", what, state.status)
    if state.status in (st.FAILING, st.CANCELLING):
        what = f"the run is {state.status}: its steps are being undone"
        raise cmd.Rejected(state.status, what, state.status)


def _reopen_for(turn: DecisionBuilder, path: str, reason: str) -> None:
    """Let a closed run go on from a step that somebody says the end of.

    Raises Rejected.
    """
    redone = RedoneSteps(turn)
    redone.again(path)
    redone.undone()
    above = [other for other in redone.forgotten if within(path, other)]
    if above:
        whole = min(above, key=len)
        what = f"step {path} is a part of {whole}, which has to be done again: complete that, or retry"
        raise cmd.Rejected("part_of_undone", what, turn.state.status)
    redone.unwinding()
    forgotten, resumed = redone.lists()
    reopened = ev.RunReopened(
        forgotten=forgotten,
        resumed=resumed,
        step=path,
        reason=reason,
        anew=_completed(turn, forgotten),
    )
    turn.emit(reopened)
    limit_again(turn, resumed)


def fork(turn: DecisionBuilder, command: cmd.ForkRun) -> None:
    """Forget what somebody else was doing for the run that this one leaves.

    Raises Rejected when that run had ended by then.
    """
    state = turn.state
    if state.closed:
        what = f"the run had ended ({state.status}) at version {command.at}: fork it at an earlier one"
        raise cmd.Rejected("closed", what, state.status)
    redone = RedoneSteps(turn)
    redone.under_way()
    forgotten, resumed = redone.lists()
    forked = ev.RunForked(
        source=command.source,
        at=command.at,
        forgotten=forgotten,
        resumed=resumed,
        inputs=_merged(state, command.inputs),
        reason=command.reason,
    )
    turn.emit(forked)
    limit_again(turn, resumed)


def taken_over(past: Iterable[ev.Event], run: str) -> list[ev.Event]:
    """Return the events of a run as the past of another one, for which nobody waits, and which has no key."""
    events = []
    for event in past:
        if isinstance(event, ev.RunStarted):
            event = replace(event, run=run, parent=None, name="")
        events.append(event)
    return events


def _check_fit(turn: DecisionBuilder, forgotten: set[str]) -> None:
    """Refuse a plan in which results that are kept have no place.

    Raises Rejected.
    """
    plan = turn.plan
    steps = turn.state.steps
    kept = [path for path in steps if path not in forgotten]
    misfits = [_misfit(plan, path, steps[path].kind) for path in kept]
    reasons = sorted(filter(None, misfits))
    if reasons:
        what = f"the run has results that have no place in version {plan.version}: {', '.join(reasons[:10])}"
        raise cmd.Rejected("does_not_fit", what, turn.state.status)


def _misfit(plan: Plan, path: str, kind: str) -> str:
    """Say why a plan has no place for a step of some kind, "" where it has one."""
    try:
        spec = plan.of(path)
    except KeyError:
        return f"{path} is not in it"
    parts = {st.FOREACH: spec.foreach, st.LOOP: spec.loop, st.BLOCK: spec.block}
    if kind in parts and parts[kind] is None:
        return f"{path} is no {kind} in it"
    return ""


def _unknown(state: st.RunState, path: str) -> str:
    names = sorted(name for name in state.steps if not is_unwinding(name))
    more = " ..." if len(names) > 20 else ""
    return f"the run has no step {path!r}; it has {', '.join(names[:20])}{more}"
