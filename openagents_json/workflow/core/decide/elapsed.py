"""How long a step is tried: whether an attempt would begin too late for `max_elapsed_seconds` of its retry policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.paths import static
from openagents_json.workflow.core.plan import Plan, StepPlan
from openagents_json.workflow.core.state import StepState
from openagents_json.workflow.types import Json

MAX_ELAPSED: Final = "max_elapsed"
"""Why a step is not tried again though it has retries left: too much time has passed since its first attempt began."""


_FAILURES: Final = frozenset({cmd.Failed, cmd.Expired})


def too_late(plan: StepPlan, step: StepState, at_ms: int) -> bool:
    """Tell whether an attempt at a time, by the store's clock, would begin too late.

    Where a time is not known, which is what 0 says, nothing is too late.
    """
    if plan.retry.max_elapsed_ms is None or not step.since_ms or not at_ms:
        return False
    return at_ms - step.since_ms > plan.retry.max_elapsed_ms


def begun_too_late(plan: StepPlan, step: StepState) -> Mapping[str, Json] | None:
    """Return the error that a claimed step fails with in the place of an attempt that begins too late, else None.

    It was in time when the last one failed; then the run was paused, or there was no worker.
    """
    if not too_late(plan, step, step.begun_ms):
        return None
    message = f"step {plan.id}: its worker went silent, or stopped, and it is too late to begin it again"
    return step.error or {"type": "WorkerLost", "message": message}


def needs_time(plan: Plan, command: cmd.Command) -> bool:
    """Tell whether what follows from a command depends on the time: after failures under `max_elapsed_seconds`."""
    match command:
        case cmd.RecordOutcomes(outcomes):
            failures = [x for x in outcomes if type(x) in _FAILURES]
            return any(_is_limited(plan, failure.step) for failure in failures)
        case cmd.LoseLease(step) | cmd.TimeOutStep(step) | cmd.CloseChild(step):
            return _is_limited(plan, step)
        case _:
            return False


def _is_limited(plan: Plan, path: str) -> bool:
    step = plan.steps.get(path) or plan.steps.get(static(path))
    return step is not None and step.retry.max_elapsed_ms is not None
