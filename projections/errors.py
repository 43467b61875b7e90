"""What can go wrong with read models.

ProjectionError
    ProjectionFailed    a projection raised on an event
    InvalidProjection   a projection cannot be declared like this
    UnknownProjection   there is none of that name
    InvalidQuery        a search asks for what there is not
"""

from __future__ import annotations

from collections.abc import Iterable

from eventstore.event import Recorded


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
            f"{type(error).__name__}: {error}; correct the projection, workers with the correction go on by themselves"
        )
