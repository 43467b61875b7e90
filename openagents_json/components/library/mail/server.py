"""A mail server as the operator's URL describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from openagents_json.components.errors import NonRetryableError

_PORTS: Final = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
"""TLS from the first byte, TLS by STARTTLS, and none."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where messages go; `sender` is who sends those that name nobody."""

    name: str
    kind: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""


def server_of(name: str, url: str) -> Server:
    """Read a URL such as smtps://user:password@mail.example.com?sender=shop@example.com.

    Raises NonRetryableError; it does not show the URL, which holds a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except (ValueError, KeyError):
        parts = urlsplit("")
        port = 0
        options = {}
    if not parts.hostname or set(options) - {"sender"}:
        raise NonRetryableError(
            f"the connection {name!r} is no mail server: its URL has to be smtps://, smtp:// (STARTTLS) or "
            "smtp+plain:// (without TLS), with a host and perhaps user, password, port and ?sender=ADDRESS"
        )
    return Server(
        name=name,
        kind=parts.scheme,
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        sender=options.get("sender", [""])[0],
    )
