"""Which steps are done again when a run is opened again, and which of those that hold others go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import DecisionBuilder
from openagents_json.workflow.core.decide.routes import order_of, withdrawable
from openagents_json.workflow.core.paths import (
    COMPENSATE,
    compensation_of,
    container_of,
    frame_of,
    inside,
    is_item,
    is_unwinding,
    within,
)

_HOLDERS: Final = st.GROUPS | {st.BLOCK}


def is_undone(state: st.RunState, path: str, step: st.StepState) -> bool:
    """Tell whether a step has no result that counts: it failed, was withdrawn, or was compensated."""
    has_failed = step.failed_for_good and not step.group
    if has_failed or step.status == st.CANCELLED:
        return True
    undo = state.steps.get(compensation_of(path))
    return undo is not None and undo.status == st.COMPLETED


def _has_just_ended_it(state: st.RunState, path: str) -> bool:
    """Tell whether a step that ends the run was the last to complete, or has made it fail."""
    step = state.steps[path]
    return step.status == st.COMPLETED and (
        step.sequence == state.sequence or path == state.failed_step
    )


def _is_in(path: str, others: Iterable[str]) -> bool:
    return any(path == other or within(path, other) for other in others)


def _holds_some(state: st.RunState, path: str, step: st.StepState) -> bool:
    if step.kind not in _HOLDERS or step.status == st.COMPLETED:
        return False
    return any(within(other, path) for other in state.steps)


def _above_is_settled(state: st.RunState, path: str) -> bool:
    """Tell whether a step lies inside of one that is resolved, so that nobody waits for it any more."""
    while True:
        if is_item(path):
            path = container_of(path)[0]
        elif not (path := frame_of(path)):
            return False
        step = state.steps.get(path)
        if step is not None and step.counts_as_completed:
            return True


class RedoneSteps:
    """Collects the steps that are forgotten, to be done again, and those holding others that go on."""

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
            path: step for path, step in state.steps.items() if not is_unwinding(path)
        }
        undone = {path for path, step in own.items() if is_undone(state, path, step)}
        self._undone(undone)
        for path, step in own.items():  # groups that failed though nothing inside did
            failed = step.failed_for_good and path not in self.reactivated
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
                if _above_is_settled(state, path) or _is_in(path, needless):
                    continue
                # What is done inside of it is kept.
                if _holds_some(state, path, state.steps[path]):
                    self._go_on(path)
                else:
                    self.again(path)

    def _needless(self) -> set[str]:
        """Return the steps that were withdrawn by a join which had what it wanted, and which stays as it is."""
        turn, needless = self._turn, set[str]()
        if not any(plan.cancel_rest for plan in turn.plan.steps.values()):
            return needless
        for path, step in turn.state.steps.items():
            if is_unwinding(path) or is_item(path) or path in self.forgotten:
                continue
            plan, frame = turn.plan.of(path), frame_of(path)
            if plan.cancel_rest and (
                step.status != st.SKIPPED or step.then == "continue"
            ):
                names = withdrawable(
                    turn.plan, plan, frame, turn.state, frozenset({st.CANCELLED})
                )
                needless.update(inside(frame, name) for name in names)
        return needless

    def under_way(self) -> None:
        """Forget what somebody was doing, and what was just decided: that a run or a part of it ends."""
        state, plan = self._turn.state, self._turn.plan
        if state.status == st.CANCELLING:
            self.undone()
        cancelled = {
            path for path, step in state.steps.items() if step.status == st.CANCELLED
        }
        self._undone({path for path in cancelled if not is_unwinding(path)})
        for path, step in state.steps.items():
            if is_unwinding(path):
                continue
            is_open = path in state.open_steps
            if is_open and step.kind in _HOLDERS:
                self.reactivated.add(path)
            elif is_open or (
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
            path for path in self._turn.state.steps if is_unwinding(path)
        }
