"""Where Celery finds the broker, from the same URLs that lead to a store.

Celery's transports have other names for some of them, want the name of a Sentinel's primary apart from the URL, and let
any certificate pass where none is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, quote

from eventstore.errors import InvalidRequest
from eventstore.passwords import masked
from eventstore.redis.driver.urls import credentials_of, hosts_of, options_of, readable

OURS: Final = "redis://, rediss://, unix://, redis+sentinel:// or amqp://"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as Celery wants it told."""

    url: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    use_ssl: Mapping[str, Any] | None = None


def broker_of(url: str) -> Broker:
    """Find out how Celery reaches a broker; nothing is connected.

    Raises InvalidRequest, without the password, for a URL that Celery has no transport for.
    """
    parts = readable(url, OURS)
    scheme = parts.scheme
    try:
        if scheme in ("redis+cluster", "rediss+cluster"):
            raise InvalidRequest(
                "Celery cannot use a Redis Cluster as a broker",
                remedy=(
                    f"name another one (OPENAGENTS_BROKER), which begins with {OURS}"
                ),
            )
        if scheme in ("redis+sentinel", "rediss+sentinel"):
            return _sentinel(parts)
        if scheme in ("redis", "rediss"):
            return _single(parts)
        if scheme == "unix":
            return _socket(parts)
    except ValueError as error:
        if isinstance(error, InvalidRequest):
            raise
        why = masked(str(error), url)
        raise InvalidRequest(
            f"the URL of the broker cannot be read: {why}",
            remedy=f"it begins with {OURS}",
        ) from None
    return _other(parts, url)


def ringing_broker(broker: str, store: str) -> str:
    """Return the broker that a client rings over, "" for none: a store that can be no broker is nobody's mistake there.

    Raises InvalidRequest.
    """
    if not broker or (broker == store and "+cluster://" in store):
        return ""
    broker_of(broker)
    return broker


def _login(parts: SplitResult) -> str:
    login = parts.netloc.rpartition("@")[0]
    if login:
        return f"{login}@"
    return ""


def _database(parts: SplitResult, default: str) -> str:
    number = options_of(parts).get("db", default or "0")
    if not number.isdecimal():
        raise ValueError(f"{number!r} is no number of a database")
    return number


def _ssl(parts: SplitResult) -> dict[str, Any] | None:
    """Return what TLS is to check: the server's certificate, unless the URL says otherwise."""
    if not parts.scheme.startswith("rediss"):
        return None
    asked: dict[str, Any] = {
        key: value for key, value in options_of(parts).items() if key.startswith("ssl_")
    }
    if "ssl_check_hostname" in asked:
        asked["ssl_check_hostname"] = asked["ssl_check_hostname"].lower() not in (
            "false",
            "0",
            "no",
        )
    return {"ssl_cert_reqs": "required", **asked}


def _single(parts: SplitResult) -> Broker:
    [(host, port)] = hosts_of(parts, 6379)
    where = f"[{host}]" if ":" in host and not host.startswith("[") else host
    url = f"{parts.scheme}://{_login(parts)}{where}:{port}/{_database(parts, parts.path.strip('/'))}"
    return Broker(url, use_ssl=_ssl(parts))


def _socket(parts: SplitResult) -> Broker:
    return Broker(
        f"redis+socket://{_login(parts)}{parts.path}?virtual_host={_database(parts, '')}"
    )


def _sentinel(parts: SplitResult) -> Broker:
    query = options_of(parts)
    name = parts.path.strip("/")
    credentials = credentials_of(parts)
    if not name:
        raise ValueError(
            "the name of the master is missing: redis+sentinel://host:port/name"
        )
    login = (
        ":".join(
            quote(credentials.get(key, ""), safe="") for key in ("username", "password")
        )
        + "@"
        if credentials
        else ""
    )
    database = _database(parts, "")
    url = ";".join(
        f"sentinel://{login}{host}:{port}/{database}"
        for host, port in hosts_of(parts, 26379)
    )
    ask = {
        k: query[f"sentinel_{k}"]
        for k in ("username", "password")
        if f"sentinel_{k}" in query
    }
    return Broker(
        url,
        {"master_name": name, "sentinel_kwargs": {"socket_timeout": 2.0, **ask}},
        _ssl(parts),
    )


def _other(parts: SplitResult, url: str) -> Broker:
    """Take a URL of another kind as it is, if Celery knows the kind and has what it needs for it."""
    from kombu.transport import get_transport_cls

    if parts.scheme == "sentinel":
        raise InvalidRequest(
            "a URL with sentinel:// lacks the name of the master",
            remedy="write redis+sentinel://host:port/name",
        )
    name = parts.scheme.partition("+")[0]
    try:
        get_transport_cls(name)
    except (ImportError, KeyError, ValueError, AttributeError) as error:
        raise InvalidRequest(
            f"the URL of the broker begins with {parts.scheme or 'nothing'}://, which Celery cannot use here "
            f"({type(error).__name__})",
            remedy=f"it begins with {OURS}",
        ) from None
    return Broker(url)
