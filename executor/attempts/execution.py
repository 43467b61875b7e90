"""Runs one component for one attempt: context in, outcome out; nothing that a component does escapes from here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from eventstore import codec
from eventstore.errors import NotJson
from executor.attempts.jobs import ONCE, Job
from executor.attempts.leases import LeaseKeeper
from executor.attempts.log_fields import current
from executor.attempts.logs import is_logged, log_outcome, log_start
from executor.attempts.masking import NO_MASK, Mask
from executor.attempts.secret_steps import masked_outcome, with_secrets, without_secrets
from executor.attempts.secrets import Secrets
from executor.attempts.step_limits import UNLIMITED, LimitsOfTypes
from executor.clock import Clock
from executor.errors import SecretMissing
from openagents_json.catalog.component import Component
from openagents_json.catalog.registry import Registry
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import (
    ComponentExit,
    UnknownComponent,
    describe_error,
    describe_output,
)
from openagents_json.components.usage import UsageMeter
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.errors import SecretsUnclear

STOPPING = "the worker stops"
"""The reason that components see when their worker is told to end."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Turns jobs into outcomes with the components of this process."""

    registry: Registry
    keeper: LeaseKeeper
    clock: Clock
    secrets: Secrets
    emit: Callable[[str, str, int, Any], None]
    limits: LimitsOfTypes = UNLIMITED
    coroutines: Callable[[Coroutine[Any, Any, cmd.Outcome]], cmd.Outcome] = asyncio.run
    """How a thread runs a coroutine; those of a lane are on its loop already."""

    def run(self, job: Job) -> cmd.Outcome:
        """Run a synchronous component on the calling thread."""
        if not is_logged():
            return self.capped(job, self._outcome(job))
        log_start(job)
        begun = self.clock.steady_ms()
        outcome = self.capped(job, self._outcome(job))
        log_outcome(job, outcome, self.clock.steady_ms() - begun)
        return outcome

    def capped(self, job: Job, outcome: cmd.Outcome) -> cmd.Outcome:
        """Return an outcome after which the step is tried no more, where its limits allow no more attempts."""
        left = self.limits.attempts_left(job)
        if left is None or left > 0 or not isinstance(outcome, cmd.Failed):
            return outcome
        error = {**outcome.error, "retryable": False}
        return replace(outcome, error=error)

    def _not_begun(self, job: Job) -> cmd.Outcome | None:
        """Return the outcome of an attempt that may not begin any more, None for one that may."""
        lease = job.lease
        if job.too_late is not None:
            return cmd.Failed(lease.step, lease.attempt, job.too_late)
        left = self.limits.attempts_left(job)
        if left is None or left >= 0:
            return None
        message = f"step {lease.step}: its limits allow {self.limits.of(job).attempts} attempts"
        error = {"type": "AttemptsExceeded", "message": message, "retryable": False}
        return cmd.Failed(lease.step, lease.attempt, error)

    def _outcome(self, job: Job) -> cmd.Outcome:
        if (not_begun := self._not_begun(job)) is not None:
            return not_begun
        if not job.step.secrets:
            return self._run(job)
        try:
            filled, mask = with_secrets(job, self.secrets)
        except (SecretMissing, SecretsUnclear) as error:
            return without_secrets(job, error)
        return masked_outcome(self._run(filled, mask), mask)

    async def run_async(self, job: Job) -> cmd.Outcome:
        """Run an asynchronous component on the calling event loop, for no longer than its start-to-close limit."""
        if not is_logged():
            return self.capped(job, await self._outcome_async(job))
        log_start(job)
        begun = self.clock.steady_ms()
        outcome = self.capped(job, await self._outcome_async(job))
        log_outcome(job, outcome, self.clock.steady_ms() - begun)
        return outcome

    async def _outcome_async(self, job: Job) -> cmd.Outcome:
        if (not_begun := self._not_begun(job)) is not None:
            return not_begun
        if not job.step.secrets:
            return await self._run_async(job)
        try:
            filled, mask = with_secrets(job, self.secrets)
        except (SecretMissing, SecretsUnclear) as error:
            return without_secrets(job, error)
        return masked_outcome(await self._run_async(filled, mask), mask)

    def _run(self, job: Job, mask: Mask = NO_MASK) -> cmd.Outcome:
        try:
            component = self.registry.resolve(job.bound)
        except UnknownComponent:
            return _unknown(job)
        if component.spec.is_async:  # it was not when the run was bound
            return self.coroutines(self._run_async(job, mask))
        token = self._token(job)
        meter = self._meter(component, job, mask)
        context = self._context(component, job, token, mask, meter)
        before = current.set((job.lease, job.execution))
        try:
            output = component.invoke(job.inputs, context)
        except BaseException as error:
            return _with_usage(_raised(job, error, token, mask), meter)
        finally:
            current.reset(before)
        return _with_usage(self._returned(job, output), meter)

    async def _run_async(self, job: Job, mask: Mask = NO_MASK) -> cmd.Outcome:
        try:
            component = self.registry.resolve(job.bound)
        except UnknownComponent:
            return _unknown(job)
        meter = self._meter(component, job, mask)
        return _with_usage(await self._awaited(component, job, mask, meter), meter)

    async def _awaited(
        self, component: Component, job: Job, mask: Mask, meter: UsageMeter | None
    ) -> cmd.Outcome:
        token = self._token(job)
        context = self._context(component, job, token, mask, meter)
        limit = self._left_ms(job)
        task = asyncio.ensure_future(_called(component, job, context))
        token.on_cancel(_canceller(asyncio.get_running_loop(), task))
        try:
            output = await asyncio.wait_for(
                task, None if limit is None else limit / 1000
            )
        except TimeoutError as error:
            if limit is not None and self._left_ms(job) == 0:
                return self._expired(job)
            return _failed(job, error, mask)
        except BaseException as error:
            return _raised(job, error, token, mask)
        return self._returned(job, output)

    def _returned(self, job: Job, output: Any) -> cmd.Outcome:
        lease = job.lease
        if self._left_ms(job) == 0:
            return self._expired(job)
        try:
            return cmd.Completed(lease.step, lease.attempt, codec.normalise(output))
        except NotJson as error:
            described = describe_output(lease.step, job.component, error)
            return cmd.Failed(lease.step, lease.attempt, described)

    def _expired(self, job: Job) -> cmd.Outcome:
        limit = self.limits.attempt_ms(job)
        return cmd.Expired(job.lease.step, job.lease.attempt, "start_to_close", limit)

    def _left_ms(self, job: Job) -> int | None:
        """Return what is left of the start-to-close limit, by this process's steady clock: others may go wrong."""
        limit = self.limits.attempt_ms(job)
        if not limit:
            return None
        held = self.keeper.held(job.lease)
        gone = self.clock.steady_ms() - held.since if held else 0.0
        return max(0, round(limit - gone))

    def _token(self, job: Job) -> CancelToken:
        held = self.keeper.held(job.lease)
        return held.token if held else CancelToken()

    def _meter(self, component: Component, job: Job, mask: Mask) -> UsageMeter | None:
        """Return what adds up the usage of an attempt, seen by the keeper too; None where nothing can report any."""
        if not component.takes_context:
            return None
        meter = UsageMeter(None if mask is NO_MASK else mask.text)
        held = self.keeper.held(job.lease)
        if held is not None:
            held.meter = meter
        return meter

    def _context(
        self,
        component: Component,
        job: Job,
        token: CancelToken,
        mask: Mask,
        meter: UsageMeter | None,
    ) -> Context | None:
        """Return what a component may know of its attempt; None for one that does not ask, as most do not."""
        if not component.takes_context or meter is None:
            return None
        lease, left = job.lease, self._left_ms(job)
        return Context(
            run_id=lease.run,
            step_id=lease.step,
            workflow_id=job.workflow,
            attempt=job.execution,
            idempotency_key=job.idempotency_key,
            deadline_ms=None if left is None else self.clock.now_ms() + left,
            token=token,
            now_ms=self.clock.now_ms,
            on_heartbeat=lambda _details: self.keeper.heartbeat(lease),
            on_emit=lambda value: self.emit(
                lease.run, lease.step, lease.attempt, _shown(value, mask)
            ),
            fences=dict(job.fences),
            mask=None if mask is NO_MASK else mask.text,
            on_usage=meter.add,
        )


