"""What a worker holds: claimed attempts with everything that their execution needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from eventstore.errors import EventStoreError
from eventstore.run_model import Claimed, Lease
from executor.attempts.log_fields import named
from executor.attempts.patience import passes
from executor.runs.codec import is_sealed
from executor.runs.repository import Session, SessionCache
from executor.runs.turns import Turns
from openagents_json.errors import RunUnreadable
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.elapsed import begun_too_late
from openagents_json.workflow.core.plan import Persistence, StepPlan
from openagents_json.workflow.core.state import NOT_HELD
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

REPEATABLE = frozenset({"pure", "idempotent"})
"""Effects of steps that may wait in a batch: one that is claimed and not begun costs nothing to give back."""

STEP_BY_STEP = Persistence()

ONCE = "at_most_once"
"""The effect of steps that are never started twice."""


class Job(Struct, frozen=True, gc=False):
    """A claimed attempt: its lease, its step in the plan, its inputs, and which execution of the step it is, from 1.

    `secrets` say where its inputs hold secrets, as in StepScheduled; `idempotency_key` is equal for all its attempts.
    `too_late` is the error that the step fails with where the retry policy allows no attempt any more. `build` is that
    of its component, where the step begins without a claim. `tried` counts the attempts before this one that failed or
    were lost since the step was scheduled.
    """

    lease: Lease
    step: StepPlan
    workflow: str
    inputs: Mapping[str, Json]
    execution: int
    fences: Mapping[str, int] = {}
    persistence: Persistence = STEP_BY_STEP
    secrets: Sequence[Json] | None = None
    idempotency_key: str = ""
    too_late: Mapping[str, Json] | None = None
    build: str = ""
    tried: int = 0

    @property
    def alone(self) -> bool:
        """Tell whether what the step leads to goes to the log with it, at once."""
        return self.persistence.mode == "step"

    @property
    def component(self) -> str:
        """Return the component reference as the document wrote it."""
        return self.step.component or ""

    @property
    def bound(self) -> str:
        """Return the reference with the version that it meant when the run began."""
        return self.step.bound or self.component


class Finished(Struct, frozen=True, gc=False):
    """A job with its outcome, not yet on the log."""

    job: Job
    outcome: cmd.Outcome


def unbegun(job: Job) -> cmd.Outcome:
    """Return the outcome of a step that this process has claimed and may not begin: its lease is lost, or in doubt."""
    return cmd.Released(job.lease.step, job.lease.attempt, NOT_HELD)


def job_of(session: Session, lease: Lease) -> Job | None:
    """Return the job of a lease; None when the run has moved on since."""
    step = session.state.steps.get(lease.step)
    if step is None or step.fence != lease.fence:
        return None
    plan = session.plan.of(lease.step)
    return Job(
        lease,
        plan,
        session.state.workflow,
        step.inputs,
        lease.attempt - step.unbegun,
        step.gates or {},
        session.plan.persistence,
        step.secrets,
        session.state.idempotency_key(lease.step),
        begun_too_late(plan, step),
        tried=step.failures + step.lost,
    )


def jobs_of(
    sessions: SessionCache, claimed: Sequence[Claimed], turns: Turns
) -> list[Job]:
    """Return the jobs of claims; histories that did not come with them are read in one more round trip.

    A run that cannot be read is left alone: its leases run out, and the others go on. Raises StoreUnavailable.
    """
    # What came along is looked at for runs that are not known only: to read it costs more than the rest of a claim.
    unknown = [claim for claim in claimed if not _is_known(sessions, claim)]
    sealed = [claim.lease.run for claim in unknown if _is_sealed(claim)]
    sessions.keyring.prepare(sealed)
    unread = _unread(sessions, claimed)
    if unread:
        # A commit of this process may be under way on which a claim follows: then its reply saves the reading.
        turns.let_pass(unread)
        unread = _unread(sessions, claimed)
    if unread:
        with _each_by_itself():
            sessions.load_all(unread)
    jobs = [_claimed_job(sessions, claim) for claim in claimed]
    return [job for job in jobs if job is not None]


def _is_sealed(claim: Claimed) -> bool:
    """Tell whether the history that came along with a claim is encrypted."""
    return bool(claim.events) and is_sealed(claim.events[0])


def _unread(sessions: SessionCache, claimed: Sequence[Claimed]) -> list[str]:
    """Fold claims in their order, as those of one run follow on each other; gives the runs that have to be read."""
    unread = (claim.lease.run for claim in claimed if not _folded(sessions, claim))
    return list(dict.fromkeys(unread))


def _folded(sessions: SessionCache, claim: Claimed) -> bool:
    """Fold a claim with what came along of its history; False when that has to be read."""
    run = claim.lease.run
    session = sessions.get(run)
    if session is not None and session.version >= claim.version:
        return True
    if session is not None and _follows(claim, session):
        sessions.put(_behind_claim(session, claim))
        return True
    start, events = session.version + 1 if session else 1, claim.events
    if not events or not events[0].version <= start <= claim.version:
        return False
    if events[-1].version < claim.version:
        return False
    with _each_by_itself():
        sessions.extend(run, session, events)
    return True


def _is_known(sessions: SessionCache, claim: Claimed) -> bool:
    session = sessions.get(claim.lease.run)
    if session is None:
        return False
    return session.version >= claim.version or _follows(claim, session)


def _follows(claim: Claimed, session: Session) -> bool:
    """Tell whether a claim is all that has come to a run since a session of it.

    The version alone does not: a log that has lost its tail may have other history at the same versions.
    """
    is_next = claim.version == session.version + 1
    return is_next and bool(claim.previous) and claim.previous == session.commit


def _behind_claim(session: Session, claim: Claimed) -> Session:
    """Return a session behind a claim, whose event need not be read: the claim says all of it."""
    lease = claim.lease
    started = ev.StepStarted(
        lease.step,
        lease.attempt,
        lease.fence,
        claim.worker,
        time_ms=claim.time_ms,
    )
    return session.folded([started], claim.version, claim.commit)


@contextmanager
def _each_by_itself() -> Iterator[None]:
    """Leave what cannot be read of a run to when each is told by itself; a store that is away is another matter."""
    try:
        yield
    except EventStoreError as error:
        if passes(error):
            raise
    except Exception as error:
        log.debug("a history could not be read with others: %s", error)


def _claimed_job(sessions: SessionCache, claim: Claimed) -> Job | None:
    run = claim.lease.run
    try:
        job = job_of(sessions.get(run) or sessions.load(run), claim.lease)
        if job is None:  # what was known of the run is not its history any more
            sessions.drop(run)
            job = job_of(sessions.load(run), claim.lease)
    except (RunUnreadable, EventStoreError) as error:
        if passes(error):
            raise
        log.error(
            "run %s: step %s was claimed and cannot be run here: %s",
            run,
            claim.lease.step,
            error,
            extra=named(claim.lease),
        )
        return None
    except Exception:
        # What is wrong with one run is not the fault of those that were claimed with it.
        log.exception(
            "run %s: step %s was claimed and met a defect of the engine",
            run,
            claim.lease.step,
            extra=named(claim.lease),
        )
        return None
    return job
