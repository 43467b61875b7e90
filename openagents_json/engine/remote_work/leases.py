"""Leases of workers in any language: claimed, extended, completed, failed, given back. Any instance takes any token."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from eventstore import codec
from eventstore.run_model import ClaimRequest
from executor.attempts.execution import STOPPING
from executor.attempts.jobs import Job
from executor.remote.attempts import Standing
from executor.remote.errors import ClaimDiffers as ClaimDiffers
from executor.remote.errors import LeaseOfAnother
from executor.remote.tokens import RemoteLease
from executor.remote.waiters import TakenSteps, Waiter, WorkRequest
from openagents_json.components.usage import UsageMeter, reported
from openagents_json.engine.remote_work.parts import RemoteParts
from openagents_json.engine.remote_work.served import Served, read_served
from openagents_json.engine.remote_work.values import (
    ClaimedSteps,
    Failure,
    LeasedStep,
    LeaseState,
    Usage,
)
from openagents_json.errors import InvalidArgument
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.usage import ByModel

_LOOK_MS: Final = 200
"""Who does not wait is answered when it was looked at what is ready."""

_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{0,100}")


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """What a worker asks for: up to `at_most` steps of a worker type, for its components, leased for `lease_ms`.

    `instance` tells workers of one caller apart. The same terms under the same `idempotency_key` give the same steps,
    as long as their leases last.
    """

    worker_type: str
    components: Sequence[Served]
    at_most: int = 1
    lease_ms: int = 30_000
    instance: str = ""
    idempotency_key: str | None = None


class Leases:
    """Work for programs that are no processes of this engine, in the name of a caller."""

    def __init__(self, parts: RemoteParts, actor: str) -> None:
        self._parts = parts
        self._actor = actor

    # -- claims ------------------------------------------------------------------------------------------

    def claim(self, terms: ClaimTerms, *, wait_ms: int = 0) -> ClaimedSteps:
        """Take steps that are ready, and wait for some if there are none, in the calling thread.

        Raises InvalidArgument, InvalidDeclaration, ClaimDiffers and StoreUnavailable.
        """
        request, again = self._asked(terms)
        if again is not None:
            return again
        waiter = Waiter(request)
        try:
            self._parts.enter(waiter)
            with suppress(NotYet):
                waiter.taken.result(max(wait_ms, _LOOK_MS) / 1000)
        finally:
            taken = self._left(waiter)
        return self._given(terms, request, taken)

    async def aclaim(
        self,
        terms: ClaimTerms,
        *,
        wait_ms: int = 0,
        gone: Callable[[], Coroutine[Any, Any, Any]] | None = None,
        stopping: asyncio.Event | None = None,
    ) -> ClaimedSteps:
        """Take steps as `claim` does, without a thread for each that waits.

        Nobody waits on for a caller that has `gone`, and what was claimed for it is given back, as it is where the wait
        is cancelled; once it is `stopping`, the answer is what there is.
        """
        request, again = await asyncio.to_thread(self._asked, terms)
        if again is not None:
            return again
        left = _task(gone)
        stop = _task(None if stopping is None else stopping.wait)
        try:
            taken = await self._waited(request, max(wait_ms, _LOOK_MS), left, stop)
        finally:
            left.cancel()
            stop.cancel()
        return await asyncio.to_thread(self._given, terms, request, taken)

    async def _waited(
        self,
        request: WorkRequest,
        wait_ms: int,
        left: asyncio.Future[Any],
        stop: asyncio.Future[Any],
    ) -> TakenSteps | None:
        """Return what was claimed for a request in time, None where nothing was, or its caller has left."""
        waiter = Waiter(request)
        is_wanted = False
        try:
            await asyncio.to_thread(self._parts.enter, waiter)
            await asyncio.wait(
                {_arrival(waiter), left, stop},
                timeout=wait_ms / 1000,
                return_when=asyncio.FIRST_COMPLETED,
            )
            is_wanted = True
        finally:
            # Shielded: whatever ends this wait, what is claimed must not be lost between two threads.
            taken = await asyncio.shield(asyncio.to_thread(self._left, waiter))
            is_wanted = is_wanted and not left.done()
            if taken is not None and not is_wanted:
                give_back = self._parts.attempts.give_back
                await asyncio.shield(asyncio.to_thread(give_back, request, taken))
        return taken if is_wanted else None

    def _left(self, waiter: Waiter) -> TakenSteps | None:
        # First closed: a thread that is still about to enter it lets it be then.
        try:
            return waiter.close()
        finally:
            self._parts.leave(waiter)

    def _asked(self, terms: ClaimTerms) -> tuple[WorkRequest, ClaimedSteps | None]:
        """Return what is asked for, and what it was given if it was asked for before."""
        request = self._request(terms)
        if terms.idempotency_key is None:
            return request, None
        given = self._parts.table.given(request.id)
        if given is None:
            return request, None
        digest, queue, partition = given
        if digest != _digest(terms):
            raise ClaimDiffers(_digest(terms), digest)
        taken = self._taken_again(request, queue, int(partition))
        return request, None if taken is None else self._handed(
            request, taken, is_replayed=True
        )

    def _taken_again(
        self, request: WorkRequest, queue: str, partition: int
    ) -> TakenSteps | None:
        """Return what a claim took, from the store itself: what has been lost of it since is not there any more."""
        claim = ClaimRequest(
            partition,
            queue,
            request.at_most,
            request.id,
            request.components.fingerprint,
        )
        replies = self._parts.core.runs.claim(
            [claim], worker=request.worker, lease_ms=request.lease_ms
        )
        claimed = [claim for reply in replies for claim in reply.claimed]
        return TakenSteps(queue, partition, tuple(claimed)) if claimed else None

    def _request(self, terms: ClaimTerms) -> WorkRequest:
        core = self._parts.core
        worker = self._worker(terms.instance)
        components, described = read_served(
            terms.components, terms.worker_type, core.registered
        )
        core.registered.announce(described, actor=worker)
        key = terms.idempotency_key
        claim = core.handler.commit_id() if key is None else _claim_of(worker, key)
        return WorkRequest(
            claim, worker, terms.worker_type, terms.at_most, terms.lease_ms, components
        )

    def _worker(self, instance: str) -> str:
        """Return the name under which a worker stands in histories: that of its caller, and its own."""
        if not _NAME.fullmatch(instance):
            raise InvalidArgument(
                f"{instance!r} is no name of a worker",
                remedy="use letters, digits, and the characters _ . -",
            )
        caller = self._actor.removeprefix("key:").replace("|", "-")
        return f"http:{caller}/{instance}" if instance else f"http:{caller}"

    def _given(
        self, terms: ClaimTerms, request: WorkRequest, taken: TakenSteps | None
    ) -> ClaimedSteps:
        if taken is None:
            return ClaimedSteps(())
        if terms.idempotency_key is not None:
            # Should we die before this, the leases run out.
            given = [_digest(terms), taken.queue, str(taken.partition)]
            self._parts.table.note(request.id, given, request.lease_ms)
        return self._handed(request, taken)

    def _handed(
        self, request: WorkRequest, taken: TakenSteps, *, is_replayed: bool = False
    ) -> ClaimedSteps:
        jobs = self._parts.attempts.handed_out(request, taken)
        steps = [self._leased(job, request) for job in jobs]
        return ClaimedSteps(tuple(steps), is_replayed)

    def _leased(self, job: Job, request: WorkRequest) -> LeasedStep:
        # Who is to say in time that it is alive has a lease that is no longer than that.
        lease_ms = min(
            job.step.timeouts.heartbeat_ms or request.lease_ms, request.lease_ms
        )
        held = RemoteLease(job.lease, request.worker, self._actor, lease_ms)
        if lease_ms < request.lease_ms:
            self._parts.attempts.extend(held)
        spec = request.components.find(job.bound)
        return LeasedStep(
            lease=self._parts.tokens.seal(held),
            lease_ms=lease_ms,
            run=job.lease.run,
            step=job.lease.step,
            attempt=job.execution,
            workflow=job.workflow,
            component=job.component.partition("@")[0],
            version="" if spec is None else spec.version,
            inputs=job.inputs,
            idempotency_key=job.idempotency_key,
            deadline_ms=job.lease.deadline_ms,
            effect=job.step.effect,
        )

    # -- leases ------------------------------------------------------------------------------------------

    def heartbeat(self, token: str) -> LeaseState:
        """Extend a lease, and tell what its worker has to know.

        Raises UnknownLease, LeaseOfAnother, LeaseLost and StoreUnavailable.
        """
        held = self._held(token)
        return _state(held, self._parts.attempts.extend(held))

    def emit(self, token: str, values: Sequence[Any]) -> LeaseState:
        """Show values of a step while it runs, to whoever follows its run; that extends its lease too.

        Raises as `heartbeat` does, and NotJson.
        """
        held = self._held(token)
        return _state(held, self._parts.attempts.show(held, values))

    def complete(self, token: str, output: Any, *, usage: Iterable[Usage] = ()) -> None:
        """Record what a step returned; the same again changes nothing.

        Raises as `heartbeat` does, NotJson, PayloadOverLimit, InvalidUsage, and OutcomeNotStored: then send it again.
        """
        held = self._held(token)
        lease = held.lease
        returned = codec.normalise(output)
        outcome = cmd.Completed(lease.step, lease.attempt, returned, _used(usage))
        self._parts.attempts.record(held, outcome)

    def fail(self, token: str, error: Failure, *, usage: Iterable[Usage] = ()) -> None:
        """Record that a step failed; the same again changes nothing.

        Raises as `complete` does.
        """
        held = self._held(token)
        lease = held.lease
        outcome = cmd.Failed(lease.step, lease.attempt, error.described(), _used(usage))
        self._parts.attempts.record(held, outcome)

    def release(self, token: str, reason: str = "") -> None:
        """Give a step back, for others: its worker stops. What may not be started twice has failed then.

        Raises as `complete` does.
        """
        held = self._held(token)
        self._parts.attempts.give_up(held, reason or STOPPING)

    def _held(self, token: str) -> RemoteLease:
        held = self._parts.tokens.open(token)
        if held.caller != self._actor:
            raise LeaseOfAnother
        self._parts.presence.works(held.worker)
        return held


def _task(wait: Callable[[], Coroutine[Any, Any, Any]] | None) -> asyncio.Future[Any]:
    """Return what is done when somebody has waited for something; never, where that is nothing."""
    if wait is None:
        return asyncio.get_running_loop().create_future()
    return asyncio.ensure_future(wait())


def _arrival(waiter: Waiter) -> asyncio.Future[TakenSteps]:
    """Return what is done when somebody has claimed for a waiter, or has failed to."""
    arrival = asyncio.wrap_future(waiter.taken)
    # What went wrong is raised by who closes the waiter; the loop would tell of it as of an error that nobody has seen.
    arrival.add_done_callback(lambda done: done.cancelled() or done.exception())
    return arrival


def _state(held: RemoteLease, standing: Standing) -> LeaseState:
    return LeaseState(held.lease_ms, standing.cancel, standing.paused)


def _used(usage: Iterable[Usage]) -> ByModel | None:
    """Return what was used, as it stands on the log.

    Raises InvalidUsage.
    """
    meter = UsageMeter()
    for used in usage:
        meter.add(
            *reported(used.model, used.input_tokens, used.output_tokens, used.cost)
        )
    return meter.take()


def _claim_of(worker: str, key: str) -> str:
    digest = hashlib.sha256(f"{worker}\0{key}".encode("utf-8", "surrogatepass"))
    return f"h{digest.hexdigest()[:24]}"


def _digest(terms: ClaimTerms) -> str:
    """Return a hash of what a claim asks for."""
    asked = [terms.worker_type, list(terms.components), terms.at_most, terms.lease_ms]
    return hashlib.sha256(codec.encode(asked)).hexdigest()[:12]