def _with_usage(outcome: cmd.Outcome, meter: UsageMeter | None) -> cmd.Outcome:
    """Return an outcome with what its attempt has used, however it ended."""
    used = None if meter is None else meter.take()
    return replace(outcome, usage=used) if used else outcome


async def _called(component: Component, job: Job, context: Context | None) -> Any:
    """Call a component on the event loop; whatever it raises is its own failure and must not end the loop."""
    # In the context of this task alone.
    current.set((job.lease, job.execution))
    try:
        if component.spec.is_async:
            return await component.invoke(job.inputs, context)
        return await asyncio.to_thread(
            component.invoke, job.inputs, context
        )  # it was not sync when the run was bound
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise ComponentExit(job.component, error) from error


def _canceller(
    loop: asyncio.AbstractEventLoop, task: asyncio.Future[Any]
) -> Callable[[str], None]:
    def cancel(_reason: str) -> None:
        loop.call_soon_threadsafe(task.cancel)

    return cancel


def _shown(value: Any, mask: Mask) -> Any:
    """Return what a component emits without the secrets of its step."""
    return value if mask is NO_MASK else mask.value(codec.normalise(value))


def _raised(
    job: Job, error: BaseException, token: CancelToken, mask: Mask
) -> cmd.Outcome:
    """Return the outcome of a component that raised; one that was told to stop has done so."""
    if token.cancelled:
        return _cancelled(job, token)
    return _failed(job, error, mask)


def _failed(job: Job, error: BaseException, mask: Mask) -> cmd.Outcome:
    return cmd.Failed(
        job.lease.step, job.lease.attempt, describe_error(error, mask.message)
    )


def _cancelled(job: Job, token: CancelToken) -> cmd.Outcome:
    lease = job.lease
    if token.reason != STOPPING:
        described = {
            "type": "Cancelled",
            "message": f"step {lease.step} stopped: {token.reason}",
            "retryable": True,
        }
        return cmd.Failed(lease.step, lease.attempt, described)
    if job.step.effect != ONCE:
        return cmd.Released(lease.step, lease.attempt, STOPPING)
    message = f"step {lease.step}: its worker was stopped while it ran, and the step may not be started twice"
    described = {"type": "UnknownOutcome", "message": message, "retryable": False}
    return cmd.Failed(lease.step, lease.attempt, described)


def _unknown(job: Job) -> cmd.Outcome:
    return cmd.Released(job.lease.step, job.lease.attempt, "unknown component")
