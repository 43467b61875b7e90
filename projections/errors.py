"""What can go wrong with read models.

ProjectionError
    ProjectionFailed    a projection raised on an event
    InvalidProjection   a projection cannot be declared like this
    UnknownProjection   there is none of that name
    InvalidQuery        a search asks for what there is not
    ViewBehind          a view is too far behind the log for a reader to wait for it
    TooFast             a view moves too fast to be compared
    LedgerError         something about the ledger
        KeyUnusable     a key cannot be read, or is not the one that is needed
        NotSealed       an event is not in a closed epoch yet
        EvidenceUnreadable  a file is no receipt, export or witness of the ledger
"""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.event import Recorded
from eventstore.passwords import masked
from openagents_json.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    OpenAgentsError,
    Unavailable,
)


class ProjectionError(OpenAgentsError):
    """Base of all errors of read models."""

    code = "projection_error"


class InvalidProjection(ProjectionError, InvalidArgument):
    """A projection cannot be declared like this."""

    code = "invalid_projection"


class UnknownProjection(ProjectionError, NotFound):
    """There is no projection of that name."""

    code = "unknown_projection"

    def __init__(self, name: str, names: Iterable[str]) -> None:
        self.name = name
        others = ", ".join(sorted(names))
        super().__init__(
            f"there is no projection {name!r}",
            remedy=f"there are {others}",
        )


class InvalidQuery(ProjectionError, InvalidArgument):
    """A search asks for what there is not."""

    code = "invalid_query"


class ProjectionFailed(ProjectionError):
    """A projection raised on an event; it stands before that event until it can apply it."""

    code = "projection_failed"

    def __init__(self, view: str, event: Recorded, error: BaseException) -> None:
        self.view = view
        self.event = event
        self.error = error
        position = f"partition {event.position.partition}, position {event.position.n}"
        super().__init__(
            f"projection {view} stands still at {position}: event {event.version} ({event.type}) of "
            f"{event.stream}: {type(error).__name__}: {masked(str(error))}",
            remedy=(
                "correct the projection, workers with the correction go on by themselves"
            ),
        )


class ViewBehind(ProjectionError, Unavailable):
    """A view is so far behind the log that a reader cannot wait for it."""

    code = "view_behind"

    def __init__(self, name: str, events: int) -> None:
        self.name = name
        self.events = events
        super().__init__(
            f"the view {name} is {events} events behind the log and is being brought up to date",
            remedy="ask again later, or ask for what it knows by now",
        )


class TooFast(ProjectionError, Unavailable):
    """A view moves too fast to be compared."""

    code = "view_too_fast"

    def __init__(self, view: str) -> None:
        self.view = view
        super().__init__(
            f"the view {view} moves too fast to be compared",
            remedy="verify it when there is less to do",
        )


class LedgerError(ProjectionError):
    """Base of what can go wrong with the ledger."""

    code = "ledger_error"


class KeyUnusable(LedgerError):
    """A key cannot be read, or is not the one that is needed."""

    code = "audit_key_unusable"

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(
            f"key {where}: {reason}",
            remedy="make a pair of keys",
        )


class NotSealed(LedgerError, Conflict):
    """An event is not in a closed epoch of the ledger, so nothing about it can be proved yet."""

    code = "not_sealed"

    def __init__(self, run: str, version: int) -> None:
        self.run = run
        self.version = version
        super().__init__(
            f"event {version} of {run} is not in a closed epoch of the ledger yet",
            remedy="seal the ledger, which closes it",
        )


class EvidenceUnreadable(LedgerError, InvalidArgument, ValueError):
    """A file is no receipt, export or witness of the ledger."""

    code = "evidence_unreadable"

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(
            f"{where} cannot be read: {reason}",
            remedy="make it again from the store",
        )
