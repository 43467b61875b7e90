"""What can go wrong with read models.

ProjectionError
    ProjectionFailed    a projection raised on an event
    InvalidProjection   a projection cannot be declared like this
    UnknownProjection   there is none of that name
    InvalidQuery        a search asks for what there is not
    LedgerError         something about the ledger
        KeyUnusable     a key cannot be read, or is not the one that is needed
        NotSealed       an event is not in a closed epoch yet
        EvidenceUnreadable  a file is no receipt, export or witness of the ledger
"""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.event import Recorded
from eventstore.passwords import masked


class ProjectionError(Exception):
    """Base of all errors of read models."""


class InvalidProjection(ProjectionError):
    """A projection cannot be declared like this."""


class UnknownProjection(ProjectionError):
    """There is no projection of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        super().__init__(f"there is no projection {name!r}; there are {', '.join(sorted(known))}")


class InvalidQuery(ProjectionError):
    """A search asks for what there is not."""


class ProjectionFailed(ProjectionError):
    """A projection raised on an event; it stands before that event until it can apply it."""

    def __init__(self, view: str, event: Recorded, error: BaseException) -> None:
        self.view, self.event, self.error = view, event, error
        place = f"partition {event.position.partition}, position {event.position.n}"
        super().__init__(
            f"projection {view} stands still at {place}: event {event.version} ({event.type}) of {event.stream}: "
            f"{type(error).__name__}: {masked(str(error))}; correct the projection, workers with the correction go on "
            "by themselves"
        )


class LedgerError(ProjectionError):
    """Base of what can go wrong with the ledger."""


class KeyUnusable(LedgerError):
    """A key cannot be read, or is not the one that is needed."""

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"key {where}: {reason}; `openagents audit keygen` makes a pair of keys")


class NotSealed(LedgerError):
    """An event is not in a closed epoch of the ledger, so nothing about it can be proved yet."""

    def __init__(self, run: str, version: int) -> None:
        self.run, self.version = run, version
        super().__init__(
            f"event {version} of {run} is not in a closed epoch of the ledger yet; `openagents audit seal` closes it"
        )


class EvidenceUnreadable(LedgerError, ValueError):
    """A file is no receipt, export or witness of the ledger."""

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"{where} cannot be read: {reason}; make it again from the store")
