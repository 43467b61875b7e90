"""Errors of starts.

Conflict
+-- BusinessKeyTaken  an open run has the business key of a start
"""

from __future__ import annotations

from openagents_json.errors import Conflict


class BusinessKeyTaken(Conflict):
    """An open run has the business key of a start; carries that `run`."""

    code = "business_key_taken"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} has this business key, and has not ended",
            remedy="wait for its end, or say what to do on such a conflict: use-existing, replace, after-closed",
        )
