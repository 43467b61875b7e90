"""Outcomes onto the log: each with the decision that it leads to and the claim of what comes next.

What goes wrong with one outcome is that outcome's own affair: whatever raises while it is decided, written or stored
fails its step, and all others are recorded. What goes wrong with the store is waited for, with the same commits, so
that one whose reply was lost is found on the log again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from eventstore.errors import EventStoreError
from eventstore.redis.driver.outages import level_of
from eventstore.run_model import Ability, Code, Commit, Committed, Lease
from executor.attempts.group_commit import Batch
from executor.attempts.jobs import Finished, Job, job_of
from executor.attempts.log_fields import named
from executor.attempts.outcome_commits import (
    NextClaim,
    OutcomeCommits,
    RecordedOutcomes,
    RunCommit,
    give_up,
    unclaiming,
)
from executor.attempts.patience import Patience, passes
from executor.attempts.unrecordable import unfit
from executor.runs.commit import BuiltCommit
from executor.runs.handler import Handler
from executor.runs.repository import Session
from executor.runs.turns import Turns
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st

log = logging.getLogger(__name__)


class Recorder:
    """Records what a worker found out; safe for threads as long as each job is finished once."""

    def __init__(
        self,
        handler: Handler,
        worker: str,
        lease_of: Callable[[str], int],
        on_wait: Callable[[str, int], None],
        can: Callable[[str], Ability],
        hold: Callable[[Job], None],
        patience: Patience,
        turns: Turns,
    ) -> None:
        self._handler = handler
        self._worker = worker
        self._on_wait = on_wait
        self._can = can
        self._hold = hold
        self._patience = patience
        self._turns = turns
        self._commits = OutcomeCommits(handler, worker, lease_of, can, patience)

    def record(
        self, finished: Sequence[Finished], next_claim: NextClaim | None = None
    ) -> RecordedOutcomes:
        """Record outcomes in one round trip, two or more for the runs that others have changed meanwhile."""
        by_run: dict[str, list[Finished]] = {}
        for item in finished:
            by_run.setdefault(item.job.lease.run, []).append(item)
        self._turns.take(by_run)
        try:
            return self._record(by_run, next_claim or NextClaim())
        finally:
            self._turns.give_back(by_run)

    def _record_again(
        self, finished: Sequence[Finished], next_claim: NextClaim
    ) -> RecordedOutcomes:
        """Record outcomes of one run at which this thread has its turn already."""
        return self._record({finished[0].job.lease.run: finished}, next_claim)

    def _record(
        self, by_run: Mapping[str, Sequence[Finished]], next_claim: NextClaim
    ) -> RecordedOutcomes:
        out = RecordedOutcomes()
        parts = [
            part
            for run, items in by_run.items()
            if (part := self._commits.of_run(run, items, next_claim, out)) is not None
        ]
        self._send(parts, next_claim, out)
        return out

    def record_batch(
        self, batch: Batch, finished: Finished, next_claim: NextClaim
    ) -> RecordedOutcomes:
        """Record what a worker did on its own, in one commit that is guarded by the lease it began with."""
        out, runs = RecordedOutcomes(), [batch.base.run]
        self._turns.take(runs)
        try:
            self._send(
                [self._commits.of_batch(batch, finished, next_claim)], next_claim, out
            )
        finally:
            self._turns.give_back(runs)
        return out

    # -- sending -----------------------------------------------------------------------------------------

    def _send(
        self,
        parts: Sequence[RunCommit],
        next_claim: NextClaim,
        out: RecordedOutcomes,
        *,
        late: bool = False,
    ) -> None:
        waiting, size = list(parts), len(parts)
        while waiting:
            replies = [
                reply
                for i in range(0, len(waiting), size)
                for reply in self._offered(waiting[i : i + size], next_claim, out)
            ]
            # Should one of them be why nothing is heard, it is alone in the end.
            size = max(1, size // 2)
            again: list[tuple[RunCommit, EventStoreError]] = []
            behind: list[RunCommit] = []
            for part, reply in zip(waiting, replies, strict=True):
                if (
                    isinstance(reply, Committed)
                    and reply.code is Code.CONFLICT
                    and part.batch is not None
                ):
                    behind += self._behind(part, part.batch, reply, next_claim, out)
                elif isinstance(reply, Committed):
                    self._digested(part, reply, next_claim, out)
                elif passes(reply):
                    again.append((part, reply))
                else:
                    self._refused(part, reply, next_claim, out)
            if again and not self._patience.lasts():
                for part, error in again:
                    give_up(part.finished, error, out)
                return
            if again and not late and self._handler.store.is_cluster:
                self._send_later([part for part, _ in again])
                again = []
            waiting = [*behind, *(part for part, _ in again)]

    def _send_later(self, parts: Sequence[RunCommit]) -> None:
        """Wait for one node of a cluster on a thread of its own: there is work on the other nodes meanwhile."""
        names = ", ".join(part.session.run for part in parts)
        log.info("outcomes wait until the nodes of their runs are back: %s", names)
        threading.Thread(
            target=self._send_late, args=(parts,), name="openagents-late", daemon=True
        ).start()

    def _send_late(self, parts: Sequence[RunCommit]) -> None:
        """Send the same commits until they are answered, without their claims: nobody here waits for new steps."""
        out = RecordedOutcomes()
        try:
            self._send(
                [unclaiming(part) for part in parts], NextClaim(), out, late=True
            )
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
                extra=named(item.job.lease),
            )

    def _offered(
        self, parts: Sequence[RunCommit], next_claim: NextClaim, out: RecordedOutcomes
    ) -> Sequence[Committed | EventStoreError]:
        handler = self._handler
        opens: list[tuple[int, Mapping[str, int]]] = []
        for part in parts:
            partition = handler.store.partition_of(part.session.run)
            left = self._left(part.built, next_claim)
            if left.get(next_claim.queue) and self._keeps(part.built, next_claim):
                out.left.append(partition)
                left = {**left, next_claim.queue: 0}
            opens.append((partition, left))
        ringer = handler.ringer
        wakeups = ringer.wakeups(opens)
        # Who will claim what these commits lead to does not go to sleep behind them.
        request = None if any(part.built.opens for part in parts) else next_claim.hints
        try:
            offered = handler.store.offer(
                [p.built.commit for p in parts], wakeups=wakeups, request=request
            )
        except EventStoreError as error:
            return [error] * len(parts)
        ringer.answer(wakeups, offered.unheard)
        if offered.hints is not None:
            out.hinted(ringer.bell.taken(next_claim.queue, offered.hints))
        return offered.commits

    def _keeps(self, built: BuiltCommit, next_claim: NextClaim) -> bool:
        """Tell whether nobody else is told of what is left: what this worker cannot run is for others."""
        if not next_claim.keeps:
            return False
        mine = [x for x in built.changes.ready if x.queue == next_claim.queue]
        return all(self._can(step.component) for step in mine)

    def _left(self, built: BuiltCommit, next_claim: NextClaim) -> dict[str, int]:
        """Count what is left to others; the commit claims new steps that this worker can run, none that begin again."""
        if not next_claim.at_most or next_claim.queue not in built.opens:
            return built.opens
        # Those with fairness keys may have to take their turns: a hint too many costs less than a step overlooked.
        in_turn = {share.step for share in built.changes.shares}
        new = [
            x
            for x in built.changes.ready
            if x.queue == next_claim.queue
            and not x.delay_ms
            and x.step not in in_turn
            and self._can(x.component)
        ]
        return {
            **built.opens,
            next_claim.queue: built.opens[next_claim.queue]
            - min(len(new), next_claim.at_most),
        }

    def _behind(
        self,
        part: RunCommit,
        batch: Batch,
        reply: Committed,
        next_claim: NextClaim,
        out: RecordedOutcomes,
    ) -> list[RunCommit]:
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
                return [self._commits.of_batch(again, first, next_claim)]
            out.refused.append(first)
        except Exception as error:
            # By itself, its outcome can be waited for, or fails its step.
            log.warning(
                "run %s: a batch cannot go on behind what others wrote: %s",
                session.run,
                error,
            )
            out.add(self._record_again([first], next_claim))
        return []

    def _refused(
        self,
        part: RunCommit,
        error: EventStoreError,
        next_claim: NextClaim,
        out: RecordedOutcomes,
    ) -> None:
        """Record failures in the place of what the store refuses, whatever state it is in; give up what they are."""
        self._handler.sessions.drop(part.session.run)
        if part.batch is not None:
            # What came after the first outcome was never begun as far as the log knows.
            out.add(self._record_again(part.finished, next_claim))
            return
        failures = [unfit(item, error) for item in part.finished]
        if failures == list(part.finished):
            give_up(part.finished, error, out)
        else:
            out.add(self._record_again(failures, next_claim))

    # -- answers -----------------------------------------------------------------------------------------

    def _digested(
        self,
        part: RunCommit,
        reply: Committed,
        next_claim: NextClaim,
        out: RecordedOutcomes,
    ) -> None:
        """Take an answer in; what has been committed is on the log, whatever goes wrong here."""
        while True:
            try:
                self._digest(part, reply, next_claim, out)
            except OpenAgentsError as error:
                if passes(error) and self._patience.lasts():
                    continue
                run, level = part.session.run, level_of(error)
                log.log(level, "run %s goes on elsewhere: %s", run, error)
                self._handler.sessions.drop(part.session.run)
            except Exception:
                # A defect met in one run must not end the work on all others.
                log.exception("run %s met a defect of the engine", part.session.run)
                self._handler.sessions.drop(part.session.run)
            return

    def _digest(
        self,
        part: RunCommit,
        reply: Committed,
        next_claim: NextClaim,
        out: RecordedOutcomes,
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
                    out.add(self._record_again(again, next_claim))
            case _:  # the log has gone back behind these claims: the steps will be claimed again
                handler.sessions.drop(session.run)
                out.refused += part.finished

    def _carried_out(
        self, part: RunCommit, reply: Committed, out: RecordedOutcomes
    ) -> None:
        started = [
            ev.StepStarted(
                x.step, x.attempt, x.fence, self._worker, time_ms=reply.time_ms
            )
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
        after = handler.sessions.follow(session, reply.version, reply.events)
        handled = handler.handle(
            session.run, cmd.Advance(), actor=self._worker, session=after, fresh=True
        )
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
