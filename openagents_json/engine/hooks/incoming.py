"""A request as it comes to a hook: its headers, and its body as a value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from openagents_json.engine.hooks.errors import HookBodyUnusable
from openagents_json.engine.inputs.texts import read_json
from openagents_json.workflow.types import Json

MOST_BODY_BYTES: Final = 1024 * 1024
"""So large may the body of a delivery be."""

MOST_FIELDS: Final = 1_000
MOST_HEADERS: Final = 64
LONGEST_HEADER: Final = 2_000
MASKED: Final = "***"

_FORM: Final = "application/x-www-form-urlencoded"
_SECRET_HEADER: Final = re.compile(
    r"auth|cookie|key|pass|secret|session|signature|token|credential"
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request: the names of its headers are lower-case, and its body has not been read yet."""

    headers: Sequence[tuple[str, str]]
    body: bytes

    def all_of(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for given, value in self.headers if given == name]

    def first(self, name: str) -> str:
        """Return the first value of a header, empty where there is none."""
        return next(iter(self.all_of(name)), "")


def body_of(incoming: Incoming) -> Json:
    """Return the body as a value: JSON, or a form; a form with JSON in `payload`, as some services send, is that.

    Raises HookBodyUnusable.
    """
    kind = incoming.first("content-type").partition(";")[0].strip().lower()
    try:
        text = incoming.body.decode()
    except UnicodeDecodeError as error:
        raise HookBodyUnusable(f"byte {error.start} is no UTF-8") from None
    try:
        return _form(text) if kind == _FORM else read_json(text)
    except ValueError as error:
        raise HookBodyUnusable(str(error)) from None


def _form(text: str) -> Json:
    fields = parse_qsl(
        text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
    )
    by_name = dict(fields)
    if by_name.keys() == {"payload"}:
        return read_json(by_name["payload"])
    return dict(by_name)


def shown_headers(incoming: Incoming, masked: Sequence[str]) -> dict[str, str]:
    """Return the headers as they are kept and as expressions see them: bounded, without what proves who sends."""
    shown: dict[str, str] = {}
    for name, value in incoming.headers[:MOST_HEADERS]:
        is_secret = name in masked or _SECRET_HEADER.search(name)
        shown[name] = MASKED if is_secret else value[:LONGEST_HEADER]
    return shown


def member_of(body: Any, name: str) -> str:
    """Return a text of a body, empty where it has none."""
    value = body.get(name) if isinstance(body, Mapping) else None
    return value if isinstance(value, str) else ""
