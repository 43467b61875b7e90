"""Errors of work over HTTP.

NotFound
+-- UnknownLease          a token is that of no lease of this store
Conflict
+-- LeaseLost             a lease has run out, or its run has moved on: what came of the attempt does not count
+-- ClaimDiffers          the key of a claim was used for another one
Forbidden
+-- LeaseOfAnother        a lease is that of another caller
Unavailable
+-- OutcomeNotStored      the store could not take an outcome now
"""

from __future__ import annotations

from openagents_json.errors import Conflict, Forbidden, NotFound, Unavailable


class UnknownLease(NotFound):
    """A token is that of no lease of this store."""

    code = "unknown_lease"

    def __init__(self) -> None:
        super().__init__(
            "this is the token of no lease of this store",
            remedy="use the token as the claim gave it",
        )


class LeaseLost(Conflict):
    """A lease has run out, or its run has moved on: what came of the attempt does not count; carries `run`, `step`."""

    code = "lease_lost"

    def __init__(self, run: str, step: str, attempt: int) -> None:
        self.run = run
        self.step = step
        super().__init__(
            f"run {run}: attempt {attempt} of step {step} is not held any more",
            remedy="leave the step to whoever has it now, and claim the next one",
        )


class ClaimDiffers(Conflict):
    """The key of a claim was used for another one; carries the hashes `asked` and `recorded`."""

    code = "claim_differs"
    http_status = 422

    def __init__(self, asked: str, recorded: str) -> None:
        self.asked = asked
        self.recorded = recorded
        super().__init__(
            f"the idempotency key was used for another claim ({recorded}, not {asked})",
            remedy="use another key for another request",
        )


class LeaseOfAnother(Forbidden):
    """A lease is that of another caller."""

    code = "lease_of_another"

    def __init__(self) -> None:
        super().__init__(
            "this lease was given to another caller",
            remedy="use the API key that has claimed the step",
        )


class OutcomeNotStored(Unavailable):
    """The store could not take an outcome now."""

    code = "outcome_not_stored"

    def __init__(self, run: str, step: str) -> None:
        super().__init__(
            f"run {run}: what came of step {step} could not be stored now",
            remedy="send it again",
        )
