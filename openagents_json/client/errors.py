"""Errors of a client of the services; all others are those of the engine, by their codes.

OpenAgentsError
+-- ServiceError         a service answered with an error that this release has no class for
+-- ClientNotInstalled   the package that the client stands on is not installed
InvalidArgument
+-- InvalidServiceUrl    a text is no address of a service
+-- InvalidServiceKey    a text cannot be an API key
+-- NeedsStore           what was asked for needs the store itself: services do not offer it
Unavailable
+-- ServiceUnreachable   a service cannot be reached, or the connection to it broke off
TimedOut
+-- ServiceTimedOut      a service has not answered in time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.errors import (
    InvalidArgument,
    OpenAgentsError,
    TimedOut,
    Unavailable,
)


class ServiceError(OpenAgentsError):
    """A service answered with an error that this release has no class for; carries the fields of its problem.

    `code` and `http_status` are those of the answer; `problem` is all of it, `pointer` where in the request it is.
    """

    code = "service_error"

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = str(problem.get("detail") or f"the service answered with {status}")
        super().__init__(detail, remedy=str(problem.get("remedy") or ""))
        self.code = str(problem.get("code") or type(self).code)
        self.http_status = status
        self.problem = dict(problem)
        self.title = str(problem.get("title") or "")
        self.pointer = str(problem.get("pointer") or "")
        self.retryable = bool(problem.get("retryable"))
        self.source = str(problem.get("source") or "api")


class ClientNotInstalled(OpenAgentsError):
    """The package that the client stands on is not installed."""

    code = "client_not_installed"

    def __init__(self, package: str) -> None:
        super().__init__(
            f"a client of the services needs the package {package}",
            remedy="pip install 'openagents-json[client]'",
        )


class InvalidServiceUrl(InvalidArgument, ValueError):
    """A text is no address of a service; what it is, is not repeated: it may hold a password."""

    code = "invalid_service_url"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"this is no address of a service: {why}",
            remedy="it must begin with https:// or http://, and the API key is given beside it",
        )


class InvalidServiceKey(InvalidArgument, ValueError):
    """A text cannot be an API key; it is not repeated."""

    code = "invalid_service_key"

    def __init__(self) -> None:
        super().__init__(
            "this cannot be an API key: it is empty, or has characters that a header cannot have",
            remedy="take the secret as it was printed when the key was created",
        )


class NeedsStore(InvalidArgument):
    """What was asked for needs the store itself, and cannot be done over HTTP; carries `what`."""

    code = "needs_store"
    exit_status = 2
    http_status = 501

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} cannot be done over HTTP, or not in this way: it needs the store itself",
            remedy="give the URL of the store (redis://...), where it can be reached",
        )


class ServiceUnreachable(Unavailable, ConnectionError):
    """A service cannot be reached, or the connection broke off; carries `url`, and whether the request was `sent`.

    What was sent may have been carried out.
    """

    code = "service_unreachable"

    def __init__(self, url: str, why: str, *, sent: bool) -> None:
        self.url = url
        self.sent = sent
        happened = "broke off" if sent else "cannot be reached"
        super().__init__(f"the service at {url} {happened}: {why}")


class ServiceTimedOut(TimedOut, TimeoutError):
    """A service has not answered in time; carries `url` and `seconds`. What was asked for may have been carried out."""

    code = "service_timed_out"

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self.seconds = seconds
        super().__init__(f"the service at {url} has not answered within {seconds:g} s")
