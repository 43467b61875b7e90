"""Waiting for the end of a run: through failovers too, and for no end that a failover could take back."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.event import Recorded
from eventstore.redis.driver.confirming import confirmed_version
from eventstore.redis.driver.retries import retrying
from openagents_json.engine.answers.runs import Result
from openagents_json.engine.errors import WaitTimeout
from openagents_json.engine.inspection.values import result_by, result_of
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core.event_types import CLOSED_AS

if TYPE_CHECKING:
    from executor.runs.beginnings import Start
    from executor.runs.repository import Session

log = logging.getLogger(__name__)

AWAY_MS = 60_000.0
"""How long somebody who waits without a limit waits for a server that is away."""

BLOCK_MS = 5000.0

LOOK_MS = 2000.0
"""How often who is to be woken looks by itself: a worker of an older release ends runs without telling anybody."""


def started_and_awaited(
    core: Core, start: Start, actor: str, timeout: float | None
) -> Result:
    """Start a run and wait for its end, which is noted with the start: no call says it in between.

    Raises as `RunStarter.start` and `Waiter.result` do.
    """
    handled = core.starter.start(replace(start, awaited=True), actor=actor)
    run = handled.session.run
    # A run that was there already was started by somebody else, who may not have waited.
    return Waiter(core, run, timeout, noted=handled.changed).result()


class Waiter:
    """One caller that waits for one run, `timeout` in seconds; `noted` tells that its start said that somebody waits.

    It is woken once, by the commit that ends the run, and reads that event alone. Where that cannot be had (this user
    may only read, replicas have to confirm, the server goes away), it follows the events of the run.
    """

    def __init__(
        self, core: Core, run: str, timeout: float | None, *, noted: bool = False
    ) -> None:
        self._core = core
        self._noted = noted
        self._run = run
        self._timeout = timeout
        self._ends = (
            None if timeout is None else core.clock.steady_ms() + timeout * 1000
        )

    def result(self) -> Result:
        """Return the result of the run when it has ended.

        Raises RunNotFound, WaitTimeout and StoreUnavailable.
        """
        told = self._told() if self._core.connection.quorum is None else None
        return told or result_of(self._ended())

    def _told(self) -> Result | None:
        """Sleep until the run has ended; None when its events have to be read for what became of it."""
        try:
            while (left := self._left(LOOK_MS)) >= 1:
                block_ms = int(min(LOOK_MS, left))
                noted = self._noted
                self._noted = False
                end = self._core.store.wait_for_end(self._run, block_ms, noted=noted)
                if end is not None:
                    return self._result_by(end.last)
        except EventStoreError as error:
            log.debug("run %s: its events are followed instead: %s", self._run, error)
        return None

    def _result_by(self, last: Recorded | None) -> Result | None:
        if last is None or last.type not in CLOSED_AS:
            return None
        [end], _ = self._core.sessions.payloads.opened(self._run, [last], None)
        self._core.sessions.drop(self._run)  # as it was at its start, most often
        return result_by(self._run, end)

    def _ended(self) -> Session:
        session = self._read()
        while not session.state.closed or not self._stays(session):
            session = self._read() if session.state.closed else self._next(session)
        return session

    def _next(self, session: Session) -> Session:
        """Wait for what comes after a version; reading again is patient, and shows whether this is the same history."""
        left = self._left(BLOCK_MS)
        if left < 1:
            raise WaitTimeout(self._run, self._timeout or 0, session.state.status)
        try:
            tail = self._core.store.wait(
                self._run, session.version, int(min(BLOCK_MS, left))
            )
        except StoreUnavailable:
            tail = ()
        if tail:
            return self._core.sessions.extend(self._run, session, tail)
        return self._read()

    def _read(self) -> Session:
        """Read the run; a server that is away, as in a failover, is waited for as long as the caller would wait."""
        return retrying(self._read_once, self._left(AWAY_MS) / 1000)

    def _read_once(self) -> Session:
        if (
            self._core.connection.quorum is not None
        ):  # one that has lost its replicas would have nothing new for ever
            self._version()
        return self._core.sessions.load(self._run)

    def _stays(self, session: Session) -> bool:
        """Tell whether an end outlives a failover, as far as the engine is to promise that."""
        if self._core.connection.quorum is None:
            return True
        return retrying(self._version, self._left(AWAY_MS) / 1000) == session.version

    def _version(self) -> int:
        return confirmed_version(
            self._core.connection,
            self._core.store,
            self._run,
            lambda: self._left(AWAY_MS),
        )

    def _left(self, otherwise: float) -> float:
        if self._ends is None:
            return otherwise
        return max(0.0, self._ends - self._core.clock.steady_ms())
