"""What the client stands on; it is an extra, which is asked for when a client is made."""

from __future__ import annotations

from openagents_json.client.errors import ClientNotInstalled


def need_httpx() -> None:
    """Refuse to go on without the library that sends requests.

    Raises ClientNotInstalled.
    """
    try:
        import httpx  # noqa: F401 - asked for, and used elsewhere
    except ImportError:
        raise ClientNotInstalled("httpx") from None
