"""Simulated runs: decided by the core, committed to a run store in memory, and folded from what was committed.

Which steps may be claimed, what is leased, suspended or due is known to the store alone, by the rules that hold for the
engine; which of it happens next is for whoever moves the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore import codec
from eventstore.memory.runs import MemoryRunStore
from eventstore.run_model import Code, Commit, Committed, DueMember, Lease
from openagents_json.components.copies import own_copy
from openagents_json.work_index import DueKey, DueKind, IndexChanges, Timer
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decider import Decision, decision
from openagents_json.workflow.core.decide.reopen import taken_over
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.evolve import evolve, evolve_all
from openagents_json.workflow.core.indexes.changes import changes, forked
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.types import Json

WORKER: Final = "test"
LEASE_MS: Final = 1_000_000_000_000_000
"""How long an attempt is held that has no limit of its own: nobody here goes silent."""


@dataclass(slots=True)
class SimulatedRun:
    """A simulated run: its state, its events with their times, and what it holds of the store."""

    id: str
    plan: Plan
    state: st.RunState = field(default_factory=st.initial)
    events: list[tuple[int, ev.Event]] = field(default_factory=list)
    commit: str = ""
    leases: dict[str, Lease] = field(default_factory=dict)


class Lives:
    """Runs in one store in memory, whose clock is `now_ms`."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._store = MemoryRunStore(now_ms=now_ms)
        self._commits = 0

    # -- commits -----------------------------------------------------------------------------------------

    def start(
        self, life: SimulatedRun, inputs: Mapping[str, Json], **more: Any
    ) -> None:
        """Begin a run.

        Raises InvalidInputs.
        """
        self.give(
            life,
            cmd.StartRun(life.id, own_copy(check_inputs(life.plan, inputs)), **more),
        )

    def fork(self, life: SimulatedRun, at: int, run: str) -> SimulatedRun:
        """Begin a run with the past of another one up to an event.

        Raises Rejected.
        """
        past = taken_over([event for _, event in life.events[:at]], run)
        state = evolve_all(st.initial(), past)
        outcome = decision(life.plan, state, cmd.ForkRun(life.id, at), version=at)
        index_changes = forked(life.plan, state, outcome.events, outcome.state, at)
        new = SimulatedRun(run, life.plan)
        self._commit(new, (*past, *outcome.events), index_changes)
        return new

    def give(self, life: SimulatedRun, command: cmd.Command) -> list[ev.Event]:
        """Decide on a command and commit what happens, with the decisions that it leaves for later.

        Raises Rejected.
        """
        outcome = decision(
            life.plan,
            life.state,
            command,
            version=len(life.events),
            now_ms=self._now_ms(),
        )
        settled = isinstance(command, cmd.Advance)
        if outcome.events or settled:
            self._carry_out(life, command, outcome, settled=settled)
        if outcome.unfinished:
            self.give(life, cmd.Advance())
        return list(outcome.events)

    def _carry_out(
        self,
        life: SimulatedRun,
        command: cmd.Command,
        outcome: Decision,
        *,
        settled: bool,
    ) -> None:
        index_changes = changes(life.plan, life.state, outcome.events, outcome.state)
        leases = self._outcomes_of(life, command)
        final = {
            lease.step for lease in leases if lease.step not in outcome.open_after_facts
        }
        index_changes = index_changes.of_commit(
            final, (), settled=settled, unfinished=outcome.unfinished
        )
        self._commit(life, outcome.events, index_changes, leases, final, outcome.facts)

    def give_facts(self, life: SimulatedRun, command: cmd.RecordOutcomes) -> None:
        """Commit the outcomes of a command without the decision on them, as of a worker that others overtook."""
        outcome = decision(
            life.plan,
            life.state,
            command,
            version=len(life.events),
            now_ms=self._now_ms(),
        )
        leases = self._outcomes_of(life, command)
        final = {
            lease.step for lease in leases if lease.step not in outcome.open_after_facts
        }
        overtaken = SimulatedRun(
            life.id, life.plan, life.state, life.events, "another commit"
        )
        index_changes = changes(life.plan, life.state, outcome.events, outcome.state)
        reply = self._send(
            overtaken, outcome.events, index_changes, leases, final, outcome.facts
        )
        if reply.code is not Code.FACTS_ONLY:
            raise AssertionError(
                f"the store answers {reply.code.name} to facts of run {life.id}"
            )
        self._take_in(life, outcome.events[: outcome.facts], f"{self._commits}")

    def _outcomes_of(self, life: SimulatedRun, command: cmd.Command) -> list[Lease]:
        """Return the leases that a command ends, none where an outcome comes from somebody without one."""
        outcomes = command.outcomes if isinstance(command, cmd.RecordOutcomes) else ()
        held = [life.leases.get(outcome.step) for outcome in outcomes]
        return [lease for lease in held if lease is not None] if all(held) else []

    def _commit(
        self,
        life: SimulatedRun,
        events: Collection[ev.Event],
        index_changes: IndexChanges,
        leases: Collection[Lease] = (),
        final: Collection[str] = (),
        facts: int = 0,
    ) -> None:
        reply = self._send(life, events, index_changes, leases, final, facts)
        if reply.code is not Code.DONE:
            raise AssertionError(
                f"the store answers {reply.code.name} to a commit of run {life.id}"
            )
        self._take_in(life, events, f"{self._commits}")

    def _send(
        self,
        life: SimulatedRun,
        events: Collection[ev.Event],
        index_changes: IndexChanges,
        leases: Collection[Lease],
        final: Collection[str],
        facts: int,
    ) -> Committed:
        self._commits += 1
        mode = "fact" if leases else "cas"
        commit = Commit(
            run=life.id,
            mode=mode if life.events else "new",
            commit_id=f"{self._commits}",
            events=tuple(
                (type_name(event), codec.encode(to_data(event))) for event in events
            ),
            version=len(life.events),
            last_commit=life.commit,
            facts=tuple(
                (lease.step, lease.fence, lease.step in final) for lease in leases
            ),
            fact_events=facts,
            changes=index_changes,
        )
        return self._store.commit(commit)

    def _take_in(
        self, life: SimulatedRun, events: Collection[ev.Event], commit_id: str
    ) -> None:
        """Fold events as they are stored; one that changes nothing should not have been decided."""
        for event in events:
            stored = from_data(type_name(event), to_data(event), self._now_ms())
            life.events.append((self._now_ms(), stored))
            after = evolve(life.state, stored)
            if after is life.state:
                raise AssertionError(f"{event} does not apply to {life.state}")
            life.state = after
        life.leases = {
            step: lease
            for step, lease in life.leases.items()
            if self._is_held(life, lease)
        }
        if events:
            life.commit = commit_id

    def _is_held(self, life: SimulatedRun, lease: Lease) -> bool:
        step = life.state.steps.get(lease.step)
        return (
            step is not None and step.fence == lease.fence and step.status == st.STARTED
        )

    # -- steps -------------------------------------------------------------------------------------------

    def claimable(self, life: SimulatedRun) -> list[str]:
        """Return the steps that may be claimed, in the order in which they came."""
        return self._store.claimable(life.id)

    def next_claimable(self, life: SimulatedRun) -> str | None:
        """Return the first step that may be claimed, None for none."""
        return self._store.next_claimable(life.id)

    def claim(self, life: SimulatedRun, step: str) -> st.StepState:
        """Take a step as a worker does; it begins at once."""
        claimed = self._store.claim_step(
            life.id, step, worker=WORKER, lease_ms=LEASE_MS
        )
        lease = claimed.lease
        self._store.beat([lease], LEASE_MS, begin=True)
        event = ev.StepStarted(
            step, lease.attempt, lease.fence, WORKER, time_ms=self._now_ms()
        )
        life.state = evolve(life.state, event)
        life.events.append((self._now_ms(), event))
        life.leases[step], life.commit = lease, claimed.commit
        return life.state.steps[step]

    # -- time --------------------------------------------------------------------------------------------

    def due(self) -> Iterator[tuple[DueKey, int]]:
        """Return what will be due, by its time."""
        return self._store.waiting()

    def take(self, key: DueKey) -> DueMember | None:
        """Take what is due; None where the store has acted by itself, as it does for a retry whose wait is over."""
        return self._store.hand_out(key)

    def forget(self, life: SimulatedRun, key: DueKey) -> None:
        """Have something due no more: in one process, no message is lost."""
        self._reindex(life, IndexChanges(removed=((key.kind, key.subject),)))

    def remind(self, life: SimulatedRun, kind: DueKind, subject: str) -> None:
        """Have something due now."""
        self._reindex(life, IndexChanges(timers=(Timer(kind, subject, 0),)))

    def _reindex(self, life: SimulatedRun, index_changes: IndexChanges) -> None:
        self._commit(life, (), index_changes)
