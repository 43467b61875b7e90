"""Who calls a service without API keys: programs of this machine, and no page of others that a browser shows on it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from openagents_json.server.errors import CalledFromElsewhere
from openagents_json.server.http.problems import of_error


def is_local(host: str) -> bool:
    """Tell whether a name or an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LocalCallers:
    """Refuses requests of pages that are not this machine's.

    A page of others asks for it by a name of its own, which it has made to mean this machine (`Host`), or says where it
    is from (`Origin`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            addresses = [f"//{headers.get('host', '')}", headers.get("origin")]
            for address in addresses:
                if address is not None and not is_local(_host_of(address)):
                    refused = of_error(CalledFromElsewhere(address.lstrip("/")))
                    await refused(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
