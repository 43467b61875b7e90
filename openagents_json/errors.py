"""The root of all errors of this product: what they have in common is said on the class, once.

OpenAgentsError
+-- NotFound            there is no such thing                                         HTTP 404, exit 6
+-- Conflict            what is there already does not go with what is asked for       HTTP 409
+-- InvalidArgument     what was asked for makes no sense, here or anywhere            HTTP 400, exit 5
|   +-- ContentTooLarge it is larger than what is taken                                HTTP 413
+-- Forbidden           it is not allowed                                              HTTP 403
+-- LimitReached        a limit is used up; there is room again later                  HTTP 429
+-- Unavailable         something cannot be reached for now; the same may succeed later HTTP 503, exit 7
|   +-- TimedOut        it was waited for, and not long enough                         HTTP 504, exit 8
+-- FileUnusable        a file of this machine cannot be read or written               HTTP 500
+-- RunUnreadable       a run cannot be read here; other runs can                      HTTP 500

A command exits with 1 where nothing is said. Each room has its own errors below these, in its `errors.py`.
docs/reference/errors.md lists all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OpenAgentsError(Exception):
    """Something went wrong that this product can tell: what happened, where, and what to do.

    `code` names the kind of error and never changes; `exit_status` is that of a command that ends with it, and
    `http_status` that of a response. `remedy` is what to do, with which the text ends; empty where that says it all. It
    speaks to programs: commands add advice of their own.
    """

    code: str = "error"
    exit_status: int = 1
    http_status: int = 500
    remedy: str = ""

    def __init__(self, *args: object, remedy: str = "") -> None:
        if remedy:
            # What others said, as a driver did, may end with a full stop.
            happened = str(args[0]).removesuffix(".")
            args = (f"{happened}; {remedy}", *args[1:])
            self.remedy = remedy
        super().__init__(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors cross the boundaries of processes, whatever arguments they were made from."""
        attributes = {name: _portable(value) for name, value in vars(self).items()}
        return _restored, (type(self), self.args, attributes)


def _portable(value: Any) -> Any:
    """Return a value that another process can be sent; the text of one that it cannot, as an error of a library."""
    import pickle  # imported for who sends one

    try:
        pickle.loads(pickle.dumps(value))  # some are written and cannot be read again
    except Exception:  # whatever a stranger's object raises
        return str(value)
    return value


def _restored(
    kind: type[OpenAgentsError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> OpenAgentsError:
    """Make an error as it was, without its initialiser: that takes what the message was made from."""
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class NotFound(OpenAgentsError):
    """There is no such thing."""

    code = "not_found"
    exit_status = 6
    http_status = 404


class Conflict(OpenAgentsError):
    """What is there already does not go with what is asked for."""

    code = "conflict"
    http_status = 409


class InvalidArgument(OpenAgentsError):
    """What was asked for makes no sense, here or anywhere."""

    code = "invalid_argument"
    exit_status = 5
    http_status = 400


class ContentTooLarge(InvalidArgument):
    """Something is larger than what is taken."""

    code = "content_too_large"
    http_status = 413


class Forbidden(OpenAgentsError):
    """Something is not allowed."""

    code = "forbidden"
    http_status = 403


class LimitReached(OpenAgentsError):
    """A limit is used up; there is room again later."""

    code = "limit_reached"
    http_status = 429


class Unavailable(OpenAgentsError):
    """Something cannot be reached for now; the same request may succeed later."""

    code = "unavailable"
    exit_status = 7
    http_status = 503


class TimedOut(Unavailable):
    """Something was waited for, and has not come in time."""

    code = "timed_out"
    exit_status = 8
    http_status = 504


class FileUnusable(OpenAgentsError, OSError):
    """A file of this machine cannot be read or written."""

    code = "file_unusable"


class RunUnreadable(OpenAgentsError):
    """A run cannot be read here: it is not there, damaged, encrypted, or of a newer version; other runs can be."""

    code = "run_unreadable"


@contextmanager
def file_errors(what: object, remedy: str) -> Iterator[None]:
    """Say of what befalls a file which one it was, and what to do; whoever does not read on is another matter.

    Raises FileUnusable.
    """
    try:
        yield
    except (OpenAgentsError, BrokenPipeError):
        raise
    except OSError as error:
        reason = f"{what}: {error.strerror or error}"
        raise FileUnusable(reason, remedy=remedy) from error
