"""Server-sent events: read from bytes, and followed through connections that break off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import msgspec

from openagents_json.client.calls.call import FeedCall
from openagents_json.client.errors import ServiceUnreachable
from openagents_json.client.problems import error_of

Answer = TypeVar("Answer")

SILENCE_SECONDS: Final = 45.0
"""After so long without a byte the connection is taken for dead: a service sends a heartbeat each 15 s."""

PATIENCE_SECONDS: Final = 60.0
"""How long a service that is away is waited for, as the engine waits for its store."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a feed."""

    id: str
    kind: str
    data: str


class MessageReader:
    """Makes messages of bytes as they come.

    Lines end with LF or CRLF alone: the separators of Unicode stand in the texts of messages as they are.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, list[str]] = {}

    def read(self, content: bytes) -> Iterator[Message]:
        """Return the messages that end in these bytes."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            message = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if message is not None:
                yield message

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._ended()
        name, _, value = line.partition(":")
        if name:  # a comment has none
            self._fields.setdefault(name, []).append(value.removeprefix(" "))
        return None

    def _ended(self) -> Message | None:
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        id_, kind = (fields.get(name, [""])[-1] for name in ("id", "event"))
        return Message(id_, kind, "\n".join(fields["data"]))


@dataclass(slots=True)
class Following(Generic[Answer]):
    """A feed while it is followed: what was seen last, whether it is over, and since when nothing has come."""

    call: FeedCall[Answer]
    clock: Callable[[], float] = monotonic
    last_id: str = ""
    is_over: bool = False
    _reader: MessageReader = field(default_factory=MessageReader)
    _pause: float = 0.0
    _heard_at: float = 0.0

    def __post_init__(self) -> None:
        self.last_id = self.call.after
        self._heard_at = self.clock()

    def headers(self) -> dict[str, str]:
        """Return the headers of the next connection, which begins with no half of a message."""
        self._reader = MessageReader()
        return {"Accept": "text/event-stream", "Last-Event-ID": self.last_id}

    def taken(self, content: bytes) -> Iterator[Answer]:
        """Return what stands in bytes of the feed.

        Raises the error that ends the feed, if one does.
        """
        self._heard_at = self.clock()
        self._pause = 0.0
        for message in self._reader.read(content):
            if message.kind == "end":
                self.is_over = True
                return
            data: Any = msgspec.json.decode(message.data.encode())
            if message.kind == "error":
                raise error_of(data, int(data.get("status", 500)))
            self.last_id = message.id or self.last_id
            yield self.call.read(data)

    def broke_off(self, url: str, why: str) -> float:
        """Return how long to wait before the next connection.

        Raises ServiceUnreachable when nothing has come for too long.
        """
        if self.clock() - self._heard_at > PATIENCE_SECONDS:
            raise ServiceUnreachable(url, why, sent=True)
        pause = self._pause
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))
        return self._pause
