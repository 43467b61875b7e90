"""Outcomes onto the log: each with the decision that it leads to and the claim of what comes next.

What goes wrong with one outcome is that outcome's own affair: whatever raises while it is decided, written or stored
fails its step, and all others are recorded. What goes wrong with the store is waited for, with the same commits, so
that one whose reply was lost is found on the log again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from eventstore.errors import EventStoreError
from eventstore.run_model import ClaimWish, Code, Commit, Committed, Lease
from executor.attempts.group_commit import Batch
from executor.attempts.jobs import Finished, Job, job_of
from executor.attempts.patience import Patience, passes
from executor.attempts.unrecordable import unfit
from executor.errors import RunNotFound
from executor.runs.commit import BuiltCommit, build
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a drain would take along: up to `at_most` new steps of `queue` for each commit."""

    queue: str = ""
    at_most: int = 0


@dataclass(slots=True)
class RecordedOutcomes:
    """What came back: jobs to go on with, outcomes that came too late, and those that nothing could be done with."""

    jobs: list[Job] = field(default_factory=list)
    refused: list[Finished] = field(default_factory=list)
    given_up: list[Finished] = field(default_factory=list)

    def add(self, more: RecordedOutcomes) -> None:
        """Add what came back from another try."""
        self.jobs += more.jobs
        self.refused += more.refused
        self.given_up += more.given_up


@dataclass(frozen=True, slots=True)
class _Part:
    """The commit of one run; without a `batch`, it can be built anew from other outcomes.

    A batch is stored as a whole or not at all: behind what others have written meanwhile.
    """

    session: Session
    finished: tuple[Finished, ...]
    built: BuiltCommit
    batch: Batch | None = None


def _unclaiming(part: _Part) -> _Part:
    return replace(
        part,
        built=structs.replace(
            part.built, commit=structs.replace(part.built.commit, claim=None)
        ),
    )


