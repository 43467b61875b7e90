"""A store, its workers and its relay in memory, with a clock that jumps to whatever is due next.

It decides with the same core as the engine and keeps the same indexes, so what happens here happens there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventstore.run_model import DueMember
from openagents_json.components.binding import plain
from openagents_json.simulation.errors import Stuck
from openagents_json.simulation.lives import Lives, SimulatedRun
from openagents_json.simulation.stubs import Call, Stubs, context_of
from openagents_json.work_index import DueKey, DueKind, timer_of
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.concurrency_owner import parent_of_child
from openagents_json.workflow.core.decide.elapsed import begun_too_late
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.usage import on_log
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.types import Json

STEPS_AT_MOST = 200_000
UNWANTED = "its parent does not need it any more"


LIMITS = frozenset(
    {
        DueKind.RUN_LIMIT,
        DueKind.CANCEL_GRACE,
        DueKind.TOTAL,
        DueKind.SCHEDULE_TO_START,
        DueKind.LEASE,
    }
)
"""What ends something that may end by itself before: nobody waits for it who waits for no time in particular."""


class World:
    """Runs in memory; `now_ms` is the time in ms since 1970 and moves only when somebody moves it.

    What takes more than `most` steps and timers at once is taken to have no end.
    """

    def __init__(
        self,
        cast: Stubs,
        workflows: Mapping[str, Plan],
        now_ms: int,
        *,
        most: int = STEPS_AT_MOST,
    ) -> None:
        self.cast = cast
        self.workflows = workflows
        self.now_ms = now_ms
        self._most = most
        self.lives: dict[str, SimulatedRun] = {}
        self._runs = Lives(lambda: self.now_ms)
        self.emitted: list[tuple[str, str, Any]] = []
        self._holders: dict[str, list[str]] = {}
        self._fence = 0

    # -- commands ----------------------------------------------------------------------------------------

    def start(
        self, run: str, plan: Plan, inputs: Mapping[str, Json], **more: Any
    ) -> SimulatedRun:
        """Begin a run.

        Raises InvalidInputs.
        """
        life = self.lives[run] = SimulatedRun(run, plan)
        self._runs.start(life, inputs, **more)
        return life

    def fork(self, life: SimulatedRun, at: int, run: str) -> SimulatedRun:
        """Begin a run with the past of another one up to an event.

        Raises Rejected.
        """
        new = self.lives[run] = self._runs.fork(life, at, run)
        return new

    def give(self, life: SimulatedRun, command: cmd.Command) -> list[ev.Event]:
        """Decide on a command and apply what happens.

        Raises Rejected.
        """
        return self._runs.give(life, command)

    def give_facts(self, life: SimulatedRun, command: cmd.RecordOutcomes) -> None:
        """Store the outcomes of a command without the decision on them, as of a worker that others overtook."""
        self._runs.give_facts(life, command)

    @property
    def due(self) -> dict[DueKey, int]:
        """Return what will be due, with its time."""
        return dict(self._runs.due())

    def claimable(self, life: SimulatedRun) -> list[str]:
        """Return the steps of a run that may be claimed."""
        return self._runs.claimable(life)

    # -- going on ----------------------------------------------------------------------------------------

    def go_on(self, until_ms: int | None = None) -> None:
        """Let everything happen that can, up to a time; without one, until nothing is left but signals.

        Raises Stuck when there is no end to it.
        """
        for _ in range(self._most):
            if not (self._work() or self._look(until_ms)):
                break
        else:
            raise Stuck(
                f"there is no end to it: {self._most} steps and timers, and more to come"
            )
        if until_ms is not None:
            self.now_ms = max(self.now_ms, until_ms)

    def _work(self) -> bool:
        for life in self.lives.values():
            step = self._runs.next_claimable(life)
            if step is not None:
                self.perform(life, step)
                return True
        return False

    def claim(self, life: SimulatedRun, step: str) -> st.StepState:
        """Take a step as a worker does."""
        return self._runs.claim(life, step)

    def perform(self, life: SimulatedRun, step: str) -> None:
        """Run one step."""
        begun = self.claim(life, step)
        plan = life.plan.of(step)
        too_late = begun_too_late(plan, begun)
        if too_late is not None:
            self.give(
                life, cmd.RecordOutcomes((cmd.Failed(step, begun.attempt, too_late),))
            )
            return
        key = life.state.idempotency_key(step)
        call = Call(
            component=plan.component or "",
            step=step,
            attempt=begun.attempt,
            inputs=begun.inputs,
            run=life.id,
            idempotency_key=key,
        )
        context = context_of(
            call,
            life.state.workflow,
            lambda: self.now_ms,
            lambda x: self.emitted.append((life.id, step, plain(x))),
        )
        self.give(life, cmd.RecordOutcomes((self.cast.perform(call, context),)))

    def _look(self, until_ms: int | None) -> bool:
        """Act on what is due next; False when nothing is, or not yet."""
        due_next = self._next(until_ms)
        if due_next is None:
            return False
        at, key = due_next
        self.now_ms = max(self.now_ms, at)
        member = self._runs.take(key)
        if member is not None:
            self._act(member)
        return True

    def _next(self, until_ms: int | None) -> tuple[int, DueKey] | None:
        """Return what is due next; of what is due at one time, the first by its kind and run."""
        first: tuple[int, DueKey] | None = None
        for key, at in self._runs.due():
            if (until_ms is not None and at > until_ms) or (
                first is not None and at > first[0]
            ):
                break
            if key.kind is DueKind.SIGNAL or (until_ms is None and key.kind in LIMITS):
                continue
            first = min(first or (at, key), (at, key))
        return first

    def _act(self, member: DueMember) -> None:
        life = self.lives[member.run]
        key = member.key
        if key.kind is not DueKind.LEASE:  # a lease goes with the decision on its loss
            self._runs.forget(life, key)
        match member.kind:
            case DueKind.TIMER:
                self.give(life, cmd.FireTimer(*timer_of(key.subject)))
            case DueKind.LEASE:
                self.give(life, cmd.LoseLease(key.subject, member.fence, member.begun))
            case DueKind.START_TO_CLOSE:
                self.give(
                    life, cmd.TimeOutStep(key.subject, "start_to_close", member.fence)
                )
            case DueKind.SCHEDULE_TO_START:
                self.give(life, cmd.TimeOutStep(key.subject, "schedule_to_start"))
            case DueKind.TOTAL:
                self.give(life, cmd.TimeOutStep(key.subject, "total"))
            case DueKind.RUN_LIMIT:
                self.give(life, cmd.TimeOutRun())
            case DueKind.CANCEL_GRACE if not life.state.closed:
                self.give(life, cmd.CancelRun(force=True))
            case _:
                self._act_across(member.kind, life, key.subject)

    def _act_across(self, kind: DueKind, life: SimulatedRun, step: str) -> None:
        match kind:
            case DueKind.CHILD:
                self._look_after_child(life, step)
            case DueKind.PARENT:
                self._tell_parent(life)
            case DueKind.CANCEL_CHILD:
                child = self.lives.get(step)
                if child is not None and not child.state.closed:
                    self.give(child, cmd.CancelRun(UNWANTED))
            case DueKind.GATES:
                self._gates(life, step)
            case DueKind.GIVE_BACK:
                self._give_back(f"{life.id}|{step}")
            case _:
                pass

    # -- children ----------------------------------------------------------------------------------------

    def _look_after_child(self, life: SimulatedRun, step: str) -> None:
        step_state = life.state.steps.get(step)
        if step_state is None or step_state.status not in (st.ACTIVE, st.COMPLETED):
            return
        child = self.lives.get(step_state.child)
        if child is None:
            self._start_child(life, step, step_state)
        elif life.state.status == st.PAUSED and child.state.status == st.RUNNING:
            self.give(child, cmd.PauseRun("its parent is paused"))
        elif life.state.status == st.RUNNING and child.state.status == st.PAUSED:
            self.give(child, cmd.ResumeRun())

    def _start_child(
        self, life: SimulatedRun, step: str, step_state: st.StepState
    ) -> None:
        reference = life.plan.of(step).child
        name = reference.workflow.partition("@")[0] if reference else ""
        plan = life.plan if name == life.plan.id else self.workflows.get(name)
        parent = parent_of_child(
            life.state, step, detached=reference is not None and reference.detached
        )
        error: dict[str, Json] = {
            "type": "UnknownWorkflow",
            "message": f"the test has no workflow {name!r}",
        }
        if plan is not None:
            try:
                self.start(step_state.child, plan, step_state.inputs, parent=parent)
                return
            except InvalidInputs as problem:
                del self.lives[step_state.child]
                error = {"type": "InvalidInputs", "message": str(problem)}
        error["retryable"] = False
        self.give(life, cmd.CloseChild(step, step_state.child, st.FAILED, error=error))

    def _tell_parent(self, life: SimulatedRun) -> None:
        parent = life.state.parent or {}
        above = self.lives.get(str(parent.get("run")))
        state = life.state
        if above is not None and not above.state.closed:
            closed = cmd.CloseChild(
                step=str(parent["step"]),
                child=life.id,
                status=state.status,
                output=state.output,
                error=state.error,
                usage=on_log(state.used) or None,
            )
            self.give(above, closed)

    # -- limits ------------------------------------------------------------------------------------------

    def _gates(self, life: SimulatedRun, step: str) -> None:
        waits = life.state.steps[step].waits if step else life.state.queue
        member = f"{life.id}|{step}"
        fences = {}
        for kind, key, limit, _, policy in waits:
            if kind == "debounce":
                self._supersede(life, key)
            if kind in ("rate", "debounce"):
                continue
            holders = self._holders.setdefault(f"{kind}:{key}", [])
            if member not in holders and len(holders) >= limit:
                if policy == "reject":
                    message = f"{limit} runs with the key {key!r} are under way, the most that the workflow allows"
                    self.give(
                        life,
                        cmd.RefuseRun({"type": "ConcurrencyLimit", "message": message}),
                    )
                elif policy == "cancel_oldest":
                    self._cancel_oldest(life, holders)
                return
            if member not in holders:
                holders.append(member)
            self._fence += 1
            fences[key] = self._fence
        self.give(life, cmd.Admit(step, fences))

    def _cancel_oldest(self, life: SimulatedRun, holders: list[str]) -> None:
        """Cancel the oldest run that holds a place, but no run above the one that wants it."""
        above = set[str]()
        parent = life.state.parent
        while parent is not None:
            above.add(str(parent["run"]))
            parent = self.lives[str(parent["run"])].state.parent
        runs = [
            run for holder in holders if (run := holder.partition("|")[0]) not in above
        ]
        if runs:
            self.give(self.lives[runs[0]], cmd.CancelRun("a newer run takes its place"))

    def _supersede(self, life: SimulatedRun, key: str) -> None:
        """Cancel the runs of the same key that wait for theirs; the newest is the one that begins."""
        for other in self.lives.values():
            keys = [gate[1] for gate in other.state.queue if gate[0] == "debounce"]
            is_ahead = (
                other is not life
                and other.state.status == st.QUEUED
                and key in keys
                and other.id < life.id
            )
            if is_ahead:
                self.give(other, cmd.CancelRun("a newer start took its place"))

    def _give_back(self, member: str) -> None:
        for holders in self._holders.values():
            if member in holders:
                holders.remove(member)
        for life in self.lives.values():
            if life.state.status == st.QUEUED:
                self._runs.remind(life, DueKind.GATES, "")
            for step in life.state.open_steps:
                if life.state.steps[step].status == st.GATED:
                    self._runs.remind(life, DueKind.GATES, step)
