"""Where a service is, and with what key it is called."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from openagents_json.client.errors import InvalidServiceKey, InvalidServiceUrl

SCHEMES: Final = ("https", "http")
_KEY: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """The URL of a service, and the API key, which is in no text that is made of it."""

    url: str
    api_key: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Return the headers of each request."""
        headers = {"Accept": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers


def is_service_url(url: str) -> bool:
    """Tell whether a URL is that of a service, and not that of a store."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def service_address(url: str | None, api_key: str | None) -> ServiceAddress:
    """Return where to call whom: what is not given is read from OPENAGENTS_URL and OPENAGENTS_API_KEY.

    Raises InvalidServiceUrl and InvalidServiceKey.
    """
    from openagents_json.engine.profiles.choice import environment_values

    values = environment_values()
    if url is None:
        url = values.get("url", "")
    if api_key is None:
        return ServiceAddress(_checked_url(url), _checked_key(values.get("api_key")))
    if not api_key.strip():
        raise InvalidServiceKey
    return ServiceAddress(_checked_url(url), _checked_key(api_key))


def _checked_url(url: str) -> str:
    if not url:
        raise InvalidServiceUrl("there is none")
    if not is_service_url(url):
        raise InvalidServiceUrl("it has another scheme, or none")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidServiceUrl("its host or its port is none") from None
    if not parts.hostname:
        raise InvalidServiceUrl("it names no host")
    if "@" in parts.netloc:
        raise InvalidServiceUrl("it has a user or a password in it")
    if parts.query or parts.fragment:
        raise InvalidServiceUrl("it has something behind the path")
    return url.rstrip("/")


def _checked_key(key: str | None) -> str:
    """Return a key; one with odd characters would be told by the library that sends it, in full."""
    if key is None:
        return ""
    if not _KEY.fullmatch(key.strip()):
        raise InvalidServiceKey
    return key.strip()
