"""What can go wrong with starting runs and waiting for them."""

from __future__ import annotations


class WaitTimeout(TimeoutError):
    """A run did not end within the time that the caller would wait; the run goes on."""

    def __init__(self, run: str, seconds: float, status: str) -> None:
        self.run, self.seconds, self.status = run, seconds, status
        super().__init__(f"run {run} is still {status} after {seconds:g} s; it goes on, wait again or cancel it")


class ConcurrencyLimitReached(RuntimeError):
    """A run was not let in, because others of its key are under way and its workflow says to reject it then."""

    def __init__(self, run: str, reason: str) -> None:
        self.run, self.reason = run, reason
        super().__init__(f"run {run} is rejected: {reason}")
