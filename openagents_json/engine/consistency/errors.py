"""Errors of positions in the log.

InvalidArgument
+-- InvalidPosition     a text is no position of a log
Unavailable
+-- PositionNotReached  the store is not where a caller has seen it
"""

from __future__ import annotations

from openagents_json.errors import InvalidArgument, Unavailable


class InvalidPosition(InvalidArgument):
    """A text is no position of a log."""

    code = "invalid_position"

    def __init__(self) -> None:
        super().__init__(
            "the position is none of this store's log",
            remedy="send what the service has answered in X-Log-Position, unchanged, or nothing",
        )


class PositionNotReached(Unavailable):
    """The store is not where a caller has seen it: its server was replaced, and is behind, or has lost writes."""

    code = "position_not_reached"

    def __init__(self) -> None:
        super().__init__(
            "the store of this service is behind what it has answered before",
            remedy="ask again; if that lasts, writes are lost: ask without the position, and look what is there",
        )
