"""Selective persistence: steps that a worker runs one after the other before their events go to the log together.

The worker holds the lease of the first step; all that follows from its outcome is decided as always, and kept in memory
until a checkpoint. Then one commit, guarded by that lease and by where the log ended, stores everything. If others have
written meanwhile, the outcomes are decided on again behind that: as long as the lease is held, nobody else can begin
what follows from its step. A worker that dies before the commit leaves the log where it was, so the steps since the
last checkpoint run again, and never more. What may not run again, or has to be waited for, is a checkpoint by itself:
steps that are not repeatable, time limits, timers, signals, child runs, locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from eventstore.run_model import Blob, CommitClaim, Lease
from executor.attempts.jobs import REPEATABLE, Finished, Job
from executor.attempts.unrecordable import unfit
from executor.runs.codec import EncodedEvents, encode
from executor.runs.commit import BuiltCommit, CommitContext, assemble, decide_encoded
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decider import Decision
from openagents_json.workflow.core.decide.decision import order_key
from openagents_json.workflow.core.event_traits import Effect
from openagents_json.workflow.core.event_types import CLOSING, types_with
from openagents_json.workflow.core.evolve import evolve, evolve_all
from openagents_json.workflow.core.plan import StepPlan

WAITS: Final = types_with(lambda traits: Effect.WAITS in traits.effects)
"""Events behind which something has to be waited for, so that the log has to know."""


class Batch:
    """What a worker did since the log was last written; used by one thread.

    `base` is the run as the log had it then, `commit_id` the same however often the batch is put on top of what others
    have written meanwhile: it is on the log once, or not at all.
    """

    def __init__(
        self, base: Session, handler: Handler, commit_id: str, since_ms: float
    ) -> None:
        self.base = base
        self.commit_id = commit_id
        self._handler = handler
        self._since_ms = since_ms
        self._session = base
        self._done: list[tuple[Job, cmd.Outcome]] = []
        self._events: list[ev.Event] = []
        self._encoded: list[tuple[str, bytes]] = []
        self._blobs: list[Blob] = []
        self._first: Decision | None = None
        self._due = False

    @classmethod
    def begin(
        cls,
        session: Session,
        job: Job,
        outcome: cmd.Outcome,
        handler: Handler,
        now_ms: float,
    ) -> Batch | None:
        """Begin with the outcome of a claimed step; None when it has to be recorded by itself."""
        if not _holds(session, job) or not isinstance(outcome, cmd.Completed):
            return None
        batch = cls(session, handler, handler.commit_id(), now_ms)
        batch._begin(job, outcome)
        return batch

    def _begin(self, job: Job, outcome: cmd.Outcome) -> None:
        self._first = self._take(job, outcome)
        self._due = self._due or job.step.persist or not _may_wait(job.step)

    def onto(self, session: Session, worker: str) -> Batch | None:
        """Put the batch on top of what others have written meanwhile; None when its lease is lost.

        Each outcome is decided on again. One whose step does not begin there, or not with what it was given, is left
        out: its step is done again, as a pause or another input wants it.
        """
        (first, outcome), *others = self._done
        if not _holds(session, first):
            return None
        batch = Batch(session, self._handler, self.commit_id, self._since_ms)
        batch._begin(first, outcome)
        for job, result in others:
            if batch._begins(job):
                batch.add(job, result, worker)
        return batch

    def _begins(self, job: Job) -> bool:
        path, state = job.lease.step, self._session.state
        if state.status != st.RUNNING or path in self.base.state.open_steps:
            return False
        step = state.steps.get(path, st.NO_STEP)
        if step.status != st.SCHEDULED or step.kind:
            return False
        is_next = step.attempt + 1 == job.lease.attempt
        return is_next and step.inputs == job.inputs

    def _take(self, job: Job, outcome: cmd.Outcome) -> Decision:
        session, handler = self._session, self._handler
        command, ahead = cmd.RecordOutcomes((outcome,)), len(self._events)
        decided, encoded = decide_encoded(
            session, command, handler.limits, handler.child_id, ahead=ahead
        )
        self._done.append((job, outcome))
        self._events += decided.events
        self._encoded += encoded.events
        self._blobs += encoded.blobs
        self._session = replace(session, state=decided.state)
        has_checkpoint = any(map(self._is_checkpoint, decided.events))
        # What was paid for is recorded at once: a step that runs again would pay again.
        self._due |= decided.unfinished or has_checkpoint or bool(outcome.usage)
        return decided

    def _is_checkpoint(self, event: ev.Event) -> bool:
        if type(event) in WAITS:
            return True
        if not isinstance(event, ev.StepScheduled):
            return False
        if event.gates or event.kind in ("wait", "workflow", "sleep"):
            return True
        plan = self.base.plan
        is_join = len(plan.of(event.step).incoming) > 1
        return is_join and plan.persistence.mode == "checkpoint"

    def following(self, queue: str, now_ms: float) -> Job | None:
        """Return the step that the worker may run next, None when it is time for a checkpoint."""
        spec, state = self.base.plan.persistence, self._session.state
        if self._due or state.status != st.RUNNING:
            return None
        age_ms = now_ms - self._since_ms
        is_full = len(self._done) >= spec.every_steps or age_ms >= spec.every_ms
        if is_full and spec.mode == "checkpoint":
            return None
        # What is open on the log already may be claimed by others.
        on_log = self.base.state.open_steps
        opened = [path for path in state.open_steps if path not in on_log]
        for path in _in_order(self._session, opened):
            plan, step = self.base.plan.of(path), state.steps[path]
            if step.status == st.SCHEDULED and not step.kind:
                is_mine = _may_wait(plan) and plan.queue == queue
                return self._job_of(path) if is_mine else None
        return None

    def _job_of(self, path: str) -> Job:
        step, (job, _) = self._session.state.steps[path], self._done[0]
        lease = Lease(self.base.run, path, self._next_fence(), step.attempt + 1, 0)
        return replace(
            job,
            lease=lease,
            step=self.base.plan.of(path),
            inputs=step.inputs,
            execution=step.attempt + 1,
            fences={},
            secrets=step.secrets,
            too_late=None,
            idempotency_key=self._session.state.idempotency_key(path),
        )

    def _next_fence(self) -> str:
        """Return a fence behind all of the log; it holds if the log still ends there when the batch is written."""
        return str(self._session.state.fence + 1)

    def add(self, job: Job, outcome: cmd.Outcome, worker: str) -> bool:
        """Take in the outcome of a step; False when it was not begun, so that it goes back with the checkpoint."""
        if isinstance(outcome, cmd.Released):
            return False
        started = ev.StepStarted(
            job.lease.step, job.lease.attempt, self._next_fence(), worker, job.build
        )
        self._events.append(started)
        self._encoded += encode([started], self._handler.limits).events
        self._session = replace(
            self._session, state=evolve(self._session.state, started)
        )
        self._take(job, outcome)
        self._due = self._due or job.step.persist
        return not self._due

    def add_safely(self, job: Job, outcome: cmd.Outcome, worker: str) -> bool:
        """Take in the outcome of a step, as `add`; one that does not let itself be recorded fails its step."""
        lists: tuple[list[Any], ...] = (
            self._events,
            self._encoded,
            self._blobs,
            self._done,
        )
        # They only grow, so lengths say what they were; copies of all that was done would be made anew with each step.
        lengths, session, due = (
            [len(grown) for grown in lists],
            self._session,
            self._due,
        )
        try:
            return self.add(job, outcome, worker)
        except Exception as error:  # what it left half done is taken back
            for grown, length in zip(lists, lengths, strict=True):
                del grown[length:]
            self._session, self._due = session, due
            return self.add(job, unfit(Finished(job, outcome), error).outcome, worker)

    def built(self, worker: str, claim: CommitClaim | None) -> BuiltCommit:
        """Build the commit of all of it: as a whole, or not at all."""
        first, state = self._first, self._session.state
        if first is None:
            raise AssertionError("a batch begins with an outcome")
        events, encoded = self._events, self._encoded
        if self.base.plan.persistence.mode == "outcome":
            events, encoded, state = self._outcome(first, events, encoded)
        decided = Decision(tuple(events), state, first.facts, first.open_after_facts)
        whole = EncodedEvents(
            tuple(encoded), tuple({blob.sha: blob for blob in self._blobs}.values())
        )
        last, (job, _) = self._session.state.fence, self._done[0]
        signature = CommitContext(
            "fact", self.commit_id, worker, self.base.commit, claim=claim
        )
        built = assemble(
            self.base,
            decided,
            whole,
            [job.lease],
            signature,
            settle=False,
            last_fence=last if len(self._done) > 1 else 0,
        )
        return replace(built, commit=replace(built.commit, whole=True, stands=False))

    def _outcome(
        self,
        first: Decision,
        events: Sequence[ev.Event],
        encoded: Sequence[tuple[str, bytes]],
    ) -> tuple[list[ev.Event], list[tuple[str, bytes]], st.RunState]:
        """Keep start and end only, if this is the end, nobody else has steps under way, and nothing was used."""
        kept = [*events[: first.facts], events[-1]]
        state = evolve_all(self.base.state, kept)
        has_usage = any(getattr(event, "usage", None) for event in events)
        if has_usage or type(events[-1]) not in CLOSING or not state.closed:
            return list(events), list(encoded), self._session.state
        return kept, [*encoded[: first.facts], encoded[-1]], state


def _in_order(session: Session, steps: Sequence[str]) -> list[str]:
    return sorted(steps, key=lambda path: order_key(session.plan, path))


def _holds(session: Session, job: Job) -> bool:
    step = session.state.steps.get(job.lease.step)
    return (
        step is not None and step.fence == job.lease.fence and step.status == st.STARTED
    )


def _may_wait(plan: StepPlan) -> bool:
    """Tell whether a step may run again, so that its outcome may wait for a checkpoint.

    How long it is tried is counted from where its first attempt began, so the log has to know at once.
    """
    limits = plan.timeouts.start_to_close_ms or plan.timeouts.heartbeat_ms
    limited = bool(limits) or plan.retry.max_elapsed_ms is not None
    return plan.effect in REPEATABLE and not plan.compensated and not limited
