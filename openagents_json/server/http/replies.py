"""Values as JSON, or lines of it: records by the names of their fields, as the command prints them with `--json`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from openagents_json.engine import OpenAgentsError, plain

log = logging.getLogger(__name__)

LINES: Final = "application/x-ndjson"

_encoder = msgspec.json.Encoder(
    enc_hook=lambda value: dict(value) if isinstance(value, Mapping) else str(value)
)


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON in UTF-8."""
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, RecursionError):
        # Halves of surrogate pairs stand in some texts: there is no UTF-8 for them, but an escape.
        return json.dumps(plain(value), ensure_ascii=True).encode()


class Reply(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json_bytes(content)


class Lines(StreamingResponse):
    """All of a long list, each item a line of JSON; it is read by pages, as fast as the caller takes them.

    What the first page raises is raised here, before anything is answered.
    """

    media_type = LINES

    def __init__(self, pages: Iterator[Sequence[Any]]) -> None:
        first = next(pages, ())
        super().__init__(map(_as_lines, chain([first], pages)))

    async def stream_response(self, send: Send) -> None:
        """Send the lines."""
        try:
            await super().stream_response(send)
        except OpenAgentsError as error:
            # It has no end then, and so callers see it as cut: a half of a list must not pass for the whole.
            log.warning("a list that was sent by lines is cut: %s", error)


def _as_lines(page: Sequence[Any]) -> bytes:
    return b"".join(json_bytes(item) + b"\n" for item in page)


async def _wants_lines(request: Request) -> bool:
    kinds = request.headers.get("accept", "").split(",")
    return any(kind.partition(";")[0].strip().lower() == LINES for kind in kinds)


WantsLines = Annotated[bool, Depends(_wants_lines)]
"""Whether the caller accepts lines of JSON."""

LINES_TOO: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {LINES: {"schema": {"type": "string"}}}}
}
"""What an operation declares that can answer by lines."""
