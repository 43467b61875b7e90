"""What a line of the log says about a step beside its message."""

from __future__ import annotations

from contextvars import ContextVar

from eventstore.run_model import Lease

current: ContextVar[tuple[Lease, int] | None] = ContextVar(
    "openagents_attempt", default=None
)
"""The lease of the attempt that the calling code belongs to, and which execution of its step that is."""


def named(lease: Lease) -> dict[str, object]:
    """Name the run, the step and the attempt of a lease, for the `extra` of a line."""
    return {
        "run_id": lease.run,
        "step_id": lease.step,
        "attempt": lease.attempt,
    }


def named_here() -> dict[str, object]:
    """Name the attempt that the calling code belongs to, as its component knows it; nothing outside of any."""
    attempt = current.get()
    if attempt is None:
        return {}
    lease, execution = attempt
    return {**named(lease), "attempt": execution}
