"""Which steps are done again when a run is opened again, and which of those that hold others go on."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import DecisionBuilder
from openagents_json.workflow.core.decide.routes import order_of, withdrawable
from openagents_json.workflow.core.paths import (
    all_inside,
    compensation_of,
    container_name,
    container_of,
    frame_of,
    is_item,
    is_unwinding,
    item,
    within,
)

_HOLDERS: Final = st.GROUPS | {st.BLOCK}
_WITHDRAWN: Final = frozenset({st.CANCELLED})


def is_undone(state: st.RunState, path: str, step: st.StepState) -> bool:
    """Tell whether a step has no result that counts: it failed, was withdrawn, or was compensated."""
    has_failed = step.failed_for_good and not step.group
    if has_failed or step.status == st.CANCELLED:
        return True
    undo = state.steps.get(compensation_of(path), st.NO_STEP)
    return undo.status == st.COMPLETED


def _has_just_ended_it(state: st.RunState, path: str) -> bool:
    """Tell whether a step that ends the run was the last to complete, or has made it fail."""
    step = state.steps[path]
    if step.status != st.COMPLETED:
        return False
    return step.sequence == state.sequence or path == state.failed_step


def _is_in(path: str, others: Set[str]) -> bool:
    """Tell whether a step is one of some others, or lies inside of one of them."""
    return path in others or any(within(path, other) for other in others)


def _holds_some(state: st.RunState, path: str, step: st.StepState) -> bool:
    """Tell whether a step that has not completed has others inside of it."""
    if step.kind not in _HOLDERS or step.status == st.COMPLETED:
        return False
    return any(within(other, path) for other in state.steps)


def _above_is_settled(state: st.RunState, path: str) -> bool:
    """Tell whether a step lies inside of one that is resolved, so that nobody waits for it any more."""
    path = _holder_of(path)
    while path:
        if state.steps.get(path, st.NO_STEP).counts_as_completed:
            return True
        path = _holder_of(path)
    return False


def _holder_of(path: str) -> str:
    """Return the step that holds another one: its container or its frame, empty for the run."""
    if is_item(path):
        return container_name(path)
    return frame_of(path)


class RedoneSteps:
    """Collects the steps that are forgotten, to be done again, and those holding others that go on."""

    def __init__(self, turn: DecisionBuilder) -> None:
        self._turn = turn
        self.forgotten: set[str] = set()
        self.reactivated: set[str] = set()

    def again(self, path: str) -> None:
        """Forget a step with all that is inside of it and behind it, up to the run itself."""
        if path not in self.forgotten:
            self._forget(path)
            self._forget_what_follows(path)

    def undone(self) -> None:
        """Forget what failed, was withdrawn or was undone, and whose results are still wanted."""
        state = self._turn.state
        own = self._own_steps()
        undone = {path for path, step in own.items() if is_undone(state, path, step)}
        self._undone(undone)
        # Groups that failed though nothing inside did.
        failed = [path for path, step in own.items() if step.failed_for_good]
        for path in failed:
            is_settled = path in self.reactivated or _above_is_settled(state, path)
            if not is_settled:
                self.again(path)
        if state.failed_step in own and state.failed_step not in self.reactivated:
            self.again(str(state.failed_step))

    def _own_steps(self) -> dict[str, st.StepState]:
        """Return the steps of the run without those that undo others, or are done because it failed."""
        steps = self._turn.state.steps
        return {path: steps[path] for path in steps if not is_unwinding(path)}

    def _undone(self, paths: set[str]) -> None:
        """Forget steps whose results are still wanted; what a join has no need of is, once the join is done again."""
        state = self._turn.state
        candidates = [path for path in paths if not _above_is_settled(state, path)]
        before = -1
        while before != len(self.forgotten):
            before = len(self.forgotten)
            needless = self._needless()
            for path in candidates:
                if not _is_in(path, needless):
                    self._again_or_on(path)

    def _again_or_on(self, path: str) -> None:
        """Do a step again; one that holds others goes on, and what is done inside of it is kept."""
        state = self._turn.state
        if _holds_some(state, path, state.steps[path]):
            self._go_on(path)
        else:
            self.again(path)

    def _needless(self) -> set[str]:
        """Return the steps that were withdrawn by a join which had what it wanted, and which stays as it is."""
        turn = self._turn
        needless: set[str] = set()
        if not any(plan.cancel_rest for plan in turn.plan.steps.values()):
            return needless
        for path, step in self._own_steps().items():
            if is_item(path) or path in self.forgotten:
                continue
            join = turn.plan.of(path)
            frame = frame_of(path)
            has_begun = step.status != st.SKIPPED or step.then == "continue"
            if join.cancel_rest and has_begun:
                names = withdrawable(turn.plan, join, frame, turn.state, _WITHDRAWN)
                needless.update(all_inside(frame, names))
        return needless

    def under_way(self) -> None:
        """Forget what somebody was doing, and what was just decided: that a run or a part of it ends."""
        state = self._turn.state
        if state.status == st.CANCELLING:
            self.undone()
        own = self._own_steps()
        self._undone(set(state.with_status(st.CANCELLED, own)))
        for path, step in own.items():
            is_open = path in state.open_steps
            if is_open and step.kind in _HOLDERS:
                self.reactivated.add(path)
            elif is_open or self._has_just_ended_it(path):
                self.forgotten.add(path)
        self.unwinding()

    def _has_just_ended_it(self, path: str) -> bool:
        is_terminate = self._turn.plan.of(path).kind == "terminate"
        return is_terminate and _has_just_ended_it(self._turn.state, path)

    def _go_on(self, path: str) -> None:
        """Let a step that holds others go on, and do again what is behind it."""
        if path not in self.reactivated:
            self.reactivated.add(path)
            self._forget_what_follows(path)

    def _forget_what_follows(self, path: str) -> None:
        """Forget what is behind a step, and let go on what holds it, up to the run itself."""
        if is_item(path):
            container, index = container_of(path)
            if self._turn.plan.of(container).loop is not None:
                self._iterations_after(container, index)
            self._go_on(container)
            return
        frame = frame_of(path)
        for behind in self._behind(frame, path):
            self._forget(behind)
        if frame:
            self._go_on(frame)

    def _iterations_after(self, container: str, index: int) -> None:
        count = self._turn.state.steps[container].opened
        for number in range(index + 1, count):
            self._forget(item(container, number))

    def _behind(self, frame: str, path: str) -> Iterable[str]:
        """Return the steps of a frame that a step leads to."""
        plan = self._turn.plan
        todo = [path]
        seen: set[str] = set()
        while todo:
            targets = set(plan.of(todo.pop()).targets) - seen
            seen |= targets
            todo += all_inside(frame, targets)
        names = [name for name in order_of(plan, frame) if name in seen]
        return all_inside(frame, names)

    def _forget(self, path: str) -> None:
        """Forget a step with all that is inside of it, and with what undoes it or them."""
        steps = self._turn.state.steps
        if path in steps:
            self.forgotten.add(path)
        undo = compensation_of(path)
        for other in steps:
            if within(other, path) or other.startswith(undo):
                self.forgotten.add(other)

    def lists(self) -> tuple[list[str], list[str]]:
        """Return what is forgotten and what goes on, in document order."""
        in_order = self._turn.in_order
        return in_order(self.forgotten), in_order(self.reactivated - self.forgotten)

    def unwinding(self) -> None:
        """Forget how the run ended; what was undone and is not done again is undone no more."""
        self.forgotten.update(filter(is_unwinding, self._turn.state.steps))
