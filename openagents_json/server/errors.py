"""Errors of the services: requests, callers, and where they listen.

InvalidArgument
+-- BodyNotJson         the body of a request is no JSON
+-- BodyTooLarge        the body of a request is larger than what is taken
Forbidden
+-- RoleTooLow          the role of a caller does not allow a request
+-- OpenToOthers        a service without API keys was to listen where others reach it
+-- CalledFromElsewhere a page that is not this machine's asked a service without API keys
LimitReached
+-- TooManyRequests     an API key has sent all requests that it may for now
Unavailable
+-- ServicesNotReady    the application around the services has not begun
+-- ProgressStalled     the store answers, and its runs make no progress
OpenAgentsError
+-- Unauthenticated     a request says nothing of who sends it, or nothing that is true
+-- ServerNotInstalled  the packages that the services stand on are not installed
+-- AddressUnusable     a service cannot listen where it was to
"""

from __future__ import annotations

from openagents_json.errors import (
    ContentTooLarge,
    Forbidden,
    InvalidArgument,
    LimitReached,
    OpenAgentsError,
    Unavailable,
)


class BodyNotJson(InvalidArgument):
    """The body of a request is no JSON."""

    code = "body_not_json"

    def __init__(self, why: str) -> None:
        super().__init__(f"the body of the request is no JSON: {why}")


class BodyTooLarge(ContentTooLarge):
    """The body of a request is larger than what is taken."""

    code = "body_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"the body of the request is larger than {most} bytes",
            remedy="hand large values over by reference",
        )


class RoleTooLow(Forbidden):
    """The role of a caller does not allow a request."""

    code = "role_too_low"

    def __init__(self, name: str, needed: str) -> None:
        super().__init__(
            f"the caller {name!r} has not the role {needed}",
            remedy="use a key of that role, or a token that gives it",
        )


class OpenToOthers(Forbidden):
    """A service without API keys was to listen where others reach it."""

    code = "open_to_others"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"a service that is open to everybody listens on this machine only, and {host} is reached by others",
            remedy="listen on 127.0.0.1, or let callers use API keys",
        )


class CalledFromElsewhere(Forbidden):
    """A page that is not this machine's asked a service without API keys."""

    code = "called_from_elsewhere"

    def __init__(self, address: str) -> None:
        super().__init__(
            f"a service that is open to everybody is for programs of this machine, and {address!r} is not its name",
            remedy="ask for it as localhost, or let callers use API keys",
        )


class Unauthenticated(OpenAgentsError):
    """A request says nothing of who sends it, or nothing that is true."""

    code = "unauthenticated"
    http_status = 401

    def __init__(self, why: str) -> None:
        super().__init__(why, remedy="send `Authorization: Bearer KEY` with an API key")


class TooManyRequests(LimitReached):
    """An API key has sent all requests that it may for now."""

    code = "too_many_requests"

    def __init__(self, name: str, rate: str, wait_seconds: int) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(
            f"the API key {name!r} may send {rate} requests, and has sent them",
            remedy=f"send it again in {wait_seconds} s",
        )


class ServicesNotReady(Unavailable):
    """The application around the services has not begun: its lifespan opens them."""

    code = "services_not_ready"

    def __init__(self) -> None:
        super().__init__(
            "the services of this application are not open",
            remedy="let the server run the lifespan of the application",
        )


class ProgressStalled(Unavailable):
    """The store answers, and its runs make no progress: somebody asked whether they do."""

    code = "progress_stalled"

    def __init__(self, details: str) -> None:
        super().__init__(
            f"runs make no progress: {details}",
            remedy="look at what the doctor says, and whether workers are alive",
        )


class ServerNotInstalled(OpenAgentsError):
    """The packages that the services stand on are not installed."""

    code = "server_not_installed"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this service needs the package {package}",
            remedy=f"pip install 'openagents-json[{extra}]'",
        )


class AddressUnusable(OpenAgentsError):
    """A service cannot listen where it was to: somebody else does, or nobody may."""

    code = "address_unusable"

    def __init__(self, host: str, port: int, why: str, number: int = 0) -> None:
        self.number = number
        super().__init__(
            f"cannot listen on {host}, port {port}: {why}",
            remedy="choose another port with --port; 0 is any that is free",
        )
