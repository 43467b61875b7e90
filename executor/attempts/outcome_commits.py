"""The commits of outcomes: one for each run, with what its outcomes lead to and the claim of what comes next.

What goes wrong with one outcome is that outcome's own affair: whatever raises while it is decided on fails its step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from eventstore.errors import EventStoreError
from eventstore.run_model import Ability, CommitClaim, Lease
from eventstore.runs import HintRequest
from executor.attempts.group_commit import Batch
from executor.attempts.jobs import Finished, Job
from executor.attempts.log_fields import named
from executor.attempts.patience import Patience, passes
from executor.attempts.unrecordable import unfit
from executor.errors import RunNotFound
from executor.runs.commit import BuiltCommit, build
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.work_index import STARTED
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.usage import ByModel

log = logging.getLogger(__name__)


class NextClaim(Struct, frozen=True, gc=False):
    """What a drain would take along: up to `at_most` new steps of `queue` for each commit.

    It `keeps` what is left of them where it does, and nobody else is told. When no steps follow, it asks for `hints`.
    """

    queue: str = ""
    at_most: int = 0
    keeps: bool = False
    hints: HintRequest | None = None


class RecordedOutcomes(Struct, gc=False):
    """What came back: jobs to go on with, outcomes that came too late, and those that nothing could be done with.

    `left` are partitions with more to do of which nobody was told, as the drain keeps them. `hints` are partitions with
    work for it, None when that was not asked or not answered.
    """

    jobs: list[Job] = []
    refused: list[Finished] = []
    given_up: list[Finished] = []
    left: list[int] = []
    hints: list[int] | None = None

    def add(self, more: RecordedOutcomes) -> None:
        """Add what came back from another try."""
        self.jobs += more.jobs
        self.refused += more.refused
        self.given_up += more.given_up
        self.left += more.left
        if more.hints is not None:
            self.hinted(more.hints)

    def hinted(self, partitions: Sequence[int]) -> None:
        """Add the answer to what was asked for hints."""
        self.hints = [*(self.hints or ()), *partitions]


class RunCommit(Struct, frozen=True, gc=False):
    """The commit of one run; without a `batch`, it can be built anew from other outcomes.

    A batch is stored as a whole or not at all: behind what others have written meanwhile.
    """

    session: Session
    finished: tuple[Finished, ...]
    built: BuiltCommit
    batch: Batch | None = None


def unclaiming(part: RunCommit) -> RunCommit:
    """Return a commit that claims nothing."""
    unclaimed = replace(part.built.commit, claim=None)
    return replace(part, built=replace(part.built, commit=unclaimed))


class OutcomeCommits:
    """Builds the commits of one worker: `can` tells what it can run, `lease_of` how long its leases of a queue are."""

    def __init__(
        self,
        handler: Handler,
        worker: str,
        lease_of: Callable[[str], int],
        can: Callable[[str], Ability],
        patience: Patience,
    ) -> None:
        self._handler = handler
        self._worker = worker
        self._lease_of = lease_of
        self._can = can
        self._patience = patience

    def of_batch(
        self, batch: Batch, finished: Finished, next_claim: NextClaim
    ) -> RunCommit:
        """Build the commit of a batch, which began with an outcome."""
        return RunCommit(
            batch.base,
            (finished,),
            batch.built(self._worker, self._claim(next_claim)),
            batch,
        )

    def _claim(self, next_claim: NextClaim) -> CommitClaim | None:
        if not next_claim.at_most:
            return None
        return CommitClaim(
            self._worker,
            self._lease_of(next_claim.queue),
            next_claim.at_most,
            next_claim.queue,
            self._can,
        )

    def of_run(
        self,
        run: str,
        items: Sequence[Finished],
        next_claim: NextClaim,
        out: RecordedOutcomes,
    ) -> RunCommit | None:
        """Build the commit of a run; None when there is none, and then `out` says what became of its outcomes."""
        while True:
            try:
                session, applying = self._session(run, items)
                outcomes = _outcomes(applying)
                now_ms = self._handler.time_for(session, outcomes)
                all_apply = len(applying) == len(items)
                refused = [] if all_apply else self._too_late(session, items)
                break
            except RunNotFound:
                # It has left the store, and what came of its steps is too late.
                out.refused += items
                return None
            except EventStoreError as error:
                if passes(error) and self._patience.lasts():
                    continue
                give_up(items, error, out)
                return None
            except Exception as error:  # a history that cannot be folded here
                give_up(items, error, out)
                return None
        out.refused += refused
        if not applying:
            return None
        return self._built(session, applying, outcomes, now_ms, next_claim, out)

    def _too_late(self, session: Session, items: Sequence[Finished]) -> list[Finished]:
        late = [item for item in items if not _applies(session, item)]
        return [item for item in late if not self._stands(session, item)]

    def _stands(self, session: Session, item: Finished) -> bool:
        """Tell whether an outcome is on the log, with what its attempt has used: others may have ended that."""
        if not _recorded(session, item):
            return False
        used = item.outcome.usage
        return not used or self._is_counted(item.job.lease, used)

    def _is_counted(self, lease: Lease, used: ByModel) -> bool:
        pages = self._handler.store.backwards(lease.run)
        for event in chain.from_iterable(pages):
            is_of_attempt = (
                event.data.get("step") == lease.step
                and event.data.get("attempt") == lease.attempt
            )
            if is_of_attempt and event.type == STARTED:
                return False
            if is_of_attempt and event.data.get("usage") == used:
                return True
        return False

    def _session(
        self, run: str, items: Sequence[Finished]
    ) -> tuple[Session, list[Finished]]:
        """Return a run and those outcomes that apply to it; it is read where some do not, as others were there."""
        sessions = self._handler.sessions
        session = sessions.get(run)
        if session is not None:
            applying = [item for item in items if _applies(session, item)]
            if len(applying) == len(items):
                return session, applying
        session = sessions.load(run)
        return session, [item for item in items if _applies(session, item)]

    def _built(
        self,
        session: Session,
        items: Sequence[Finished],
        outcomes: cmd.RecordOutcomes,
        now_ms: int,
        next_claim: NextClaim,
        out: RecordedOutcomes,
    ) -> RunCommit | None:
        """Build the commit of outcomes, or else of the failures that stand for those which do not let themselves."""
        try:
            return self._commit_of(session, items, outcomes, next_claim, now_ms)
        except Exception as error:
            log.warning(
                "run %s: an outcome does not let itself be recorded",
                session.run,
                exc_info=error,
            )
            fit = self._with_failures(session, items, error)
        try:
            return self._commit_of(session, fit, _outcomes(fit), next_claim, now_ms)
        except Exception as error:
            give_up(items, error, out)
            return None

    def _commit_of(
        self,
        session: Session,
        items: Sequence[Finished],
        outcomes: cmd.RecordOutcomes,
        next_claim: NextClaim,
        now_ms: int = 0,
    ) -> RunCommit | None:
        handler = self._handler
        built = build(
            session,
            outcomes,
            handler.commit_id(),
            actor=self._worker,
            leases=[item.job.lease for item in items],
            next_claim=self._claim(next_claim),
            limits=handler.limits,
            child=handler.child_id,
            now_ms=now_ms,
        )
        return RunCommit(session, tuple(items), built) if built else None

    def _with_failures(
        self, session: Session, items: Sequence[Finished], error: Exception
    ) -> list[Finished]:
        """Return the outcomes with failures in the place of those that raise by themselves, of all if none does."""
        singly = [self._or_unfit(session, item) for item in items]
        if singly != list(items):
            return singly
        return [unfit(item, error) for item in items]

    def _or_unfit(self, session: Session, item: Finished) -> Finished:
        try:
            self._commit_of(session, [item], _outcomes([item]), NextClaim())
        except Exception as error:
            return unfit(item, error)
        return item


def give_up(items: Iterable[Finished], error: Exception, out: RecordedOutcomes) -> None:
    """Leave outcomes to the end of their leases, and say so."""
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
            extra=named(lease),
        )
        out.given_up.append(item)


def _outcomes(items: Sequence[Finished]) -> cmd.RecordOutcomes:
    return cmd.RecordOutcomes(tuple([x.outcome for x in items]))


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
