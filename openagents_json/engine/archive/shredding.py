"""Shredding as programs see it: the key goes in one commit, and then from the files of the server."""

from __future__ import annotations

from dataclasses import dataclass

from eventstore.redis.driver.fitness.rewriting import (
    LogsRewritten,
    LogState,
    rewrite_logs,
)
from executor.histories.shredding import shred
from openagents_json.engine.wiring.client import Core


@dataclass(frozen=True, slots=True)
class Shredded:
    """A run whose key is destroyed; true when it was just now. `log` tells whether files still hold the key."""

    run: str
    changed: bool
    log: LogState
    why: str = ""

    def __bool__(self) -> bool:
        """Tell whether it was just now."""
        return self.changed


def shred_run(
    core: Core, run: str, reason: str, actor: str, wait_seconds: float
) -> Shredded:
    """Destroy the key of a run, and wait until no append-only file holds it.

    Done again it destroys nothing more, but waits for the files again. Raises as `executor.histories.shredding.shred`.
    """
    changed = shred(core.handler, run, reason, actor=actor)
    files = rewritten(core, wait_seconds)
    return Shredded(run, changed, files.state, files.why)


def rewritten(core: Core, wait_seconds: float) -> LogsRewritten:
    """Have the append-only files written anew, after an erasure."""
    return rewrite_logs(core.connection, wait_seconds * 1000, core.clock.steady_ms)
