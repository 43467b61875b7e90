"""A store, its workers and its relay in memory, with a clock that jumps to whatever is due next.

It decides with the same core as the engine and keeps the same indexes, so what happens here happens there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openagents_json.components.binding import plain
from openagents_json.components.copies import own_copy
from openagents_json.simulation.errors import Stuck
from openagents_json.simulation.stubs import Call, Cast, context_of
from openagents_json.statuses import CLAIMED_RUN
from openagents_json.work_index import IndexChanges
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.concurrency_owner import parent_of_child
from openagents_json.workflow.core.decide.decider import decision
from openagents_json.workflow.core.decide.reopen import taken_over
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.evolve import evolve, evolve_all
from openagents_json.workflow.core.indexes.changes import changes, forked
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.types import Json

STEPS_AT_MOST = 200_000
UNWANTED = "its parent does not need it any more"


@dataclass(slots=True)
class Life:
    """A run in memory: its state, its events with their times, and the steps that may be claimed."""

    id: str
    plan: Plan
    state: st.RunState = field(default_factory=st.initial)
    events: list[tuple[int, ev.Event]] = field(default_factory=list)
    claimable: dict[str, None] = field(default_factory=dict)
    parked: dict[str, None] = field(default_factory=dict)


class World:
    """Runs in memory; `now_ms` is the time in ms since 1970 and moves only when somebody moves it.

    What takes more than `most` steps and timers at once is taken to have no end.
    """

    def __init__(self, cast: Cast, workflows: Mapping[str, Plan], now_ms: int, *, most: int = STEPS_AT_MOST) -> None:
        self.cast, self.workflows, self.now_ms = cast, workflows, now_ms
        self._most = most
        self.lives: dict[str, Life] = {}
        self.due: dict[tuple[str, str, str], int] = {}
        self.emitted: list[tuple[str, str, Any]] = []
        self._holders: dict[str, list[str]] = {}
        self._fence = 0

    # -- commands ----------------------------------------------------------------------------------------

    def start(self, run: str, plan: Plan, inputs: Mapping[str, Json], **more: Any) -> Life:
        """Begin a run.

        Raises InvalidInputs.
        """
        life = self.lives[run] = Life(run, plan)
        self.give(life, cmd.StartRun(run, own_copy(check_inputs(plan, inputs)), **more))
        return life

    def fork(self, life: Life, at: int, run: str) -> Life:
        """Begin a run with the past of another one up to an event.

        Raises Rejected.
        """
        past = taken_over([event for _, event in life.events[:at]], run)
        new = Life(run, life.plan, evolve_all(st.initial(), past), [(self.now_ms, event) for event in past])
        made = decision(new.plan, new.state, cmd.ForkRun(life.id, at), version=at)
        moved = forked(new.plan, new.state, made.events, made.state, at)
        new.events += [(self.now_ms, event) for event in made.events]
        new.state = self.lives.setdefault(run, new).state = made.state
        self._index(new, moved)
        return new

    def give(self, life: Life, command: cmd.Command) -> list[ev.Event]:
        """Decide on a command and apply what happens.

        Raises Rejected.
        """
        made = decision(life.plan, life.state, command, version=len(life.events))
        moved = changes(life.plan, life.state, made.events, made.state)
        for event in made.events:
            stored = from_data(type_name(event), to_data(event))
            after = evolve(life.state, stored)
            if after is life.state:
                raise AssertionError(f"{event} does not apply to {life.state}")
            life.state = after
            life.events.append((self.now_ms, stored))
        self._index(life, moved)
        if made.unfinished:
            self.give(life, cmd.Advance())
        return list(made.events)

    def _index(self, life: Life, moved: IndexChanges) -> None:
        for step in moved.closed:
            life.claimable.pop(step, None)
            life.parked.pop(step, None)
            self.due.pop(("r", life.id, step), None)
        for step in moved.suspended:
            if life.claimable.pop(step, False) is None:
                life.parked[step] = None
        for opened in moved.ready:
            if opened.delay_ms:
                self.due["r", life.id, opened.step] = self.now_ms + opened.delay_ms
            else:
                life.claimable[opened.step] = None
        for again in moved.requeued:
            if again.delay_ms:
                self.due["r", life.id, again.step] = self.now_ms + again.delay_ms
            else:
                life.claimable[again.step] = None
        for step in moved.resumed:
            if life.parked.pop(step, False) is None:
                life.claimable[step] = None
        self._time(life, moved)

    def _time(self, life: Life, moved: IndexChanges) -> None:
        for kind, step in moved.removed:
            self.due.pop((kind, life.id, step), None)
        for kind, step, delay, at in moved.timers:
            self.due[kind, life.id, step] = at or self.now_ms + delay

    # -- going on ----------------------------------------------------------------------------------------

    def go_on(self, until_ms: int | None = None) -> None:
        """Let everything happen that can, up to a time; without one, until nothing is left but signals.

        Raises Stuck when there is no end to it.
        """
        for _ in range(self._most):
            if not (self._work() or self._look(until_ms)):
                break
        else:
            raise Stuck(f"there is no end to it: {self._most} steps and timers, and more to come")
        if until_ms is not None:
            self.now_ms = max(self.now_ms, until_ms)

    def _work(self) -> bool:
        for life in self.lives.values():
            if life.claimable and life.state.status in CLAIMED_RUN:
                self.perform(life, next(iter(life.claimable)))
                return True
        return False

    def claim(self, life: Life, step: str) -> st.StepState:
        """Take a step as a worker does."""
        del life.claimable[step]
        self._fence += 1
        event = ev.StepStarted(step, life.state.steps[step].attempt + 1, str(self._fence), "test")
        life.state = evolve(life.state, event)
        life.events.append((self.now_ms, event))
        return life.state.steps[step]

    def perform(self, life: Life, step: str) -> None:
        """Run one step."""
        begun = self.claim(life, step)
        plan = life.plan.of(step)
        key = life.state.idempotency_key(step)
        call = Call(plan.component or "", step, begun.attempt, begun.inputs, life.id, key)
        context = context_of(
            call, life.state.workflow, lambda: self.now_ms, lambda x: self.emitted.append((life.id, step, plain(x)))
        )
        self.give(life, cmd.RecordOutcomes((self.cast.perform(call, context),)))

    def _look(self, until_ms: int | None) -> bool:
        """Act on what is due next; False when nothing is, or not yet."""
        waiting = [(at, key) for key, at in self.due.items() if key[0] not in "nRk" or until_ms is not None]
        waiting = [(at, key) for at, key in waiting if key[0] != "n"]
        if not waiting:
            return False
        at, key = min(waiting)
        if until_ms is not None and at > until_ms:
            return False
        del self.due[key]
        self.now_ms = max(self.now_ms, at)
        self._act(*key)
        return True

    def _act(self, kind: str, run: str, step: str) -> None:
        life = self.lives[run]
        match kind:
            case "t":
                path, _, number = step.rpartition("|")
                self.give(life, cmd.FireTimer(path, int(number)))
            case "r":
                paused = life.state.status == st.PAUSED
                (life.parked if paused else life.claimable)[step] = None
            case "R":
                self.give(life, cmd.TimeOutRun())
            case "k" if not life.state.closed:
                self.give(life, cmd.CancelRun(force=True))
            case _:
                self._act_across(kind, life, step)

    def _act_across(self, kind: str, life: Life, step: str) -> None:
        match kind:
            case "c":
                self._look_after_child(life, step)
            case "p":
                self._tell_parent(life)
            case "x":
                child = self.lives.get(step)
                if child is not None and not child.state.closed:
                    self.give(child, cmd.CancelRun(UNWANTED))
            case "g":
                self._gates(life, step)
            case "u":
                self._give_back(f"{life.id}|{step}")
            case _:
                pass

    # -- children ----------------------------------------------------------------------------------------

    def _look_after_child(self, life: Life, step: str) -> None:
        known = life.state.steps.get(step)
        if known is None or known.status not in (st.ACTIVE, st.COMPLETED):
            return
        child = self.lives.get(known.child)
        if child is None:
            self._start_child(life, step, known)
        elif life.state.status == st.PAUSED and child.state.status == st.RUNNING:
            self.give(child, cmd.PauseRun("its parent is paused"))
        elif life.state.status == st.RUNNING and child.state.status == st.PAUSED:
            self.give(child, cmd.ResumeRun())

    def _start_child(self, life: Life, step: str, known: st.StepState) -> None:
        reference = life.plan.of(step).child
        name = reference.workflow.partition("@")[0] if reference else ""
        plan = life.plan if name == life.plan.id else self.workflows.get(name)
        parent = parent_of_child(life.state, step, detached=reference is not None and reference.detached)
        error: dict[str, Json] = {"type": "UnknownWorkflow", "message": f"the test has no workflow {name!r}"}
        if plan is not None:
            try:
                self.start(known.child, plan, known.inputs, parent=parent)
                return
            except InvalidInputs as problem:
                del self.lives[known.child]
                error = {"type": "InvalidInputs", "message": str(problem)}
        error["retryable"] = False
        self.give(life, cmd.CloseChild(step, known.child, st.FAILED, error=error))

    def _tell_parent(self, life: Life) -> None:
        parent = life.state.parent or {}
        above, state = self.lives.get(str(parent.get("run"))), life.state
        if above is not None and not above.state.closed:
            closed = cmd.CloseChild(str(parent["step"]), life.id, state.status, state.output, state.error)
            self.give(above, closed)

    # -- limits ------------------------------------------------------------------------------------------

    def _gates(self, life: Life, step: str) -> None:
        waits = life.state.steps[step].waits if step else life.state.queue
        member, fences = f"{life.id}|{step}", {}
        for kind, key, limit, _, policy in waits:
            if kind == "debounce":
                self._supersede(life, key)
            if kind in ("rate", "debounce"):
                continue
            holders = self._holders.setdefault(f"{kind}:{key}", [])
            if member not in holders and len(holders) >= limit:
                if policy == "reject":
                    message = f"{limit} runs with the key {key!r} are under way, the most that the workflow allows"
                    self.give(life, cmd.RefuseRun({"type": "ConcurrencyLimit", "message": message}))
                elif policy == "cancel_oldest":
                    self._cancel_oldest(life, holders)
                return
            if member not in holders:
                holders.append(member)
            self._fence += 1
            fences[key] = self._fence
        self.give(life, cmd.Admit(step, fences))

    def _cancel_oldest(self, life: Life, holders: list[str]) -> None:
        """Cancel the oldest run that holds a place, but no run above the one that wants it."""
        above, parent = set[str](), life.state.parent
        while parent is not None:
            above.add(str(parent["run"]))
            parent = self.lives[str(parent["run"])].state.parent
        runs = [run for holder in holders if (run := holder.partition("|")[0]) not in above]
        if runs:
            self.give(self.lives[runs[0]], cmd.CancelRun("a newer run takes its place"))

    def _supersede(self, life: Life, key: str) -> None:
        """Cancel the runs of the same key that wait for theirs; the newest is the one that begins."""
        for other in self.lives.values():
            keys = [gate[1] for gate in other.state.queue if gate[0] == "debounce"]
            if other is not life and other.state.status == st.QUEUED and key in keys and other.id < life.id:
                self.give(other, cmd.CancelRun("a newer start took its place"))

    def _give_back(self, member: str) -> None:
        for holders in self._holders.values():
            if member in holders:
                holders.remove(member)
        for life in self.lives.values():
            if life.state.status == st.QUEUED:
                self.due["g", life.id, ""] = self.now_ms
            for step in life.state.open_steps:
                if life.state.steps[step].status == st.GATED:
                    self.due["g", life.id, step] = self.now_ms