class Recorder:
    """Records what a worker found out; safe for threads as long as each job is finished once."""

    def __init__(
        self,
        handler: Handler,
        worker: str,
        lease_of: Callable[[str], int],
        on_wait: Callable[[str, int], None],
        can: Callable[[str], bool],
        hold: Callable[[Job], None],
        patience: Patience,
    ) -> None:
        self._handler = handler
        self._worker = worker
        self._lease_of = lease_of
        self._on_wait = on_wait
        self._can = can
        self._hold = hold
        self._patience = patience

    def record(
        self, finished: Sequence[Finished], wish: Wish | None = None
    ) -> RecordedOutcomes:
        """Record outcomes in one round trip, two or more for the runs that others have changed meanwhile."""
        wish = wish or Wish()
        out = RecordedOutcomes()
        by_run: dict[str, list[Finished]] = {}
        for item in finished:
            by_run.setdefault(item.job.lease.run, []).append(item)
        parts = [
            part
            for run, items in by_run.items()
            if (part := self._part(run, items, wish, out)) is not None
        ]
        self._send(parts, wish, out)
        return out

    def record_batch(
        self, batch: Batch, finished: Finished, wish: Wish
    ) -> RecordedOutcomes:
        """Record what a worker did on its own, in one commit that is guarded by the lease it began with."""
        out = RecordedOutcomes()
        self._send([self._of_batch(batch, finished, wish)], wish, out)
        return out

    def _of_batch(self, batch: Batch, finished: Finished, wish: Wish) -> _Part:
        return _Part(
            batch.base, (finished,), batch.built(self._worker, self._claim(wish)), batch
        )

    def _claim(self, wish: Wish) -> ClaimWish | None:
        if not wish.at_most:
            return None
        return ClaimWish(
            self._worker,
            self._lease_of(wish.queue),
            wish.at_most,
            wish.queue,
            self._can,
        )

    # -- building ----------------------------------------------------------------------------------------

    def _part(
        self, run: str, items: Sequence[Finished], wish: Wish, out: RecordedOutcomes
    ) -> _Part | None:
        """Build the commit of a run; None when there is none, and then `out` says what became of its outcomes."""
        while True:
            try:
                session = self._session(run, items)
                now_ms = self._handler.time_for(session, _outcomes(items))
                break
            except (
                RunNotFound
            ):  # it has left the store, and what came of its steps is too late
                out.refused += items
                return None
            except EventStoreError as error:
                if passes(error) and self._patience.lasts():
                    continue
                self._give_up(items, error, out)
                return None
            except Exception as error:  # a history that cannot be folded here
                self._give_up(items, error, out)
                return None
        known: list[Finished] = []
        for item in items:  # one look at each: asking whether a list has it would compare all jobs with all others
            if _applies(session, item):
                known.append(item)
            elif not _recorded(session, item):
                out.refused.append(item)
        return self._built(session, known, now_ms, wish, out) if known else None

    def _session(self, run: str, items: Sequence[Finished]) -> Session:
        cached = self._handler.sessions.get(run)
        if cached is None or not all(_applies(cached, x) for x in items):
            return self._handler.sessions.load(run)
        return cached

    def _built(
        self,
        session: Session,
        items: Sequence[Finished],
        now_ms: int,
        wish: Wish,
        out: RecordedOutcomes,
    ) -> _Part | None:
        """Build the commit of outcomes, or else of the failures that stand for those which do not let themselves."""
        try:
            return self._commit_of(session, items, wish, now_ms)
        except Exception as error:
            log.warning(
                "run %s: an outcome does not let itself be recorded",
                session.run,
                exc_info=error,
            )
            told = self._told_apart(session, items, error)
        try:
            return self._commit_of(session, told, wish, now_ms)
        except Exception as error:
            self._give_up(items, error, out)
            return None

    def _commit_of(
        self, session: Session, items: Sequence[Finished], wish: Wish, now_ms: int = 0
    ) -> _Part | None:
        handler = self._handler
        built = build(
            session,
            _outcomes(items),
            handler.commit_id(),
            actor=self._worker,
            leases=[x.job.lease for x in items],
            wish=self._claim(wish),
            limits=handler.limits,
            child=handler.child_id,
            now_ms=now_ms,
        )
        return _Part(session, tuple(items), built) if built else None

    def _told_apart(
        self, session: Session, items: Sequence[Finished], error: Exception
    ) -> list[Finished]:
        """Return the outcomes with failures in the place of those that raise by themselves, of all if none does."""
        told = [self._or_unfit(session, item) for item in items]
        return told if told != list(items) else [unfit(item, error) for item in items]

    def _or_unfit(self, session: Session, item: Finished) -> Finished:
        try:
            self._commit_of(session, [item], Wish())
        except Exception as error:
            return unfit(item, error)
        return item

    # -- sending -----------------------------------------------------------------------------------------

    def _send(
        self,
        parts: Sequence[_Part],
        wish: Wish,
        out: RecordedOutcomes,
        *,
        late: bool = False,
    ) -> None:
        left, size = list(parts), len(parts)
        while left:
            replies = [
                reply
                for i in range(0, len(left), size)
                for reply in self._offered(left[i : i + size], wish)
            ]
            size = max(
                1, size // 2
            )  # should one of them be why nothing is heard, it is alone in the end
            again: list[tuple[_Part, EventStoreError]] = []
            behind: list[_Part] = []
            for part, reply in zip(left, replies, strict=True):
                if (
                    isinstance(reply, Committed)
                    and reply.code is Code.CONFLICT
                    and part.batch is not None
                ):
                    behind += self._behind(part, part.batch, reply, wish, out)
                elif isinstance(reply, Committed):
                    self._digested(part, reply, wish, out)
                elif passes(reply):
                    again.append((part, reply))
                else:
                    self._refused(part, reply, wish, out)
            if again and not self._patience.lasts():
                for part, error in again:
                    self._give_up(part.finished, error, out)
                return
            if again and not late and self._handler.store.is_cluster:
                self._send_later([part for part, _ in again])
                again = []
            left = [*behind, *(part for part, _ in again)]

    def _send_later(self, parts: Sequence[_Part]) -> None:
        """Wait for one node of a cluster on a thread of its own: there is work on the other nodes meanwhile."""
        names = ", ".join(part.session.run for part in parts)
        log.warning("outcomes wait until the nodes of their runs are back: %s", names)
        threading.Thread(
            target=self._send_late, args=(parts,), name="openagents-late", daemon=True
        ).start()

    def _send_late(self, parts: Sequence[_Part]) -> None:
        """Send the same commits until they are answered, without their claims: nobody here waits for new steps."""
        out = RecordedOutcomes()
        try:
            self._send([_unclaiming(part) for part in parts], Wish(), out, late=True)
            # A commit whose reply was lost may have claimed all the same.
            unbegun = [
                Finished(
                    x, cmd.Released(x.lease.step, x.lease.attempt, "its node was away")
                )
                for x in out.jobs
            ]
            out.add(self.record(unbegun))
        except Exception:  # their leases run out
            log.exception("late outcomes met a defect of the engine")
        for item in out.refused:
            log.warning(
                "run %s: the outcome of step %s came too late",
                item.job.lease.run,
                item.job.lease.step,
            )

    def _offered(
        self, parts: Sequence[_Part], wish: Wish
    ) -> Sequence[Committed | EventStoreError]:
        handler = self._handler
        partition = handler.store.partition_of
        wakeups = handler.ringer.wakeups(
            [(partition(p.session.run), self._left(p.built, wish)) for p in parts]
        )
        try:
            offered = handler.store.offer(
                [p.built.commit for p in parts], wakeups=wakeups
            )
        except EventStoreError as error:
            return [error] * len(parts)
        handler.ringer.answer(wakeups, offered.unheard)
        return offered.commits

    def _left(self, built: BuiltCommit, wish: Wish) -> dict[str, int]:
        """Count what is left to others; the commit claims new steps that this worker can run, none that begin again."""
        if not wish.at_most or wish.queue not in built.opens:
            return built.opens
        new = [
            x
            for x in built.changes.ready
            if x.queue == wish.queue and not x.delay_ms and self._can(x.component)
        ]
        return {
            **built.opens,
            wish.queue: built.opens[wish.queue] - min(len(new), wish.at_most),
        }

    def _behind(
        self,
        part: _Part,
        batch: Batch,
        reply: Committed,
        wish: Wish,
        out: RecordedOutcomes,
    ) -> list[_Part]:
        """Put a batch behind what others have written meanwhile; nothing comes of it when its lease is lost.

        Each try that fails is one of theirs that did not, so this ends; the lease is held until then.
        """
        session, [first] = part.session, part.finished
        try:
            again = batch.onto(
                self._handler.sessions.follow(session, reply.version, reply.events),
                self._worker,
            )
            if again is not None:
                return [self._of_batch(again, first, wish)]
            out.refused.append(first)
        except (
            Exception
        ) as error:  # by itself, its outcome can be waited for, or fails its step
            log.warning(
                "run %s: a batch cannot go on behind what others wrote: %s",
                session.run,
                error,
            )
            out.add(self.record([first], wish))
        return []

    def _refused(
        self, part: _Part, error: EventStoreError, wish: Wish, out: RecordedOutcomes
    ) -> None:
        """Record failures in the place of what the store refuses, whatever state it is in; give up what they are."""
        self._handler.sessions.drop(part.session.run)
        if (
            part.batch is not None
        ):  # what came after the first outcome was never begun as far as the log knows
            out.add(self.record(part.finished, wish))
            return
        told = [unfit(item, error) for item in part.finished]
        if told == list(part.finished):
            self._give_up(part.finished, error, out)
        else:
            out.add(self.record(told, wish))

    def _give_up(
        self, items: Iterable[Finished], error: Exception, out: RecordedOutcomes
    ) -> None:
        for item in items:
            lease, kind = item.job.lease, type(item.outcome).__name__
            log.error(
                "run %s: %s of step %s, attempt %d, could not be recorded; its lease will run out: %s: %s",
                *(
                    lease.run,
                    kind,
                    lease.step,
                    lease.attempt,
                    type(error).__name__,
                    error,
                ),
            )
            out.given_up.append(item)

    # -- answers -----------------------------------------------------------------------------------------

    def _digested(
        self, part: _Part, reply: Committed, wish: Wish, out: RecordedOutcomes
    ) -> None:
        """Take an answer in; what has been committed is on the log, whatever goes wrong here."""
        while True:
            try:
                self._digest(part, reply, wish, out)
            except OpenAgentsError as error:
                if passes(error) and self._patience.lasts():
                    continue
                log.warning("run %s goes on elsewhere: %s", part.session.run, error)
                self._handler.sessions.drop(part.session.run)
            except (
                Exception
            ):  # a defect met in one run must not end the work on all others
                log.exception("run %s met a defect of the engine", part.session.run)
                self._handler.sessions.drop(part.session.run)
            return

    def _digest(
        self, part: _Part, reply: Committed, wish: Wish, out: RecordedOutcomes
    ) -> None:
        handler, session = self._handler, part.session
        match reply.code:
            case Code.DONE:
                self._carried_out(part, reply, out)
            case Code.DUPLICATE:
                after = handler.sessions.follow(session, reply.version, reply.events)
                self._take(self._mine(after, part.built.commit), out)
            case Code.FACTS_ONLY:
                self._decide_again(session, reply)
            case Code.FENCED:
                lost = set(reply.fenced)
                out.refused += [x for x in part.finished if x.job.lease.step in lost]
                handler.sessions.drop(session.run)
                again = [x for x in part.finished if x.job.lease.step not in lost]
                if again:
                    out.add(self.record(again, wish))
            case _:  # the log has gone back behind these claims: the steps will be claimed again
                handler.sessions.drop(session.run)
                out.refused += part.finished

    def _carried_out(
        self, part: _Part, reply: Committed, out: RecordedOutcomes
    ) -> None:
        started = [
            ev.StepStarted(x.step, x.attempt, x.fence, self._worker, reply.time_ms)
            for x in reply.leases
        ]
        after = self._handler.remember(part.session, part.built, reply, started)
        self._take(
            [job for x in reply.leases if (job := job_of(after, x)) is not None], out
        )
        for requeued in part.built.changes.requeued:
            if requeued.delay_ms:
                self._on_wait(after.run, requeued.delay_ms)

    def _take(self, jobs: Sequence[Job], out: RecordedOutcomes) -> None:
        """Take claims along; their leases are extended from here on, as the rest of the flush may be waited for."""
        for job in jobs:
            self._hold(job)
        out.jobs += jobs

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
            if item.commit != commit.commit_id or item.type != ev.StepStarted.__name__:
                continue
            lease = Lease(
                session.run,
                item.data["step"],
                item.data["fence"],
                item.data["attempt"],
                0,
            )
            job = job_of(session, lease)
            if (
                job is not None and session.state.steps[lease.step].status == st.STARTED
            ):  # a batch has ended its own
                jobs.append(job)
        return jobs


def _outcomes(items: Sequence[Finished]) -> cmd.RecordOutcomes:
    return cmd.RecordOutcomes(tuple(x.outcome for x in items))


def _applies(session: Session, item: Finished) -> bool:
    step = session.state.steps.get(item.job.lease.step)
    return (
        step is not None
        and step.fence == item.job.lease.fence
        and step.status == "started"
    )


def _recorded(session: Session, item: Finished) -> bool:
    """Tell whether an outcome is on the log already: a reply was lost, and this is the second try."""
    step = session.state.steps.get(item.job.lease.step)
    if step is None or step.fence != item.job.lease.fence:
        return False
    return (
        step.status == "completed"
        if isinstance(item.outcome, cmd.Completed)
        else step.failures > 0
    )
