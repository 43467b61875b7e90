"""How numbers come to a Telemetry: none of its faults may become one of the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from eventstore.errors import EventStoreError
from openagents_json.engine.telemetry.port import Instrument, Telemetry

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

ERRORS: Final = Instrument(
    "openagents.store.errors",
    "{error}",
    "Errors of the store, by operation and error code",
)
STORE_CALL: Final = Instrument(
    "openagents.store.call", "ms", "Calls of the store of runs, by operation"
)


class Meter:
    """Tells a Telemetry what was measured; safe for threads."""

    def __init__(self, telemetry: Telemetry, steady_ms: Callable[[], float]) -> None:
        self._telemetry = telemetry
        self._steady_ms = steady_ms
        self._has_failed = False

    def add(self, counter: Instrument, amount: int, **attributes: str) -> None:
        """Add to a counter."""
        if not amount:
            return
        try:
            self._telemetry.add(counter, amount, attributes)
        except Exception:
            self._note_failure()

    def record(self, histogram: Instrument, value: float, **attributes: str) -> None:
        """Take a value of a histogram in."""
        try:
            self._telemetry.record(histogram, value, attributes)
        except Exception:
            self._note_failure()

    def timed(self, operation: str, call: Callable[P, R]) -> Callable[P, R]:
        """Return a call that is timed, and whose errors are counted."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            begun = self._steady_ms()
            try:
                return call(*args, **kwargs)
            except EventStoreError as error:
                self.add(ERRORS, 1, operation=operation, error=error.code)
                raise
            finally:
                self.record(STORE_CALL, self._steady_ms() - begun, operation=operation)

        return timed

    def _note_failure(self) -> None:
        # What was measured has happened: whoever committed must hear so, whatever becomes of the number. The log gets
        # one line and not one for each commit.
        if not self._has_failed:
            self._has_failed = True
            log.exception(
                "the telemetry of this program raised; numbers of this process will be missing"
            )
