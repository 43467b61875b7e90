"""Opening a closed run again: what failed, or follows from a step, is forgotten, and all other results are kept."""

from __future__ import annotations

from collections.abc import Iterable

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


def reopen(turn: DecisionBuilder, command: cmd.ReopenRun) -> None:
    """Say which steps are forgotten and which of those that hold others go on.

    Raises Rejected when the run is open, there is nothing to do again, or a result does not fit the plan.
    """
    state = turn.state
    if not state.closed:
        raise cmd.Rejected(
            "open", f"the run is {state.status}: it has not ended", state.status
        )
    redone = RedoneSteps(turn)
    if command.replay:
        redone.forgotten |= set(state.steps)
    elif command.step:
        if command.step not in state.steps:
            raise cmd.Rejected(
                "unknown_step", _unknown(state, command.step), state.status
            )
        redone.again(command.step)
    else:
        redone.undone()
        if (
            not redone.forgotten
            and state.status == st.COMPLETED
            and not command.migrate
        ):
            raise cmd.Rejected(
                "completed",
                "the run completed: name the step to begin with again",
                state.status,
            )
    redone.unwinding()
    plan = turn.plan
    definition, version = (plan.hash, plan.version) if command.migrate else ("", "")
    if command.migrate:
        _check_fit(turn, redone.forgotten)
    inputs = None if command.inputs is None else {**state.inputs, **command.inputs}
    kept, changed = _reusable(turn, command) if command.replay else ([], [])
    lists = redone.lists()
    happened = ev.RunReopened(
        *lists, inputs, command.step, command.reason, definition, version, kept, changed
    )
    turn.emit(replace(happened, anew=_completed(turn, lists[0])))
    limit_again(turn, lists[1])


def _completed(turn: DecisionBuilder, forgotten: Iterable[str]) -> list[str]:
    """Return the steps of components that had completed.

    Done again, they must not be taken for what was done before, and may have been undone since. A step that failed may
    have had its effect all the same: done again by hand, it is still the same to the systems that it calls.
    """
    steps, plan = turn.state.steps, turn.plan
    completed = [
        path
        for path in forgotten
        if steps[path].status == st.COMPLETED and not steps[path].kind
    ]
    if (
        plan.persistence.mode == "outcome" and turn.state.status == st.COMPLETED
    ):  # the log does not say which they were
        completed += [
            path
            for path, step in plan.steps.items()
            if step.kind == "component" and path not in steps
        ]
    return completed


def _reusable(
    turn: DecisionBuilder, command: cmd.ReopenRun
) -> tuple[list[str], list[str]]:
    """Return the steps whose results may stand if their inputs stay the same, and those that are not the same steps."""
    kept: list[str] = []
    changed: list[str] = []
    for path, step in turn.state.steps.items():
        leaf = step.kind in REUSED and not is_unwinding(path)
        if (
            leaf
            and step.status == st.COMPLETED
            and not is_undone(turn.state, path, step)
        ):
            (changed if static(path) in command.changed else kept).append(path)
    return turn.in_order(kept), turn.in_order(changed)


def override(turn: DecisionBuilder, command: cmd.OverrideStep) -> None:
    """Say how a step ended; in a closed run, whatever else failed is done again.

    Raises Rejected when the run has no such step, or it has ended already in a run that is open.
    """
    state, path = turn.state, command.step
    if path not in state.steps or is_unwinding(path):
        raise cmd.Rejected("unknown_step", _unknown(state, path), state.status)
    if state.closed:
        redone = RedoneSteps(turn)
        redone.again(path)
        redone.undone()
        above = [other for other in redone.forgotten if within(path, other)]
        if above:
            whole = min(above, key=len)
            what = f"step {path} is a part of {whole}, which has to be done again: complete that, or retry"
            raise cmd.Rejected("part_of_undone", what, state.status)
        redone.unwinding()
        lists = redone.lists()
        turn.emit(
            ev.RunReopened(
                *lists, None, path, command.reason, anew=_completed(turn, lists[0])
            )
        )
        limit_again(turn, lists[1])
    elif path not in state.open_steps:
        raise cmd.Rejected(
            "resolved",
            f"step {path} is {state.steps[path].status} already",
            state.status,
        )
    elif state.status in (st.FAILING, st.CANCELLING):
        raise cmd.Rejected(
            state.status,
            f"the run is {state.status}: its steps are being undone",
            state.status,
        )
    else:
        withdraw(turn, inner_steps(turn, path), f"{path} is {command.status} by hand")
    turn.emit(ev.StepOverridden(path, command.status, command.output, command.reason))


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
    inputs = None if command.inputs is None else {**state.inputs, **command.inputs}
    lists = redone.lists()
    turn.emit(ev.RunForked(command.source, command.at, *lists, inputs, command.reason))
    limit_again(turn, lists[1])


def taken_over(past: Iterable[ev.Event], run: str) -> list[ev.Event]:
    """Return the events of a run as the past of another one, for which nobody waits."""
    return [
        replace(event, run=run, parent=None)
        if isinstance(event, ev.RunStarted)
        else event
        for event in past
    ]


def _check_fit(turn: DecisionBuilder, forgotten: set[str]) -> None:
    """Refuse a plan in which results that are kept have no place."""
    plan, wrong = turn.plan, []
    for path, step in turn.state.steps.items():
        if path in forgotten:
            continue
        try:
            spec = plan.of(path)
        except KeyError:
            wrong.append(f"{path} is not in it")
            continue
        holds = {
            st.FOREACH: spec.foreach is not None,
            st.LOOP: spec.loop is not None,
            st.BLOCK: spec.block is not None,
        }
        if step.kind in holds and not holds[step.kind]:
            wrong.append(f"{path} is no {step.kind} in it")
    if wrong:
        what = f"the run has results that have no place in version {plan.version}: {', '.join(sorted(wrong)[:10])}"
        raise cmd.Rejected("does_not_fit", what, turn.state.status)


def _unknown(state: st.RunState, path: str) -> str:
    names = sorted(name for name in state.steps if not is_unwinding(name))
    return f"the run has no step {path!r}; it has {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
