"""What the components of the library may reach: said by the environment of the worker, never by a document."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote, urlsplit

from openagents_json.components.errors import NonRetryableError

HOSTS: Final = "OPENAGENTS_HTTP_HOSTS"
PRIVATE: Final = "OPENAGENTS_HTTP_PRIVATE"
FILES: Final = "OPENAGENTS_FILES"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class HttpPermissions:
    """The hosts that `http.request` may name, and the networks that are allowed though they are not public."""

    hosts: tuple[str, ...] = ("*",)
    private: tuple[Network, ...] = ()

    def check_host(self, host: str) -> None:
        """Refuse a host that is not in the list.

        Raises NonRetryableError.
        """
        name = host.lower().rstrip(".")
        is_allowed = any(fnmatchcase(name, pattern) for pattern in self.hosts)
        if not is_allowed:
            raise NonRetryableError(
                f"http.request may not reach the host {host!r}; {HOSTS} of the worker lists those that it may"
            )

    def allows(self, address: Address) -> bool:
        """Tell whether an address may be connected to: also those that a wrapped one leads to are looked at."""
        inner = _wrapped(address)
        if inner is not None and not self.allows(inner):
            return False
        if address.is_global and not address.is_multicast:
            return True
        if inner is not None and address.version == 6:
            return True  # the address that is wrapped is what is reached
        return any(
            address in network
            for network in self.private
            if network.version == address.version
        )


def _wrapped(address: Address) -> Address | None:
    """Return the IPv4 address that an IPv6 address leads to, None when it is none of that kind."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def http_permissions(environment: Mapping[str, str] | None = None) -> HttpPermissions:
    """Read what `http.request` may reach.

    Raises NonRetryableError.
    """
    source = os.environ if environment is None else environment
    listed = source.get(HOSTS, "").lower()
    # An empty variable says nothing; a list whose names are all empty (",") allows none, and not all of them.
    hosts = tuple(_words(listed)) if listed.strip() else ("*",)
    try:
        private = tuple(map(ipaddress.ip_network, _words(source.get(PRIVATE, ""))))
    except ValueError as error:
        raise NonRetryableError(
            f"{PRIVATE} of the worker has to list networks, such as 10.1.0.0/16: {error}"
        ) from error
    return HttpPermissions(hosts, private)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def files_directory(environment: Mapping[str, str] | None = None) -> str:
    """Return the directory, or the URL, that `file.read`, `file.write` and `file.list` work in.

    Raises NonRetryableError.
    """
    directory = _files(environment)
    if not directory:
        raise NonRetryableError(
            f"this worker allows no files; {FILES} names the directory that it allows"
        )
    return directory


def local_files(environment: Mapping[str, str] | None = None) -> str:
    """Return the directory of this machine that they work in, empty when there is none."""
    directory = _files(environment)
    return "" if "://" in directory else directory


def _files(environment: Mapping[str, str] | None) -> str:
    source = os.environ if environment is None else environment
    directory = source.get(FILES, "")
    is_local = directory.startswith("file://")
    if is_local:
        return unquote(urlsplit(directory).path)
    return directory
