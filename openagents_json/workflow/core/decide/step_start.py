"""How a step begins: handed to workers, or carried out by the engine itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.bounds import (
    CHILD_LIMIT,
    ITEM_LIMIT,
    child_limit,
    nested_items,
)
from openagents_json.workflow.core.decide.decision import (
    DecisionBuilder,
    complete,
    refuse,
    terminal,
)
from openagents_json.workflow.core.decide.unwind import end_completed, end_failed
from openagents_json.workflow.core.evaluate import (
    step_inputs,
    step_secrets,
    terminate_output,
    value_of,
)
from openagents_json.workflow.core.paths import inside, is_item
from openagents_json.workflow.core.plan import Gate, StepPlan, Timer, canonical
from openagents_json.workflow.errors import InvalidTime
from openagents_json.workflow.expressions.templates import render
from openagents_json.workflow.times import delay_of, moment_of
from openagents_json.workflow.types import Json, type_name

REUSED = frozenset({"", "sleep", "wait", "workflow"})
"""Kinds of steps whose results can be used again."""

MAX_ITEMS = 10_000
MAX_DEPTH = 16
"""How many runs may be above a child run."""


def begin(turn: DecisionBuilder, path: str) -> None:
    """Begin a step whose turn it is.

    Raises ExpressionFailed.
    """
    if path in turn.refused:
        refuse(turn, path, turn.refused[path])
    elif turn.plan.of(path).foreach is not None:
        _begin_foreach(turn, path)
    else:
        begin_instance(turn, path)


def begin_instance(turn: DecisionBuilder, path: str) -> None:
    """Begin a step, or one item of it.

    Raises ExpressionFailed.
    """
    plan = turn.plan.of(path)
    if path in turn.refused:
        refuse(turn, path, turn.refused[path])
        return
    match plan.kind:
        case "component":
            view = turn.view.at(path)
            inputs, secrets = step_inputs(plan, view), step_secrets(plan, view)
            if not reused(turn, path, inputs, secrets):
                turn.emit(
                    ev.StepScheduled(
                        path, inputs, "", gates_of(turn, plan.gates, path), secrets
                    )
                )
        case "terminate":
            _terminate(turn, path, plan)
        case "sleep":
            _sleep(turn, path, plan)
        case "wait":
            _wait(turn, path, plan)
        case "workflow":
            _child(turn, path, plan)
        case "loop":
            turn.emit(
                ev.StepScheduled(path, step_inputs(plan, turn.view.at(path)), st.LOOP)
            )
            _limit(turn, path, plan)
            turn.check[path] = None
        case _:
            turn.emit(
                ev.StepScheduled(path, step_inputs(plan, turn.view.at(path)), st.BLOCK)
            )
            _limit(turn, path, plan)
            turn.reach.extend(
                inside(path, name) for name in (plan.block.order if plan.block else ())
            )
            turn.check[path] = None


def reused(
    turn: DecisionBuilder,
    path: str,
    inputs: Mapping[str, Json],
    secrets: Sequence[Json] | None = None,
) -> bool:
    """Let the result of a step stand that is done again with the same inputs; False when there is none."""
    memorised = turn.state.memo.get(path)
    if memorised is None or canonical(memorised.inputs) != canonical(inputs):
        return False
    if memorised.secrets is not None and canonical(memorised.secrets) != canonical(
        secrets
    ):
        return False  # the same text, but another part of it is the secret
    turn.emit(ev.StepResultReused(path))
    turn.settle.append(path)
    return True


def gates_of(
    turn: DecisionBuilder, gates: tuple[Gate, ...], path: str
) -> tuple[Json, ...]:
    """Return the gates of a step as the log has them: kind, key, limit, period in ms.

    Raises ExpressionFailed.
    """
    if not gates:
        return ()
    view = turn.view.at(path) if path else turn.view
    return tuple(
        [g.kind, render(value_of(g.key, view)), g.limit, g.per_ms, g.policy]
        for g in gates
    )


def _begin_foreach(turn: DecisionBuilder, path: str) -> None:
    plan = turn.plan.of(path)
    if plan.foreach is None:
        return
    items = value_of(plan.foreach.items, turn.view.at(path))
    if not isinstance(items, list | dict):
        message = (
            f"step {path}: foreach needs an array or an object, not {type_name(items)}"
        )
        refuse(turn, path, terminal("InvalidForeach", message))
    elif len(items) > MAX_ITEMS:
        message = f"step {path}: foreach over {len(items)} items, more than {MAX_ITEMS}; split them into several runs"
        refuse(turn, path, terminal("InvalidForeach", message))
    elif (together := nested_items(turn.state, path, len(items))) > turn.bounds.items:
        message = (
            f"step {path}: {together:,} items with those of the foreach around it, more than {turn.bounds.items:,}; "
            "hand parts of them to child runs, or raise OPENAGENTS_MAX_ITEMS"
        )
        refuse(turn, path, terminal(ITEM_LIMIT, message))
    else:
        turn.emit(ev.StepScheduled(path, {"items": items}, st.FOREACH))
        if plan.timeouts.total_ms:
            turn.emit(ev.TimerSet(path, 1, plan.timeouts.total_ms))
        turn.check[path] = None


def _limit(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    """Set the timer of a step that the engine carries out and that may take only so long."""
    limits = [
        ms for ms in (plan.timeouts.start_to_close_ms, plan.timeouts.total_ms) if ms
    ]
    if limits:
        turn.emit(ev.TimerSet(path, turn.state.steps[path].timers + 1, min(limits)))


def _terminate(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    status, output = terminate_output(plan, turn.view.at(path))
    turn.emit(ev.StepScheduled(path, {}))
    turn.emit(ev.StepCompleted(path, 0, output))
    if status == st.FAILED:
        message = (
            output
            if isinstance(output, str)
            else f"step {path} ended the run as failed"
        )
        end_failed(turn, terminal("Terminated", message, output=output), path)
        return
    end_completed(turn, lambda: output)


def limit_again(turn: DecisionBuilder, paths: Iterable[str]) -> None:
    """Let the time limits of steps that hold others begin anew, where they go on."""
    for path in paths:
        plan, step = turn.plan.of(path), turn.state.steps[path]
        if step.kind == st.FOREACH:
            if plan.timeouts.total_ms:
                turn.emit(ev.TimerSet(path, step.timers + 1, plan.timeouts.total_ms))
        elif plan.loop is None or not is_item(path):
            _limit(turn, path, plan)


# -- time ------------------------------------------------------------------------------------------------


def _sleep(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    if plan.sleep is None:
        return
    try:
        event, shown = timer_event(turn, path, plan.sleep, 1)
    except InvalidTime as error:
        refuse(turn, path, terminal("InvalidTime", f"step {path}: {error}"))
        return
    if reused(turn, path, shown):
        return
    turn.emit(ev.StepScheduled(path, shown, "sleep"))
    if event.delay_ms or event.at_ms:
        turn.emit(event)
    else:
        complete(turn, path, 0, None)
        turn.settle.append(path)


def timer_event(
    turn: DecisionBuilder, path: str, timer: Timer, number: int
) -> tuple[ev.TimerSet, dict[str, Json]]:
    """Return the timer of a step, and what its inputs show of it.

    Raises InvalidTime and ExpressionFailed.
    """
    view = turn.view.at(path)
    if timer.until is not None:
        until = value_of(timer.until, view)
        return ev.TimerSet(path, number, at_ms=moment_of(until)), {"until": until}
    seconds = 0 if timer.seconds is None else value_of(timer.seconds, view)
    return ev.TimerSet(path, number, delay_of(seconds)), {"seconds": seconds}


def _wait(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    wait, view = plan.wait, turn.view.at(path)
    if wait is None:
        return
    shown: dict[str, Json] = {
        "signals": [
            {
                "name": render(value_of(s.name, view)),
                "key": None if s.key is None else render(value_of(s.key, view)),
            }
            for s in wait.signals
        ]
    }
    timer: ev.TimerSet | None = None
    try:
        if wait.timer is not None:
            timer, more = timer_event(turn, path, wait.timer, 1)
            shown |= more
        elif wait.timeout is not None:
            timer, more = timer_event(turn, path, Timer(seconds=wait.timeout), 1)
            shown |= {"timeout": more["seconds"]}
    except InvalidTime as error:
        refuse(turn, path, terminal("InvalidTime", f"step {path}: {error}"))
        return
    if reused(turn, path, shown):
        return
    turn.emit(ev.StepScheduled(path, shown, "wait"))
    if take_signal(turn, path):
        turn.settle.append(path)
    elif timer is not None:
        turn.emit(timer if timer.delay_ms or timer.at_ms else ev.TimerSet(path, 1, 1))


def take_signal(turn: DecisionBuilder, path: str) -> bool:
    """Return a waiting step the oldest signal that fits; False when there is none."""
    plan, step = turn.plan.of(path), turn.state.steps[path]
    awaited = [(str(w["name"]), w["key"]) for w in step.inputs.get("signals", ())]
    for signal in turn.state.signals:
        if any(
            name == signal.name and key in (None, signal.key) for name, key in awaited
        ):
            turn.emit(ev.SignalTaken(path, signal.id))
            facts = {
                "signal": signal.name,
                "key": signal.key,
                "payload": signal.payload,
                "by": signal.by,
                "reason": signal.reason,
                "at_ms": signal.at_ms,
            }
            output = (
                facts if plan.wait is not None and plan.wait.any else signal.payload
            )
            complete(turn, path, 0, output, facts)
            return True
    return False


def timer_won(turn: DecisionBuilder, path: str) -> None:
    """End a wait whose timer came before any signal."""
    facts: dict[str, Any] = dict.fromkeys(
        ("signal", "key", "payload", "by", "reason", "at_ms")
    )
    complete(turn, path, 0, {**facts, "timer": True}, {**facts, "timer": True})


# -- children --------------------------------------------------------------------------------------------


def _child(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    inputs = step_inputs(plan, turn.view.at(path))
    if turn.state.depth >= MAX_DEPTH:
        message = f"step {path}: there are {MAX_DEPTH} runs above this one already; does a workflow call itself?"
        refuse(turn, path, terminal("DepthLimit", message))
        return
    if reused(turn, path, inputs):
        return
    if turn.state.children >= turn.bounds.children:
        refuse(
            turn,
            path,
            terminal(CHILD_LIMIT, f"step {path}: {child_limit(turn.bounds)}"),
        )
        return
    turn.emit(ev.StepScheduled(path, inputs, "workflow"))
    start_child(turn, path)
    if plan.child is not None and plan.child.detached:
        complete(turn, path, 0, {"run": turn.state.steps[path].child})
        turn.settle.append(path)
    else:
        _limit(turn, path, plan)


def start_child(turn: DecisionBuilder, path: str) -> None:
    """Hand the work of a step to a run of its own; one for each attempt, always under the same id."""
    plan, number = turn.plan.of(path), turn.state.steps[path].children + 1
    child = turn.child_id(f"{turn.state.run}/{path}#{number}")
    turn.emit(ev.ChildStarted(path, child, plan.child.workflow if plan.child else ""))
    if number > 1:
        _limit(turn, path, plan)
