"""Attempts of workers over HTTP: handed out, extended, and recorded as those of processes of ours are.

No instance remembers a lease: what it needs to know stands in the token, and the rest is the run's own history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NoReturn

from msgspec import Struct

from eventstore import codec
from eventstore.run_model import Lease
from eventstore.runs import RunStore
from executor.attempts.jobs import ONCE, Finished, Job, job_of, jobs_of, unbegun
from executor.attempts.masking import NO_MASK, Mask
from executor.attempts.patience import impatience
from executor.attempts.recorder import Recorder
from executor.attempts.secret_steps import masked_outcome, with_secrets, without_secrets
from executor.attempts.secrets import Secrets
from executor.errors import PayloadOverLimit, RunNotFound, SecretMissing
from executor.remote.errors import LeaseLost, OutcomeNotStored
from executor.remote.tokens import RemoteLease
from executor.remote.waiters import TakenSteps, WorkRequest
from executor.runs.handler import Handler
from openagents_json.errors import OpenAgentsError
from openagents_json.work_index import STARTED
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.errors import SecretsUnclear

log = logging.getLogger(__name__)

IGNORED: Final = ev.StepOutcomeIgnored.__name__

UNKNOWN_OUTCOME: Final = (
    "its worker gave it back, and the step may not be started twice"
)


class Standing(Struct, frozen=True, gc=False):
    """How it stands with a lease that is held: whether its run is asked to cancel, and whether it is paused."""

    cancel: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class RemoteAttempts:
    """Hands attempts out and takes their outcomes in; `emit` shows values of a step, `on_wait` hears of retries."""

    store: RunStore
    handler: Handler
    secrets: Secrets
    emit: Callable[[str, str, int, Any], None]
    on_wait: Callable[[str, int], None]

    # -- handing out -------------------------------------------------------------------------------------

    def handed_out(self, request: WorkRequest, taken: TakenSteps) -> list[Job]:
        """Return what was claimed as jobs that can begin, secrets put in; what cannot begin has its outcome at once.

        Raises StoreUnavailable; then the claims run out.
        """
        jobs = jobs_of(self.handler.sessions, taken.claimed, self.handler.turns)
        ready: list[Job] = []
        ended: list[Finished] = []
        for job in jobs:
            filled = self._filled(job)
            if isinstance(filled, Job):
                ready.append(filled)
            else:
                ended.append(Finished(job, filled))
        may_begin = self._begun(ready, request.lease_ms)
        ended += [
            Finished(job, unbegun(job)) for job in ready if job.lease not in may_begin
        ]
        self._recorder(request.worker).record(ended)
        return [job for job in ready if job.lease in may_begin]

    def _filled(self, job: Job) -> Job | cmd.Outcome:
        """Return a job with its secrets, or its outcome where it may not begin any more."""
        if job.too_late is not None:
            return cmd.Failed(job.lease.step, job.lease.attempt, job.too_late)
        try:
            return self._with_secrets(job)[0]
        except (SecretMissing, SecretsUnclear) as error:
            return without_secrets(job, error)

    def _with_secrets(self, job: Job) -> tuple[Job, Mask]:
        return with_secrets(job, self.secrets) if job.step.secrets else (job, NO_MASK)

    def _begun(self, jobs: Sequence[Job], lease_ms: int) -> set[Lease]:
        """Return the leases of what may begin; that a step which may not be started twice has begun is noted first.

        From then on, nobody begins it again, although the answer may be lost on its way: that cannot be told from a
        worker which has died in the middle.
        """
        once = [job.lease for job in jobs if job.step.effect == ONCE]
        held = self.store.beat(once, lease_ms, begin=True) if once else []
        lost = {lease for lease, answer in zip(once, held, strict=True) if answer <= 0}
        return {job.lease for job in jobs} - lost

    def give_back(self, request: WorkRequest, taken: TakenSteps) -> None:
        """Give back what was claimed for somebody who has gone: nobody has begun it."""
        jobs = jobs_of(self.handler.sessions, taken.claimed, self.handler.turns)
        self._recorder(request.worker).record(
            [Finished(job, unbegun(job)) for job in jobs]
        )

    # -- while it runs -----------------------------------------------------------------------------------

    def extend(self, held: RemoteLease) -> Standing:
        """Extend a lease, and say how it stands with its run.

        Raises LeaseLost and StoreUnavailable.
        """
        lease = held.lease
        [answer] = self.store.beat([lease], held.lease_ms)
        if answer < 0:
            raise OutcomeNotStored(lease.run, lease.step)
        if answer == 0:
            raise LeaseLost(lease.run, lease.step, lease.attempt)
        [status] = self.store.statuses([lease.run])
        return Standing(cancel=answer > 1, paused=status == st.PAUSED)

    def show(self, held: RemoteLease, values: Sequence[Any]) -> Standing:
        """Show what a step shows while it runs; that extends its lease.

        Raises LeaseLost, StoreUnavailable and NotJson.
        """
        standing = self.extend(held)
        job = self._job(held)
        mask = NO_MASK if job is None else self._with_secrets(job)[1]
        lease = held.lease
        for value in values:
            shown = value if mask is NO_MASK else mask.value(codec.normalise(value))
            self.emit(lease.run, lease.step, lease.attempt, shown)
        return standing

    # -- outcomes ----------------------------------------------------------------------------------------

    def record(self, held: RemoteLease, outcome: cmd.Outcome) -> None:
        """Record the outcome of an attempt; the same again changes nothing.

        Raises LeaseLost, OutcomeNotStored, StoreUnavailable, NotJson and PayloadOverLimit.
        """
        lease = held.lease
        job = self._job(held)
        if job is None:
            self._refuse(held, outcome)
        masked = masked_outcome(outcome, self._with_secrets(job)[1])
        if isinstance(masked, cmd.Completed):
            self._check_size(masked)
        ended = self._ended(lease)
        if ended is None:
            done = self._recorder(held.worker).record([Finished(job, masked)])
            if done.given_up:
                raise OutcomeNotStored(lease.run, lease.step)
            if not done.refused:
                return
            # Another instance may have been told, and this one have known the run as it was before.
            ended = self._ended(lease, is_fresh=True)
        if ended is None or not _is_end_of(ended, masked):
            self._refuse(held, masked)

    def _ended(self, lease: Lease, *, is_fresh: bool = False) -> st.StepState | None:
        """Return the step of a lease where its attempt has ended, and no other one has begun since."""
        sessions = self.handler.sessions
        cached = None if is_fresh else sessions.get(lease.run)
        try:
            step = (cached or sessions.load(lease.run)).state.steps.get(lease.step)
        except RunNotFound:
            return None
        if step is None or step.fence != lease.fence or step.status == st.STARTED:
            return None
        return step

    def _check_size(self, outcome: cmd.Completed) -> None:
        """Refuse what is too large while its worker can still send less, or fail the step."""
        size, limit = len(codec.encode(outcome.output)), self.handler.limits.payload
        if size > limit:
            raise PayloadOverLimit(outcome.step, "output", size, limit)

    def give_up(self, held: RemoteLease, reason: str) -> None:
        """Record that a worker gives a step back; what may not be started twice has failed, as nobody knows how.

        Raises LeaseLost, OutcomeNotStored and StoreUnavailable.
        """
        lease = held.lease
        job = self._job(held)
        outcome: cmd.Outcome = cmd.Released(lease.step, lease.attempt, reason)
        if job is not None and job.step.effect == ONCE:
            message = f"step {lease.step}: {UNKNOWN_OUTCOME}"
            error = {"type": "UnknownOutcome", "message": message, "retryable": False}
            outcome = cmd.Failed(lease.step, lease.attempt, error)
        self.record(held, outcome)

    def _recorder(self, worker: str) -> Recorder:
        return Recorder(
            self.handler,
            worker,
            lease_of=lambda _queue: 0,
            on_wait=self.on_wait,
            can=lambda _component: False,
            hold=lambda _job: None,
            patience=impatience(),  # whoever asks can ask again
            turns=self.handler.turns,
        )

    def _job(self, held: RemoteLease) -> Job | None:
        """Return the job of a lease; None where its run is not there, or the step is another attempt's by now."""
        lease = held.lease
        cached = self.handler.sessions.get(lease.run)
        job = None if cached is None else job_of(cached, lease)
        if job is not None:
            return job
        try:
            session = self.handler.sessions.load(lease.run)
        except RunNotFound:
            return None
        return job_of(session, lease)

    def _refuse(self, held: RemoteLease, outcome: cmd.Outcome) -> NoReturn:
        """Keep on record that an outcome came too late, once, and say so.

        Raises LeaseLost.
        """
        lease, kind = held.lease, type(outcome).__name__
        is_spent = not isinstance(outcome, cmd.Released) or outcome.usage
        note = cmd.NoteIgnored(
            lease.step, lease.attempt, held.worker, kind, outcome.usage
        )
        try:
            if is_spent and not self._is_noted(lease, held.worker):
                self.handler.handle(lease.run, note, actor=held.worker)
        except OpenAgentsError as error:  # that it is not on record harms nobody
            log.info("run %s: a late outcome could not be noted: %s", lease.run, error)
        raise LeaseLost(lease.run, lease.step, lease.attempt)

    def _is_noted(self, lease: Lease, worker: str) -> bool:
        for event in chain.from_iterable(self.store.backwards(lease.run)):
            is_of_attempt = (
                event.data.get("step") == lease.step
                and event.data.get("attempt") == lease.attempt
            )
            if is_of_attempt and event.type == STARTED:
                return False
            if (
                is_of_attempt
                and event.type == IGNORED
                and event.data.get("worker") == worker
            ):
                return True
        return False


def _is_end_of(step: st.StepState, outcome: cmd.Outcome) -> bool:
    """Tell whether it is by this outcome that an attempt has ended: the answer to it was lost, and it comes again."""
    if isinstance(outcome, cmd.Completed):
        return step.status == st.COMPLETED and step.output == outcome.output
    if step.status == st.COMPLETED:
        return False
    if isinstance(outcome, cmd.Failed):
        return step.failures > 0
    return step.released > 0
