"""What the errors of a server's driver mean to us, and what to do about them."""

from __future__ import annotations

from typing import Final

from eventstore.errors import (
    EventStoreError,
    LockLost,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
)
from eventstore.passwords import masked


def translate(error: BaseException, where: str = "") -> EventStoreError:
    """Return the driver's error as one of ours, with what to do."""
    name = type(error).__name__
    text = masked(str(error).strip()) or type(error).__name__
    if isinstance(error, EventStoreError):
        return error
    is_refused_login = name in (
        "AuthenticationError",
        "AuthenticationWrongNumberOfArgsError",
        "NoPermissionError",
    )
    if is_refused_login:
        return StoreRefused(
            f"the server does not let us in: {text}",
            "check user, password and the user's ACL",
        )
    if name == "OutOfMemoryError" or text.startswith("OOM"):
        return StoreFull()
    if name == "ReadOnlyError":
        return StoreUnavailable(where, "it is a replica")
    if text.startswith("LEASELOST "):
        return LockLost.told(text)
    passing = _for_now(text, where)
    if passing is not None:
        return passing
    if name in _UNREACHABLE or isinstance(error, OSError):
        return StoreUnavailable(where, text)
    return EventStoreError(f"the server refused a command: {text}")


def refused_option(error: BaseException) -> str:
    """Return what the driver has against the options of a URL; empty for an error that is of a server."""
    # What a server says is of a class below the driver's RedisError.
    is_refusal = type(error).__name__ == "RedisError"
    if not is_refusal and not isinstance(error, REFUSED_OPTIONS):
        return ""
    text = str(error)
    _, _, option = text.partition("got an unexpected keyword argument ")
    return f"it can have no option {option}" if option else text or repr(error)


def _for_now(text: str, where: str) -> StoreUnavailable | None:
    """Return what a server says of itself that passes, None for anything else."""
    if text.startswith("BUSY "):
        return StoreBusy(where, text)
    if text.startswith("MISCONF"):
        return StoreReadOnly(where, text)
    if text.startswith("NOREPLICAS"):
        return StoreUnavailable(
            where,
            text.rstrip("."),
            "start its replicas, or set its min-replicas-to-write lower",
        )
    is_passing = text.startswith(
        ("CLUSTERDOWN", "TRYAGAIN", "LOADING", "UNBLOCKED", "MASTERDOWN")
    )
    if is_passing:
        return StoreUnavailable(where, text)
    if (
        "attempted to access a non local key" in text.lower()
    ):  # no script has written anything then
        return StoreUnavailable(where, "the slot is being moved")
    return None


REFUSED_OPTIONS: Final = (ValueError, TypeError, AttributeError)
"""What the driver makes of options of a URL that it has not, or whose values are of another type."""

_UNREACHABLE = frozenset(
    {
        "ConnectionError",
        "TimeoutError",
        "BusyLoadingError",
        "MaxConnectionsError",
        "ClusterDownError",
        "ClusterError",
        "MovedError",
        "AskError",
        "SlotNotCoveredError",
        "TryAgainError",
        "MasterNotFoundError",
        "SlaveNotFoundError",
        "RedisClusterException",
        "MasterDownError",
    }
)
