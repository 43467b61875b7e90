"""Errors of components, and how an exception becomes data.

ComponentError
+-- UnknownComponent        nothing is registered under a reference
+-- CannotLoad              a module of components cannot be loaded
+-- InvalidDeclaration      a decorator was used in a way that makes no component
+-- InvalidComponentInput   a step's inputs do not fit the component
+-- InvalidUsage            a component reported usage that cannot be
+-- NonRetryableError       raised by a component: do not try again
+-- RetryableError          raised by a component: try again, not before a time
+-- ComponentExit           a component wanted to end its process
+-- NoInstance              all instances of an agent class were in use for too long
+-- MemoryLimitExceeded     a step took more memory than its worker type allows
+-- CancelledByEngine       raised in a component that asks whether to go on
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from eventstore.passwords import masked
from openagents_json.components.traces import trace_of
from openagents_json.errors import InvalidArgument, NotFound, OpenAgentsError

MAX_MESSAGE: Final = 2000
YEAR_SECONDS: Final = 366 * 24 * 3600.0
LONGEST_MS: Final = 2**53 - 1
"""The longest time that the scripts of the store can compute with."""


class ComponentError(OpenAgentsError):
    """Something is wrong with a component."""

    code = "component_error"


class UnknownComponent(ComponentError, NotFound):
    """Nothing is registered under a reference."""

    code = "unknown_component"

    def __init__(self, reference: str, near: Iterable[str] = ()) -> None:
        self.reference = reference
        self.near = tuple(near)
        hint = f"; did you mean {self.near[0]!r}?" if self.near else ""
        super().__init__(f"there is no component {reference!r}{hint}")


class CannotLoad(ComponentError):
    """A module of components cannot be loaded."""

    code = "components_not_loaded"

    def __init__(
        self,
        path: str,
        reason: str,
        remedy: str = "give a module, module:object or a .py file",
    ) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"components {path!r} cannot be loaded: {reason}", remedy=remedy
        )


class InvalidDeclaration(ComponentError, InvalidArgument):
    """A decorator was used in a way that makes no component."""

    code = "invalid_declaration"


class InvalidComponentInput(ComponentError, InvalidArgument):
    """A step's inputs do not fit the component; another attempt would not help."""

    code = "invalid_component_input"

    retryable = False

    def __init__(self, component: str, path: str, reason: str) -> None:
        self.component = component
        self.path = path
        self.reason = reason
        super().__init__(f"component {component}: input {path}: {reason}")


class InvalidUsage(ComponentError, InvalidArgument, ValueError):
    """A component reported usage that cannot be: less than nothing, or no number."""

    code = "invalid_usage"

    retryable = False


class NonRetryableError(ComponentError):
    """Raise it in a component to fail the step at once, whatever its retry policy says."""

    code = "non_retryable"

    retryable = False


class RetryableError(ComponentError):
    """Raise it in a component to be tried again, not before `retry_after` seconds.

    They may be text, as HTTP has them. How often, and how many seconds at most, is for the document to say (`retry`,
    `max_retry_after_seconds`): a step without `retry` fails at the first failure, whatever its component raises.
    """

    code = "retryable"

    def __init__(self, message: str = "", *, retry_after: float | str = 0.0) -> None:
        self.retry_after_ms = _whole_ms(retry_after)
        super().__init__(message)


def _whole_ms(seconds: float | str) -> int:
    """Return seconds as whole ms, 0 for what is no number of them; what is longer than a year is a year."""
    try:
        asked = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return 0
    if math.isnan(asked):
        return 0
    return round(min(max(asked, 0.0), YEAR_SECONDS) * 1000)


class ComponentExit(ComponentError):
    """A component wanted to end its process, which is not its own."""

    code = "component_exit"

    def __init__(self, component: str, error: BaseException) -> None:
        self.component = component
        self.error = error
        super().__init__(
            f"component {component} raised {type(error).__name__}: {_text(error)}"
        )


class NoInstance(ComponentError):
    """All instances of an agent class were in use for longer than a call waits for one; another attempt may get one."""

    code = "no_instance"

    def __init__(self, name: str, alive: int, seconds: float) -> None:
        self.name = name
        self.alive = alive
        self.seconds = seconds
        super().__init__(
            f"no instance of {name} was free within {seconds:g} s: {alive} are in use",
            remedy=f"raise instances= of the agent {name}, or run fewer of its steps at a time",
        )


class MemoryLimitExceeded(ComponentError):
    """A step took more memory than its worker type allows; another attempt may need less."""

    code = "memory_limit_exceeded"

    def __init__(self, step: str, allowed_mb: int, what: str) -> None:
        self.step = step
        self.allowed_mb = allowed_mb
        super().__init__(
            f"step {step}: a process of this worker type may have {allowed_mb} MB, and {what}",
            remedy="raise memory_mb of the worker type, or of this component alone",
        )


class CancelledByEngine(ComponentError):
    """The attempt should stop: its run is being cancelled, or its lease is lost."""

    code = "cancelled_by_engine"


def describe_error(
    error: BaseException, mask: Callable[[str], str] = str
) -> dict[str, Any]:
    """Return an exception as data: type, message, whether another attempt may help, and where it happened.

    It never raises, whatever the exception does when it is asked. `mask` takes secrets out of texts; it sees them
    whole, as a part of a secret would not be found.
    """
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": masked(mask(_text(error)))[:MAX_MESSAGE],
        "retryable": bool(_asked(error, "retryable", True)),
    }
    after = _asked(error, "retry_after_ms", 0)
    if isinstance(after, int) and after > 0:
        described["retry_after_ms"] = min(int(after), LONGEST_MS)
    trace = trace_of(error, mask)
    if trace:
        described["traceback"] = trace
    return described


def describe_output(step: str, component: str, error: Exception) -> dict[str, Any]:
    """Return what becomes of a step whose component returned what is not JSON, for the `error` that says why."""
    return {
        "type": "InvalidComponentOutput",
        "message": f"step {step}: {component} returned what is not JSON: {error}",
        "retryable": False,
    }


def _asked(error: BaseException, name: str, default: object) -> Any:
    try:
        value = getattr(error, name, default)
        bool(value)
    except (
        BaseException
    ):  # properties of a stranger's exception may even want to end the process
        return default
    return value


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        text = "(the error's message cannot be shown)"
    return text.encode("utf-8", "replace").decode()
