"""How a step begins: handed to workers, or carried out by the engine itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

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
    step_share,
    terminate_output,
    value_of,
)
from openagents_json.workflow.core.paths import all_inside, is_item
from openagents_json.workflow.core.plan import (
    Foreach,
    Gate,
    SignalWait,
    StepPlan,
    Timer,
    Wait,
    canonical,
)
from openagents_json.workflow.core.template_view import RunView
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
    plan = turn.plan.of(path)
    if plan.foreach is None:
        begin_instance(turn, path)
    elif path in turn.refused:
        refuse(turn, path, turn.refused[path])
    else:
        _begin_foreach(turn, path, plan, plan.foreach)


def begin_instance(turn: DecisionBuilder, path: str) -> None:
    """Begin a step, or one item of it.

    Raises ExpressionFailed.
    """
    if path in turn.refused:
        refuse(turn, path, turn.refused[path])
        return
    plan = turn.plan.of(path)
    begin_kind = _BEGIN.get(plan.kind, _block)
    begin_kind(turn, path, plan)


def _component(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    view = turn.view.at(path)
    inputs = step_inputs(plan, view)
    secrets = step_secrets(plan, view)
    if reused(turn, path, inputs, secrets):
        return
    gates = gates_of(turn, plan.gates, path)
    fairness = step_share(plan, view)
    turn.emit(ev.StepScheduled(path, inputs, "", gates, secrets, fairness))


def _loop(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    _hold(turn, path, plan, st.LOOP)


def _block(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    _hold(turn, path, plan, st.BLOCK)
    turn.reach.extend(all_inside(path, plan.inner))


def _hold(turn: DecisionBuilder, path: str, plan: StepPlan, kind: str) -> None:
    """Begin a step that holds others."""
    inputs = step_inputs(plan, turn.view.at(path))
    turn.emit(ev.StepScheduled(path, inputs, kind))
    _limit(turn, path, plan)
    turn.check[path] = None


def reused(
    turn: DecisionBuilder,
    path: str,
    inputs: Mapping[str, Json],
    secrets: Sequence[Json] | None = None,
) -> bool:
    """Let the result of a step stand that is done again with the same inputs; False when there is none."""
    memorised = turn.state.memo.get(path)
    if memorised is None or not _equal(memorised.inputs, inputs):
        return False
    # The same text may have its secret in another part. What older versions wrote does not say where it was.
    if memorised.secrets is not None and not _equal(memorised.secrets, secrets):
        return False
    turn.emit(ev.StepResultReused(path))
    turn.settle.append(path)
    return True


def _equal(one: Json, other: Json) -> bool:
    return canonical(one) == canonical(other)


def gates_of(
    turn: DecisionBuilder, gates: tuple[Gate, ...], path: str
) -> tuple[Json, ...]:
    """Return the gates of a step as the log has them: kind, key, limit, period in ms.

    Raises ExpressionFailed.
    """
    if not gates:
        return ()
    view = turn.view.at(path) if path else turn.view
    return tuple([_gate(gate, view) for gate in gates])


def _gate(gate: Gate, view: RunView) -> list[Json]:
    key = render(value_of(gate.key, view))
    return [gate.kind, key, gate.limit, gate.per_ms, gate.policy]


def _begin_foreach(
    turn: DecisionBuilder, path: str, plan: StepPlan, foreach: Foreach
) -> None:
    items = value_of(foreach.items, turn.view.at(path))
    error = _wrong_items(turn, path, items)
    if error is not None:
        refuse(turn, path, error)
        return
    turn.emit(ev.StepScheduled(path, {"items": items}, st.FOREACH))
    _limit_total(turn, path, plan)
    turn.check[path] = None


def _wrong_items(
    turn: DecisionBuilder, path: str, items: Json
) -> dict[str, Json] | None:
    """Return the error of a foreach that cannot run over something, None where it can."""
    if not isinstance(items, list | dict):
        kind = type_name(items)
        message = f"step {path}: foreach needs an array or an object, not {kind}"
        return terminal("InvalidForeach", message)
    count = len(items)
    if count > MAX_ITEMS:
        message = f"step {path}: foreach over {count} items, more than {MAX_ITEMS}; split them into several runs"
        return terminal("InvalidForeach", message)
    together = nested_items(turn.state, path, count)
    if together > turn.bounds.items:
        message = (
            f"step {path}: {together:,} items with those of the foreach around it, more than {turn.bounds.items:,}; "
            "hand parts of them to child runs, or raise OPENAGENTS_MAX_ITEMS"
        )
        return terminal(ITEM_LIMIT, message)
    return None


def _limit_total(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    """Set the timer of a foreach that may take only so long, with all of its items."""
    limit_ms = plan.timeouts.total_ms
    if limit_ms:
        number = turn.state.steps[path].timers + 1
        turn.emit(ev.TimerSet(path, number, limit_ms))


def _limit(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    """Set the timer of a step that the engine carries out and that may take only so long."""
    limits = {plan.timeouts.start_to_close_ms, plan.timeouts.total_ms} - {0}
    if limits:
        number = turn.state.steps[path].timers + 1
        turn.emit(ev.TimerSet(path, number, min(limits)))


def _terminate(turn: DecisionBuilder, path: str, plan: StepPlan) -> None:
    status, output = terminate_output(plan, turn.view.at(path))
    turn.emit(ev.StepScheduled(path, {}))
    turn.emit(ev.StepCompleted(path, 0, output))
    if status != st.FAILED:
        end_completed(turn, lambda: output)
        return
    message = f"step {path} ended the run as failed"
    if isinstance(output, str):
        message = output
    end_failed(turn, terminal("Terminated", message, output=output), path)


def limit_again(turn: DecisionBuilder, paths: Iterable[str]) -> None:
    """Let the time limits of steps that hold others begin anew, where they go on."""
    for path in paths:
        plan = turn.plan.of(path)
        if turn.state.steps[path].kind == st.FOREACH:
            _limit_total(turn, path, plan)
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
    wait = plan.wait
    if wait is None:
        return
    view = turn.view.at(path)
    shown: dict[str, Json] = {
        "signals": [_shown_signal(signal, view) for signal in wait.signals]
    }
    try:
        timer, shown_time = _time_of_wait(turn, path, wait)
    except InvalidTime as error:
        refuse(turn, path, terminal("InvalidTime", f"step {path}: {error}"))
        return
    shown |= shown_time
    if reused(turn, path, shown):
        return
    turn.emit(ev.StepScheduled(path, shown, "wait"))
    if take_signal(turn, path):
        turn.settle.append(path)
    elif timer is not None:
        is_over = not (timer.delay_ms or timer.at_ms)
        turn.emit(ev.TimerSet(path, 1, 1) if is_over else timer)


def _shown_signal(signal: SignalWait, view: RunView) -> dict[str, Json]:
    """Return what the inputs of a wait show of a signal that it waits for."""
    name = render(value_of(signal.name, view))
    key = None if signal.key is None else render(value_of(signal.key, view))
    return {"name": name, "key": key}


def _time_of_wait(
    turn: DecisionBuilder, path: str, wait: Wait
) -> tuple[ev.TimerSet | None, dict[str, Json]]:
    """Return the timer or the time limit of a wait, None where it has neither, and what its inputs show of it.

    Raises InvalidTime and ExpressionFailed.
    """
    if wait.timer is not None:
        return timer_event(turn, path, wait.timer, 1)
    if wait.timeout is None:
        return None, {}
    timer, shown = timer_event(turn, path, Timer(seconds=wait.timeout), 1)
    return timer, {"timeout": shown["seconds"]}


def take_signal(turn: DecisionBuilder, path: str) -> bool:
    """Return a waiting step the oldest signal that fits; False when there is none."""
    awaited = turn.state.steps[path].inputs.get("signals", ())
    signal = _oldest_fitting(turn.state.signals, awaited)
    if signal is None:
        return False
    turn.emit(ev.SignalTaken(path, signal.id))
    facts = {
        "signal": signal.name,
        "key": signal.key,
        "payload": signal.payload,
        "by": signal.by,
        "reason": signal.reason,
        "at_ms": signal.at_ms,
    }
    wait = turn.plan.of(path).wait
    takes_any = wait is not None and wait.any
    output = facts if takes_any else signal.payload
    complete(turn, path, 0, output, facts)
    return True


def _oldest_fitting(
    signals: Iterable[st.Signal], awaited: Iterable[Mapping[str, Json]]
) -> st.Signal | None:
    """Return the first of some signals that is awaited; what waits without a key takes any key."""
    fitting = [(str(entry["name"]), entry["key"]) for entry in awaited]
    for signal in signals:
        if (signal.name, signal.key) in fitting or (signal.name, None) in fitting:
            return signal
    return None


def timer_won(turn: DecisionBuilder, path: str) -> None:
    """End a wait whose timer came before any signal."""
    names = ("signal", "key", "payload", "by", "reason", "at_ms")
    facts: dict[str, Json] = dict.fromkeys(names)
    facts["timer"] = True
    complete(turn, path, 0, facts, facts)


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
        message = f"step {path}: {child_limit(turn.bounds)}"
        refuse(turn, path, terminal(CHILD_LIMIT, message))
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
    plan = turn.plan.of(path)
    number = turn.state.steps[path].children + 1
    child = turn.child_id(f"{turn.state.run}/{path}#{number}")
    workflow = plan.child.workflow if plan.child else ""
    turn.emit(ev.ChildStarted(path, child, workflow))
    if number > 1:
        _limit(turn, path, plan)


_BEGIN: Final[Mapping[str, Callable[[DecisionBuilder, str, StepPlan], None]]] = {
    "component": _component,
    "terminate": _terminate,
    "sleep": _sleep,
    "wait": _wait,
    "workflow": _child,
    "loop": _loop,
}
"""How steps begin, by kind; all others are blocks."""
