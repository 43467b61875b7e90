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
from openagents_json.workflow.core.decide.routes import order_of, withdrawable
from openagents_json.workflow.core.decide.step_start import REUSED, limit_again
from openagents_json.workflow.core.paths import (
    COMPENSATE,
    ON_FAILURE,
    compensation_of,
    container_of,
    frame_of,
    inside,
    is_item,
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
    found = _Found(turn)
    if command.replay:
        found.forgotten |= set(state.steps)
    elif command.step:
        if command.step not in state.steps:
            raise cmd.Rejected(
                "unknown_step", _unknown(state, command.step), state.status
            )
        found.again(command.step)
    else:
        found.undone()
        if not found.forgotten and state.status == st.COMPLETED and not command.migrate:
            raise cmd.Rejected(
                "completed",
                "the run completed: name the step to begin with again",
                state.status,
            )
    found.unwinding()
    plan = turn.plan
    definition, version = (plan.hash, plan.version) if command.migrate else ("", "")
    if command.migrate:
        _check_fit(turn, found.forgotten)
    inputs = None if command.inputs is None else {**state.inputs, **command.inputs}
    kept, changed = _reusable(turn, command) if command.replay else ([], [])
    lists = found.lists()
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
    found = [
        path
        for path in forgotten
        if steps[path].status == st.COMPLETED and not steps[path].kind
    ]
    if (
        plan.persistence.mode == "outcome" and turn.state.status == st.COMPLETED
    ):  # the log does not say which they were
        found += [
            path
            for path, step in plan.steps.items()
            if step.kind == "component" and path not in steps
        ]
    return found


def _reusable(
    turn: DecisionBuilder, command: cmd.ReopenRun
) -> tuple[list[str], list[str]]:
    """Return the steps whose results may stand if their inputs stay the same, and those that are not the same steps."""
    kept: list[str] = []
    changed: list[str] = []
    for path, step in turn.state.steps.items():
        leaf = step.kind in REUSED and not _is_unwinding(path)
        if (
            leaf
            and step.status == st.COMPLETED
            and not _is_undone(turn.state, path, step)
        ):
            (changed if static(path) in command.changed else kept).append(path)
    return turn.in_order(kept), turn.in_order(changed)


def override(turn: DecisionBuilder, command: cmd.OverrideStep) -> None:
    """Say how a step ended; in a closed run, whatever else failed is done again.

    Raises Rejected when the run has no such step, or it has ended already in a run that is open.
    """
    state, path = turn.state, command.step
    if path not in state.steps or _is_unwinding(path):
        raise cmd.Rejected("unknown_step", _unknown(state, path), state.status)
    if state.closed:
        found = _Found(turn)
        found.again(path)
        found.undone()
        above = [other for other in found.forgotten if within(path, other)]
        if above:
            whole = min(above, key=len)
            what = f"step {path} is a part of {whole}, which has to be done again: complete that, or retry"
            raise cmd.Rejected("part_of_undone", what, state.status)
        found.unwinding()
        lists = found.lists()
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
    found = _Found(turn)
    found.open()
    inputs = None if command.inputs is None else {**state.inputs, **command.inputs}
    lists = found.lists()
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


def _is_unwinding(path: str) -> bool:
    return path.endswith(COMPENSATE) or path == ON_FAILURE or within(path, ON_FAILURE)


def _is_undone(state: st.RunState, path: str, step: st.StepState) -> bool:
    """Tell whether a step has no result that counts: it failed, was withdrawn, or was compensated."""
    if step.status == st.CANCELLED or (
        step.status == st.FAILED and step.then == "fail" and not step.group
    ):
        return True
    undo = state.steps.get(compensation_of(path))
    return undo is not None and undo.status == st.COMPLETED


def _has_just_ended_it(state: st.RunState, path: str) -> bool:
    """Tell whether a step that ends the run was the last to complete, or has made it fail."""
    step = state.steps[path]
    return step.status == st.COMPLETED and (
        step.sequence == state.sequence or path == state.failed_step
    )


def _holds_some(state: st.RunState, path: str, step: st.StepState) -> bool:
    holds = step.kind in st.GROUPS or step.kind == st.BLOCK
    return (
        holds
        and step.status != st.COMPLETED
        and any(within(other, path) for other in state.steps)
    )


def _above_is_settled(state: st.RunState, path: str) -> bool:
    """Tell whether a step lies inside of one that is resolved, so that nobody waits for it any more."""
    while True:
        if is_item(path):
            path = container_of(path)[0]
        elif not (path := frame_of(path)):
            return False
        step = state.steps.get(path)
        if step is not None and (
            step.status == st.COMPLETED
            or (step.status == st.FAILED and step.then != "fail")
        ):
            return True


def _unknown(state: st.RunState, path: str) -> str:
    known = sorted(name for name in state.steps if not _is_unwinding(name))
    return f"the run has no step {path!r}; it has {', '.join(known[:20])}{' ...' if len(known) > 20 else ''}"


class _Found:
    """Collects what is forgotten and what goes on."""

    def __init__(self, turn: DecisionBuilder) -> None:
        self._turn = turn
        self.forgotten: set[str] = set()
        self.reactivated: set[str] = set()

    def again(self, path: str) -> None:
        """Forget a step with all that is inside of it and behind it, up to the run itself."""
        if path in self.forgotten:
            return
        self._forget(path)
        if is_item(path):
            container, index = container_of(path)
            self._go_on(container)
            if self._turn.plan.of(container).loop is not None:
                self._iterations_after(container, index)
            return
        frame = frame_of(path)
        for name in self._behind(frame, path):
            self._forget(inside(frame, name))
        if frame:
            self._go_on(frame)

    def undone(self) -> None:
        """Forget what failed, was withdrawn or was undone, and whose results are still wanted."""
        state = self._turn.state
        own = {
            path: step for path, step in state.steps.items() if not _is_unwinding(path)
        }
        undone = {path for path, step in own.items() if _is_undone(state, path, step)}
        self._undone(undone)
        for path, step in own.items():  # groups that failed though nothing inside did
            failed = (
                step.status == st.FAILED
                and step.then == "fail"
                and path not in self.reactivated
            )
            if failed and not _above_is_settled(state, path):
                self.again(path)
        if state.failed_step in own and state.failed_step not in self.reactivated:
            self.again(str(state.failed_step))

    def _undone(self, paths: set[str]) -> None:
        """Forget steps whose results are still wanted; what a join has no need of is, once the join is done again."""
        state, before = self._turn.state, -1
        while before != len(self.forgotten):
            before, needless = len(self.forgotten), self._needless()
            for path in paths:
                if _above_is_settled(state, path) or any(
                    path == x or within(path, x) for x in needless
                ):
                    continue
                if _holds_some(
                    state, path, state.steps[path]
                ):  # what is done inside of it is kept
                    self._go_on(path)
                else:
                    self.again(path)

    def _needless(self) -> set[str]:
        """Return the steps that were withdrawn by a join which had what it wanted, and which stays as it is."""
        turn, found = self._turn, set[str]()
        if not any(plan.cancel_rest for plan in turn.plan.steps.values()):
            return found
        for path, step in turn.state.steps.items():
            if _is_unwinding(path) or is_item(path) or path in self.forgotten:
                continue
            plan, frame = turn.plan.of(path), frame_of(path)
            if plan.cancel_rest and (
                step.status != st.SKIPPED or step.then == "continue"
            ):
                names = withdrawable(
                    turn.plan, plan, frame, turn.state, frozenset({st.CANCELLED})
                )
                found.update(inside(frame, name) for name in names)
        return found

    def open(self) -> None:
        """Forget what somebody was doing, and what was just decided: that a run or a part of it ends."""
        state, plan = self._turn.state, self._turn.plan
        if state.status == st.CANCELLING:
            self.undone()
        cancelled = {
            path for path, step in state.steps.items() if step.status == st.CANCELLED
        }
        self._undone({path for path in cancelled if not _is_unwinding(path)})
        for path, step in state.steps.items():
            if _is_unwinding(path):
                continue
            if path in state.open_steps and step.kind in st.GROUPS | {st.BLOCK}:
                self.reactivated.add(path)
            elif path in state.open_steps or (
                plan.of(path).kind == "terminate" and _has_just_ended_it(state, path)
            ):
                self.forgotten.add(path)
        self.unwinding()

    def _go_on(self, path: str) -> None:
        """Let a step that holds others go on, and do again what is behind it."""
        if path in self.reactivated:
            return
        self.reactivated.add(path)
        if is_item(path):
            container, index = container_of(path)
            if self._turn.plan.of(container).loop is not None:
                self._iterations_after(container, index)
            self._go_on(container)
            return
        frame = frame_of(path)
        for name in self._behind(frame, path):
            self._forget(inside(frame, name))
        if frame:
            self._go_on(frame)

    def _iterations_after(self, container: str, index: int) -> None:
        step = self._turn.state.steps[container]
        for number in range(index + 1, step.group.opened if step.group else 0):
            self._forget(f"{container}[{number}]")

    def _behind(self, frame: str, path: str) -> Iterable[str]:
        """Return the steps of a frame that a step leads to."""
        plan, todo = self._turn.plan, [path]
        seen: dict[str, None] = {}
        while todo:
            for name in plan.of(todo.pop()).targets:
                if name not in seen:
                    seen[name] = None
                    todo.append(inside(frame, name))
        return [name for name in order_of(plan, frame) if name in seen]

    def _forget(self, path: str) -> None:
        steps = self._turn.state.steps
        if path in steps:
            self.forgotten.add(path)
        self.forgotten |= {
            other
            for other in steps
            if within(other, path) or other.startswith(path + COMPENSATE)
        }

    def lists(self) -> tuple[list[str], list[str]]:
        """Return what is forgotten and what goes on, in document order."""
        in_order = self._turn.in_order
        return in_order(self.forgotten), in_order(self.reactivated - self.forgotten)

    def unwinding(self) -> None:
        """Forget how the run ended; what was undone and is not done again is undone no more."""
        self.forgotten |= {
            path for path in self._turn.state.steps if _is_unwinding(path)
        }
