"""What a URL of a store says: the servers, who asks them, and what stands behind the question mark."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from eventstore.errors import InvalidRequest

FORMS: Final = "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"


SCHEMES: Final = frozenset(
    {
        "redis",
        "rediss",
        "unix",
        "redis+sentinel",
        "rediss+sentinel",
        "redis+cluster",
        "rediss+cluster",
    }
)


def readable(url: str, forms: str) -> SplitResult:
    """Split a URL; the message for one that cannot be read holds nothing of it, because that may be the password.

    Raises InvalidRequest.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port if "," not in parts.netloc else None
        if "@" not in parts.path:
            return parts
    except ValueError:
        pass
    raise InvalidRequest(
        "the URL cannot be read: its host or port is none, or its password has characters that have to "
        "be written as %XX there (/ as %2F, @ as %40, # as %23)",
        remedy=f"it must begin with {forms}",
    ) from None


def split(url: str) -> SplitResult:
    """Split the URL of a store.

    Raises InvalidRequest.
    """
    parts = readable(url, FORMS)
    if parts.scheme not in SCHEMES:
        begins = f"the URL begins with {parts.scheme or 'nothing'}://"
        raise InvalidRequest(begins, remedy=f"it must begin with {FORMS}")
    return parts


def check_database(parts: SplitResult) -> None:
    """Refuse what names no database: the driver would use number 0 instead, and say nothing.

    Raises ValueError.
    """
    database = parts.path.strip("/")
    if parts.scheme.endswith("+cluster"):
        number = database or options_of(parts).get("db") or "0"
        if number != "0":
            raise ValueError(
                "a Redis Cluster has one database, number 0; leave the other one out, and use another prefix"
            )
    is_number = database.isdecimal() or not database
    if parts.scheme in ("redis", "rediss") and not is_number:
        raise ValueError(f"{database!r} is no number of a database")


def without_password(parts: SplitResult) -> str:
    """Return a URL as it may be shown."""
    hosts = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{hosts}{parts.path}"


def hosts_of(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Return the hosts and ports of a URL, of which there may be several."""
    hosts = []
    for host in parts.netloc.rpartition("@")[2].split(","):
        name, _, number = host.rpartition(":")
        hosts.append((name, int(number)) if name and number.isdigit() else (host, port))
    return hosts


def credentials_of(parts: SplitResult) -> dict[str, Any]:
    """Return user and password of a URL, where it has them."""
    login, _, _ = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    credentials: dict[str, Any] = {}
    if user:
        credentials["username"] = unquote(user)
    if password:
        credentials["password"] = unquote(password)
    return credentials


def options_of(parts: SplitResult) -> dict[str, str]:
    """Return what stands behind the question mark of a URL."""
    return {key: values[-1] for key, values in parse_qs(parts.query).items()}
