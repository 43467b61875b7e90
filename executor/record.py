"""Outcomes onto the log: each with the decision that it leads to and the claim of what comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eventstore.run_model import ClaimReply, ClaimRequest, ClaimWish, Code, Commit, Committed, Lease
from executor.batch import Batch
from executor.build import Built, build
from executor.encryption import EncryptionError
from executor.handle import Handler
from executor.jobs import Finished, Job, job_of
from executor.sessions import BrokenHistory, RunNotFound, Session
from openagents_json.workflow import commands as cmd
from openagents_json.workflow import events as ev
from openagents_json.workflow import state as st
from openagents_json.workflow.events import UnknownEvent


@dataclass(frozen=True, slots=True)
class Wish:
    """What a drain would take along: up to `at_most` new steps of `queue` for each commit, and claims elsewhere."""

    queue: str = ""
    at_most: int = 0
    claims: tuple[ClaimRequest, ...] = ()


@dataclass(slots=True)
class Flushed:
    """What came back from a flush: jobs to go on with, claims made, outcomes that were refused, waits that began."""

    jobs: list[Job] = field(default_factory=list)
    claims: list[ClaimReply] = field(default_factory=list)
    refused: list[Finished] = field(default_factory=list)
    soonest_ms: int | None = None
    lost: list[Lease] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Part:
    session: Session
    finished: tuple[Finished, ...]
    built: Built


class Recorder:
    """Records what a worker found out; safe for threads as long as each job is finished once."""

    def __init__(self, handler: Handler, worker: str, lease_ms: int, on_wait: Callable[[str, int], None]) -> None:
        self._handler, self._worker, self._lease_ms, self._on_wait = handler, worker, lease_ms, on_wait

    def record(self, finished: Sequence[Finished], wish: Wish | None = None) -> Flushed:
        """Record outcomes in one round trip, two or more for the runs that others have changed meanwhile."""
        wish = wish or Wish()
        out = Flushed()
        by_run: dict[str, list[Finished]] = {}
        for item in finished:
            by_run.setdefault(item.job.lease.run, []).append(item)
        parts = [p for run, items in by_run.items() if (p := self._part(run, items, wish, out)) is not None]
        if parts or wish.claims:
            self._send(parts, wish, out)
        return out

    def record_batch(self, batch: Batch, finished: Finished, wish: Wish) -> Flushed:
        """Record what a worker did on its own, in one commit that is guarded by the lease it began with."""
        out = Flushed()
        claim = ClaimWish(self._worker, self._lease_ms, wish.at_most, wish.queue) if wish.at_most else None
        built = batch.built(self._handler.commit_id(), self._worker, claim)
        self._send([_Part(batch.base, (finished,), built)], wish, out)
        return out

    def _part(self, run: str, items: Sequence[Finished], wish: Wish, out: Flushed) -> _Part | None:
        handler = self._handler
        cached = handler.sessions.get(run)
        try:
            if cached is None or not all(_applies(cached, x) for x in items):
                cached = handler.sessions.load(run)
        except (RunNotFound, BrokenHistory, UnknownEvent, EncryptionError):
            out.refused += items
            return None
        session = cached
        known = [x for x in items if _applies(session, x)]
        out.refused += [x for x in items if x not in known and not _recorded(session, x)]
        if not known:
            return None
        claim = ClaimWish(self._worker, self._lease_ms, wish.at_most, wish.queue) if wish.at_most else None
        built = build(
            session,
            cmd.RecordOutcomes(tuple(x.outcome for x in known)),
            handler.commit_id(),
            actor=self._worker,
            leases=[x.job.lease for x in known],
            wish=claim,
            limits=handler.limits,
            child=handler.child_id,
        )
        return _Part(session, tuple(known), built) if built else None

    def _send(self, parts: Sequence[_Part], wish: Wish, out: Flushed) -> None:
        handler = self._handler
        partition = handler.store.keys.partition_of
        queues, rings = handler.ringer.calls([(partition(p.session.run), self._left(p.built, wish)) for p in parts])
        done = handler.store.exchange(
            [p.built.commit for p in parts], wish.claims, worker=self._worker, lease_ms=self._lease_ms, after=rings
        )
        handler.ringer.answer(queues, done.after)
        out.claims += done.claims
        for part, reply in zip(parts, done.commits, strict=True):
            self._digest(part, reply, wish, out)

    def _left(self, built: Built, wish: Wish) -> dict[str, int]:
        """Count what is left to others; the commit claims some of the steps that are new, none that begin again."""
        if not wish.at_most or wish.queue not in built.opens:
            return built.opens
        new = sum(1 for opened in built.changes.opened if opened.queue == wish.queue and not opened.delay_ms)
        return {**built.opens, wish.queue: built.opens[wish.queue] - min(new, wish.at_most)}

    def _digest(self, part: _Part, reply: Committed, wish: Wish, out: Flushed) -> None:
        handler, session = self._handler, part.session
        match reply.code:
            case Code.DONE:
                self._carried_out(part, reply, out)
            case Code.DUPLICATE:
                after = handler.sessions.follow(session, reply.version, reply.events)
                out.jobs += self._mine(after, part.built.commit)
            case Code.FACTS_ONLY:
                self._decide_again(session, reply)
            case Code.FENCED:
                lost = set(reply.fenced)
                out.refused += [x for x in part.finished if x.job.lease.step in lost]
                handler.sessions.drop(session.run)
                again = [x for x in part.finished if x.job.lease.step not in lost]
                if again:
                    _merge(out, self.record(again, Wish(wish.queue, wish.at_most)))
            case _:  # the log has gone back behind these claims: the steps will be claimed again
                handler.sessions.drop(session.run)
                out.refused += part.finished

    def _carried_out(self, part: _Part, reply: Committed, out: Flushed) -> None:
        started = [ev.StepStarted(x.step, x.attempt, x.fence, self._worker) for x in reply.leases]
        after = self._handler.remember(part.session, part.built, reply, started)
        out.jobs += [job for x in reply.leases if (job := job_of(after, x)) is not None]
        for reopened in part.built.changes.reopened:
            if reopened.delay_ms:
                self._on_wait(after.run, reopened.delay_ms)

    def _decide_again(self, session: Session, reply: Committed) -> None:
        """The facts are on the log, but others were there first: decide on what they left."""
        handler = self._handler
        handler.sessions.follow(session, reply.version, reply.events)
        handled = handler.handle(session.run, cmd.Advance(), actor=self._worker)
        for step in handled.session.state.open_steps:
            delay = handled.session.state.steps[step].retry_ms
            if delay:
                self._on_wait(session.run, delay)

    def _mine(self, session: Session, commit: Commit) -> list[Job]:
        """Find the claims of a commit whose reply was lost: they are in the history, as part of that commit.

        The reply need not hold all that followed on it, and what this worker has claimed otherwise is at work already.
        """
        if commit.claim is None:
            return []
        jobs = []
        for item in self._handler.store.read([(commit.run, commit.version)])[0]:
            if item.commit != commit.commit_id or item.type != "StepStarted":
                continue
            lease = Lease(session.run, item.data["step"], item.data["fence"], item.data["attempt"], 0)
            job = job_of(session, lease)
            if job is not None and session.state.steps[lease.step].status == st.STARTED:  # a batch has ended its own
                jobs.append(job)
        return jobs


def _applies(session: Session, item: Finished) -> bool:
    step = session.state.steps.get(item.job.lease.step)
    return step is not None and step.fence == item.job.lease.fence and step.status == "started"


def _recorded(session: Session, item: Finished) -> bool:
    """Tell whether an outcome is on the log already: a reply was lost, and this is the second try."""
    step = session.state.steps.get(item.job.lease.step)
    if step is None or step.fence != item.job.lease.fence:
        return False
    return step.status == "completed" if isinstance(item.outcome, cmd.Completed) else step.failures > 0


def _merge(out: Flushed, more: Flushed) -> None:
    out.jobs += more.jobs
    out.refused += more.refused
