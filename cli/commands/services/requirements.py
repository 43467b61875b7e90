"""What the services stand on, which not everybody has installed."""

from __future__ import annotations

from importlib.util import find_spec

from openagents_json.server.errors import ServerNotInstalled


def require(extra: str, *packages: str) -> None:
    """Refuse what needs packages of an extra, where they are not installed.

    Raises ServerNotInstalled.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ServerNotInstalled(package, extra)


def require_server() -> None:
    """Refuse what needs the services over HTTP, where they are not installed.

    Raises ServerNotInstalled.
    """
    require("server", "fastapi", "uvicorn", "httptools")


def server_is_installed(*, must_be: bool) -> bool:
    """Tell whether the services over HTTP are installed, and refuse that they are not where they `must_be`.

    Raises ServerNotInstalled.
    """
    try:
        require_server()
    except ServerNotInstalled:
        if must_be:
            raise
        return False
    return True
