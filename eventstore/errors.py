"""Errors of the log's room."""

from __future__ import annotations


class EventStoreError(Exception):
    """Something is wrong with the store or with what it was asked."""


class StoreUnavailable(EventStoreError):
    """The server cannot be reached."""


class NotJson(EventStoreError):
    """A value is not JSON."""


def translate(error: Exception) -> EventStoreError:
    """Give our error."""
    from redis.exceptions import ConnectionError as C, TimeoutError as T

    if isinstance(error, C | T):
        return StoreUnavailable(str(error))
    return EventStoreError(str(error))
