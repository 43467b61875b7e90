"""What the log of a worker says of attempts: one line for the start, and one for the outcome."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from executor.attempts.jobs import Job
from executor.attempts.log_fields import named
from openagents_json.workflow.core import commands as cmd

log = logging.getLogger(__name__)

_WORDS: Final[Mapping[type[cmd.Outcome], str]] = {
    cmd.Completed: "completed",
    cmd.Failed: "failed",
    cmd.Expired: "timed out",
    cmd.Released: "given back",
}


def is_logged() -> bool:
    """Tell whether somebody wants lines about attempts: if not, nothing is put together for them."""
    return log.isEnabledFor(logging.INFO)


def log_start(job: Job) -> None:
    """Say that an attempt starts."""
    log.info("started %s of %s", job.component, job.workflow, extra=_named(job))


def log_outcome(job: Job, outcome: cmd.Outcome, took_ms: float) -> None:
    """Say how an attempt ended."""
    word = _WORDS[type(outcome)]
    log.info("%s in %.0f ms%s", word, took_ms, _why(outcome), extra=_named(job))


def _named(job: Job) -> dict[str, object]:
    """Name the attempt as the component knows it: claims that were given back unbegun do not count."""
    return {**named(job.lease), "attempt": job.execution}


def _why(outcome: cmd.Outcome) -> str:
    """Return the reason of an outcome; secrets have been taken out of it."""
    match outcome:
        case cmd.Failed(error=error):
            return f": {error.get('type')}: {error.get('message')}"
        case cmd.Expired(kind=kind, limit_ms=limit_ms):
            return f": {kind} of {limit_ms} ms"
        case cmd.Released(reason=reason):
            return f": {reason}"
        case _:
            return ""
