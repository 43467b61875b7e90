"""Values as JSON: records by the names of their fields, as the command prints them with `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from openagents_json.engine import plain

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
