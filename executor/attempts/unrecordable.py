"""What stands for an outcome that cannot be recorded: a failure of its step, which says why."""

from __future__ import annotations

from msgspec.structs import replace

from executor.attempts.jobs import Finished
from openagents_json.components.errors import describe_error
from openagents_json.workflow.core import commands as cmd

UNFIT = "OutcomeNotRecorded"


def unfit(item: Finished, error: Exception) -> Finished:
    """Return the failure that stands for an outcome; a step that is given back has nothing that could be at fault."""
    if isinstance(item.outcome, cmd.Released) or _is_unfit(item.outcome):
        return item
    lease = item.job.lease
    why = describe_error(error)
    message = (
        f"step {lease.step}: what {item.job.component or 'it'} came to could not be recorded: "
        f"{why['type']}: {why['message']}; the same would happen again, so let it return something else"
    )
    described = {"type": UNFIT, "message": message, "retryable": False}
    used = item.outcome.usage
    failed = cmd.Failed(lease.step, lease.attempt, described, used)
    return replace(item, outcome=failed)


def _is_unfit(outcome: cmd.Outcome) -> bool:
    return isinstance(outcome, cmd.Failed) and outcome.error.get("type") == UNFIT
