"""Passwords taken out of URLs, wherever these stand: in messages, in what is recorded, in log lines."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

STARS: Final = "***"
SHORTEST: Final = 4
"""A shorter password is not looked for outside of a URL: it would be found everywhere."""

_LOGIN: Final = re.compile(r"(?<=://)([^\s\"'<>/?#:@]{0,300}):[^\s\"'<>]{1,1000}@")
"""A login up to the last @: a password that somebody forgot to escape may hold any of the signs that end one."""

_OPTION: Final = re.compile(
    r"([?&;](?:[\w.-]{0,64}(?:pass|pwd|secret|token|signature|credential)[\w.-]{0,64}|(?:[\w.-]{0,64}[_-])?key|apikey"
    r"|sig|sas)=)[^&\s\"'<>#;]+",
    re.IGNORECASE,
)


def masked(text: str, *urls: str) -> str:
    """Return a text with stars in the place of passwords of URLs; those of `urls` are found outside of URLs too."""
    if "://" in text:
        text = _OPTION.sub(rf"\1{STARS}", _LOGIN.sub(rf"\1:{STARS}@", text))
    for secret in sorted(
        {x for url in urls for x in _secrets(url)}, key=len, reverse=True
    ):
        text = text.replace(secret, STARS)
    return text


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password."""
    return masked(url) != url


def filled_in(recorded: str, full: str) -> str:
    """Return a recorded URL with the passwords of a known one, if it is one of a place below that."""
    shown = masked(full).rstrip("/")
    is_below = bool(full) and f"{recorded}/".startswith(f"{shown}/")
    if is_below:
        return full.rstrip("/") + recorded[len(shown) :]
    return recorded


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error, with what led to it, without passwords."""
    return masked("".join(traceback.format_exception(error)))


def mask_log_records() -> None:
    """Take passwords out of all that this process logs from now on; libraries name the URLs that they cannot reach."""
    before = logging.getLogRecordFactory()

    def make(*args: object, **kwargs: object) -> logging.LogRecord:
        record = before(*args, **kwargs)
        try:
            message = record.getMessage()
        except Exception:
            # Arguments that do not fit are for the handler to complain about.
            return record
        if has_password(message):
            record.msg = masked(message)
            record.args = ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = traceback_of(record.exc_info[1])
        return record

    logging.setLogRecordFactory(make)


def _secrets(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    login = parts.netloc.rpartition("@")[0]
    secrets = [login.partition(":")[2]]
    for name, value in parse_qsl(parts.query):
        if _OPTION.match(f"?{name}=x"):
            secrets.append(value)
    # Libraries name them as they are written in the URL, and as they are sent.
    spellings = [spelling for text in secrets for spelling in {text, unquote(text)}]
    return [spelling for spelling in spellings if len(spelling) >= SHORTEST]
