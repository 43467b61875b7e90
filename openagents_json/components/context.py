"""What a component may know about its attempt, and the token by which it is told to stop."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openagents_json.components.errors import CancelledByEngine
from openagents_json.components.usage import Money, reported
from openagents_json.workflow.core.usage import Used


class CancelToken:
    """Set once, by any thread; the event behind `wait` is made only when somebody waits."""

    __slots__ = ("_callbacks", "_event", "_lock", "reason")

    def __init__(self) -> None:
        self.reason = ""
        self._callbacks: list[Callable[[str], None]] = []
        self._event: threading.Event | None = None
        self._lock = threading.Lock()

    @property
    def cancelled(self) -> bool:
        """Tell whether the attempt should stop."""
        return bool(self.reason)

    def cancel(self, reason: str) -> None:
        """Ask the attempt to stop; the first reason counts."""
        with self._lock:
            if self.reason:
                return
            self.reason = reason or "cancelled"
            callbacks = self._callbacks
            self._callbacks = []
            if self._event is not None:
                self._event.set()
        for callback in callbacks:
            callback(self.reason)

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        """Call back when it is set, at once if it is already."""
        with self._lock:
            if not self.reason:
                self._callbacks.append(callback)
                return
        callback(self.reason)

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most some seconds; gives whether it is."""
        with self._lock:
            if self.reason:
                return True
            if self._event is None:
                self._event = threading.Event()
        return self._event.wait(seconds)


class _MaskedLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines, tracebacks included, do not hold the secrets of a step."""

    def __init__(
        self,
        logger: logging.Logger,
        extra: Mapping[str, object],
        mask: Callable[[str], str],
    ) -> None:
        super().__init__(logger, extra)
        self._mask = mask

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Write a line; it is put together here, as whoever writes it later does not know the secrets."""
        if not self.isEnabledFor(level):
            return
        try:
            text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
        except Exception:  # as the logging package does: a line that cannot be put together breaks nobody
            text = f"{msg} {args}"
        trace = _traceback(kwargs.pop("exc_info", None))
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, "%s", self._mask(text + trace), **kwargs)


def _traceback(exception: Any) -> str:
    """Return the traceback that a line was asked to show, empty when it was not."""
    if not exception:
        return ""
    if isinstance(exception, BaseException):
        exception = (type(exception), exception, exception.__traceback__)
    kind, error, trace = exception if isinstance(exception, tuple) else sys.exc_info()
    if error is None:
        return ""
    return "\n" + "".join(traceback.format_exception(kind, error, trace)).rstrip()


@dataclass(frozen=True, slots=True)
class Context:
    """Injected into components that have a parameter annotated `Context`, or named `context`.

    `idempotency_key` is equal for all attempts of a step, until it has completed and is done again by hand: pass it on
    to systems that should act once. `attempt` counts from 1, without the claims that a worker gave back before it
    began; the history counts those too. `fences` are those of the step's locks, by key: a system that keeps the highest
    it has seen can refuse a holder that is too late.
    `mask` takes the step's secrets out of a text; None when it has none.
    """

    run_id: str
    step_id: str
    workflow_id: str
    attempt: int
    idempotency_key: str
    deadline_ms: int | None
    token: CancelToken
    now_ms: Callable[[], int]
    on_heartbeat: Callable[[Any], None]
    on_emit: Callable[[Any], None] = field(default=lambda _value: None)
    fences: Mapping[str, int] = field(default_factory=dict)
    mask: Callable[[str], str] | None = None
    on_usage: Callable[[str, Used], None] = field(default=lambda _model, _used: None)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Return a logger whose records carry the run and the step."""
        extra = {
            "run_id": self.run_id,
            "step_id": self.step_id,
            "attempt": self.attempt,
        }
        logger = logging.getLogger("openagents.component")
        if self.mask is None:
            return logging.LoggerAdapter(logger, extra)
        return _MaskedLogger(logger, extra, self.mask)

    @property
    def cancelled(self) -> bool:
        """Tell whether the attempt should stop."""
        return self.token.cancelled

    def raise_if_cancelled(self) -> None:
        """Stop here if the attempt should stop.

        Raises CancelledByEngine.
        """
        if self.token.cancelled:
            raise CancelledByEngine(self.token.reason)

    def remaining_ms(self) -> int | None:
        """Return the time until the deadline, None when there is none."""
        if self.deadline_ms is None:
            return None
        return max(0, self.deadline_ms - self.now_ms())

    def emit(self, value: Any) -> None:
        """Show progress or a part of the output, such as a token, to whoever follows the run; it is not recorded.

        `value` is JSON. What is shown may be lost or come twice; what counts is what the component returns.
        """
        self.on_emit(value)

    def usage(
        self,
        *,
        model: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost: Money = 0,
    ) -> None:
        """Report what the attempt has used since it reported last: it is added up, and recorded with the outcome.

        `cost` is money in the one currency that you count in, as Decimal, text or number; it is kept in billionths. A
        failed attempt counts too. Raises InvalidUsage.
        """
        self.on_usage(*reported(model, input_tokens, output_tokens, cost))

    def heartbeat(self, details: Any = None) -> None:
        """Say that the attempt is alive.

        Raises CancelledByEngine when it should stop.
        """
        self.on_heartbeat(details)
        self.raise_if_cancelled()
