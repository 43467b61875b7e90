"""Errors of starts.

Conflict
+-- BusinessKeyTaken  an open run has the business key of a start
LimitReached
+-- QueueFull         a run has not begun, because too many steps wait for workers
"""

from __future__ import annotations

from openagents_json.errors import Conflict, LimitReached


class BusinessKeyTaken(Conflict):
    """An open run has the business key of a start; carries that `run`."""

    code = "business_key_taken"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} has this business key, and has not ended",
            remedy="wait for its end, or say what to do on such a conflict: use-existing, replace, after-closed",
        )


class QueueFull(LimitReached):
    """A run has not begun, because too many steps of a worker type that it needs wait for workers.

    Nothing is on record of it: the same request may be sent again.
    """

    code = "queue_full"
    exit_status = 7

    def __init__(self, queue: str, at_most: int) -> None:
        self.queue = queue
        self.at_most = at_most
        super().__init__(
            f"the run has not begun: too many steps wait in the queue {queue} (max_queue is {at_most:,})",
            remedy="try again later, or start more workers of this type",
        )
