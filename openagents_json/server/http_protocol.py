"""How requests are read from connections: by the parser of Node.js, whose heads are bounded here."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 64 * 1024
"""So much may come of a request that is neither the end of its head nor a part of its body."""


class BoundedHeads(HttpToolsProtocol):
    """Reads requests, and refuses those whose heads, trailers or marks between chunks do not end.

    The parser keeps what it has not understood yet, however long that becomes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._without_end = 0

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._without_end += len(data)
        super().data_received(data)
        if self._without_end > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._without_end = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._without_end = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self._without_end = 0
        super().on_message_complete()
