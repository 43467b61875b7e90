"""Runs one component for one attempt: context in, outcome out; nothing that a component does escapes from here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eventstore import codec
from eventstore.errors import NotJson
from executor.attempts.jobs import ONCE, Job
from executor.attempts.leases import HeldLease, LeaseKeeper
from executor.attempts.masking import NO_MASK, Mask, mask_of
from executor.attempts.secrets import Secrets, put_in
from executor.clock import Clock
from executor.errors import SecretMissing
from openagents_json.catalog.registry import Component, Registry
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import (
    ComponentExit,
    UnknownComponent,
    describe_error,
)
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.errors import SecretsUnclear
from openagents_json.workflow.expressions.secret_places import places_before

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

    def run(self, job: Job) -> cmd.Outcome:
        """Run a synchronous component on the calling thread."""
        if job.too_late is not None:
            return cmd.Failed(job.lease.step, job.lease.attempt, job.too_late)
        if not job.step.secrets:
            return self._run(job)
        try:
            filled, mask = self._with_secrets(job)
        except (SecretMissing, SecretsUnclear) as error:
            return _no_secrets(job, error)
        return _masked(self._run(filled, mask), mask)

    async def run_async(self, job: Job) -> cmd.Outcome:
        """Run an asynchronous component on the calling event loop, for no longer than its start-to-close limit."""
        if job.too_late is not None:
            return cmd.Failed(job.lease.step, job.lease.attempt, job.too_late)
        if not job.step.secrets:
            return await self._run_async(job)
        try:
            filled, mask = self._with_secrets(job)
        except (SecretMissing, SecretsUnclear) as error:
            return _no_secrets(job, error)
        return _masked(await self._run_async(filled, mask), mask)

    def _with_secrets(self, job: Job) -> tuple[Job, Mask]:
        """Return a job whose inputs hold their secrets, and what takes those out of all that it leaves.

        Raises SecretMissing and SecretsUnclear.
        """
        positions = (
            places_before(job.step.secrets, job.inputs)
            if job.secrets is None
            else job.secrets
        )
        inputs, values = put_in(job.inputs, positions, self.secrets)
        return replace(job, inputs=inputs), mask_of(values)

    def _run(self, job: Job, mask: Mask = NO_MASK) -> cmd.Outcome:
        try:
            component = self.registry.resolve(job.component)
        except UnknownComponent:
            return _unknown(job)
        if component.spec.is_async:  # it was not when the run was bound
            return asyncio.run(self._run_async(job, mask))
        context, token = self._context(job, mask)
        try:
            output = component.invoke(job.inputs, context)
        except BaseException as error:
            return (
                _cancelled(job, token) if token.cancelled else _failed(job, error, mask)
            )
        return self._returned(job, output)

    async def _run_async(self, job: Job, mask: Mask = NO_MASK) -> cmd.Outcome:
        try:
            component = self.registry.resolve(job.component)
        except UnknownComponent:
            return _unknown(job)
        context, token = self._context(job, mask)
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
            return (
                _cancelled(job, token) if token.cancelled else _failed(job, error, mask)
            )
        return self._returned(job, output)

    def _returned(self, job: Job, output: Any) -> cmd.Outcome:
        lease = job.lease
        if self._left_ms(job) == 0:
            return self._expired(job)
        try:
            return cmd.Completed(lease.step, lease.attempt, codec.normalise(output))
        except NotJson as error:
            message = (
                f"step {lease.step}: {job.component} returned what is not JSON: {error}"
            )
            described = {
                "type": "InvalidComponentOutput",
                "message": message,
                "retryable": False,
            }
            return cmd.Failed(lease.step, lease.attempt, described)

    def _expired(self, job: Job) -> cmd.Outcome:
        limit = job.step.timeouts.start_to_close_ms
        return cmd.Expired(job.lease.step, job.lease.attempt, "start_to_close", limit)

    def _left_ms(self, job: Job) -> int | None:
        """Return what is left of the start-to-close limit, by this process's steady clock: others may go wrong."""
        limit, held = job.step.timeouts.start_to_close_ms, self.keeper.held(job.lease)
        if not limit:
            return None
        gone = self.clock.steady_ms() - held.since if held else 0.0
        return max(0, round(limit - gone))

    def _context(self, job: Job, mask: Mask) -> tuple[Context, CancelToken]:
        held: HeldLease | None = self.keeper.held(job.lease)
        token = held.token if held else CancelToken()
        lease, left = job.lease, self._left_ms(job)
        context = Context(
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
        )
        return context, token


async def _called(component: Component, job: Job, context: Context) -> Any:
    """Call a component on the event loop; whatever it raises is its own failure and must not end the loop."""
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


def _no_secrets(job: Job, error: Exception) -> cmd.Outcome:
    described = {
        "type": type(error).__name__,
        "message": f"step {job.lease.step}: {error}",
        "retryable": False,
    }
    return cmd.Failed(job.lease.step, job.lease.attempt, described)


def _masked(outcome: cmd.Outcome, mask: Mask) -> cmd.Outcome:
    """Return an outcome without the secrets that its step was given."""
    match outcome:
        case cmd.Completed(step, attempt, output):
            return cmd.Completed(step, attempt, mask.value(output))
        case cmd.Failed(step, attempt, error):
            masked = mask.value(error)
            # A message of the engine's own may name a member by a path that was cut inside of a secret.
            return cmd.Failed(
                step, attempt, {**masked, "message": mask.message(masked["message"])}
            )
        case _:
            return outcome


def _shown(value: Any, mask: Mask) -> Any:
    """Return what a component emits without the secrets of its step."""
    return value if mask is NO_MASK else mask.value(codec.normalise(value))


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
