"""Steps that are given secrets: put in where the step runs, and taken out of all that it leaves."""

from __future__ import annotations

from msgspec.structs import replace

from executor.attempts.jobs import Job
from executor.attempts.masking import Mask, mask_of
from executor.attempts.secrets import Secrets, put_in
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.expressions.secret_places import places_before


def with_secrets(job: Job, secrets: Secrets) -> tuple[Job, Mask]:
    """Return a job whose inputs hold their secrets, and what takes those out of all that it leaves.

    Raises SecretMissing and SecretsUnclear.
    """
    positions = job.secrets
    if positions is None:
        positions = places_before(job.step.secrets, job.inputs)
    inputs, values = put_in(job.inputs, positions, secrets)
    return replace(job, inputs=inputs), mask_of(values)


def without_secrets(job: Job, error: Exception) -> cmd.Outcome:
    """Return the outcome of a step whose secrets are not here."""
    described = {
        "type": type(error).__name__,
        "message": f"step {job.lease.step}: {error}",
        "retryable": False,
    }
    return cmd.Failed(job.lease.step, job.lease.attempt, described)


def masked_outcome(outcome: cmd.Outcome, mask: Mask) -> cmd.Outcome:
    """Return an outcome without the secrets that its step was given."""
    match outcome:
        case cmd.Completed(output=output):
            return replace(outcome, output=mask.value(output))
        case cmd.Failed(error=error):
            masked = mask.value(error)
            # A message of the engine's own may name a member by a path that was cut inside of a secret.
            message = mask.message(masked["message"])
            return replace(outcome, error={**masked, "message": message})
        case _:
            return outcome
