"""Starts: the one way in which runs begin, whoever begins them: a program, a schedule, a parent.

A start is over when its run is on the log. That the run is then brought to its gates at once is a courtesy: its due
member `g` has the relay do it otherwise. So whatever happens there, the caller is told the id of the run, and why a run
was refused is read from the run itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from eventstore.errors import EventStoreError
from executor.coordination.concurrency import ConcurrencyLimiter
from executor.errors import ConcurrencyLimitReached, TooManyStarts
from executor.runs.beginnings import Start
from executor.runs.committer import Handled
from executor.runs.handler import Handler
from executor.runs.refusals import refusal
from openagents_json.errors import OpenAgentsError
from openagents_json.workflow.core import state as st

log = logging.getLogger(__name__)

SLICE: Final = 2_000
"""So many runs are started at a time: what is held for them is bounded, and servers answer others in between."""


class Started(str):
    """The id of a run that was started among others, with `error` when it has not begun."""

    __slots__ = ("error",)

    def __new__(cls, run: str, error: Exception | None = None) -> Started:
        """Make the result of one start."""
        started = super().__new__(cls, run)
        started.error = error
        return started

    error: Exception | None

    @property
    def ok(self) -> bool:
        """Tell whether the run has begun, or waits for its turn."""
        return self.error is None


class RunStarter:
    """Starts runs and brings them to their gates; safe for threads."""

    def __init__(self, handler: Handler, gatekeeper: ConcurrencyLimiter) -> None:
        self._handler = handler
        self._gatekeeper = gatekeeper

    def start(self, start: Start, *, actor: str) -> Handled:
        """Start a run; one that the same commit id started before is answered unchanged.

        Raises PayloadOverLimit, RunExists, ConcurrencyLimitReached and EventStoreError.
        """
        handled = self._handler.beginnings.start_each([start], actor=actor)[0]
        if isinstance(handled, Exception):
            raise handled
        refused = self._arrive(handled, actor)
        if refused is not None:
            raise refused
        return handled

    def start_many(self, starts: Sequence[Start], *, actor: str) -> list[Started]:
        """Start runs, a round trip for SLICE of them, and say of each what became of it.

        Raises PayloadOverLimit, TooManyStarts, and the first of the errors when none of them has begun.
        """
        results = self.start_each(starts, actor=actor)
        raise_if_none(results)
        return results

    def start_each(self, starts: Sequence[Start], *, actor: str) -> list[Started]:
        """Start runs, a round trip for SLICE of them, and say of each what became of it, also when none has begun.

        Of some, that may be StoreUnavailable: nobody knows whether they have. Raises PayloadOverLimit and TooManyStarts
        before any has begun, and EventStoreError when nobody knows of any.
        """
        self.allow(len(starts))
        slices = [
            starts[first : first + SLICE] for first in range(0, len(starts), SLICE)
        ]
        if len(slices) > 1:
            # One slice is refused as a whole by itself; of several, the first would have begun before the last is seen.
            for part in slices:
                self._handler.beginnings.check(part, actor=actor)
        results: list[Started] = []
        for part in slices:
            try:
                handled: Sequence[Handled | Exception] = (
                    self._handler.beginnings.start_each(part, actor=actor)
                )
            except EventStoreError as error:
                if not results:
                    raise
                # Those before have begun, and their results are not to be lost.
                handled = [error] * len(part)
            for start, answer in zip(part, handled, strict=True):
                results.append(self._started(start, answer, actor))
        return results

    def _started(
        self, start: Start, handled: Handled | Exception, actor: str
    ) -> Started:
        if isinstance(handled, Exception):
            return Started(start.run, handled)
        return Started(start.run, self._arrive(handled, actor))

    def allow(self, count: int) -> None:
        """Refuse a request that would start too many runs, before it has started any.

        Raises TooManyStarts.
        """
        if count > self._handler.limits.starts:
            raise TooManyStarts(count, self._handler.limits.starts)

    def _arrive(self, handled: Handled, actor: str) -> ConcurrencyLimitReached | None:
        """Bring a new run to its gates, or one whose starter died before that; says whether it was refused."""
        session = handled.session
        try:
            if session.state.status == st.QUEUED:
                self._gatekeeper.arrive(session, actor=actor)
                session = self._handler.sessions.load(session.run)
        except OpenAgentsError as error:
            # It is on the log, so it has begun, whatever happens at its gates: to say otherwise would have it repeated.
            log.warning(
                "run %s was started, the relay will let it in: %s", session.run, error
            )
            return None
        refused = refusal(session.state)
        if refused is None:
            return None
        return ConcurrencyLimitReached(session.run, str(refused.get("message")))


def raise_if_none(results: Sequence[Started]) -> None:
    """Raise the first error when nothing has begun: then there is nothing else to tell."""
    first = results[0].error if results else None
    if first is not None and not any(result.ok for result in results):
        raise first
