"""Errors of bearer tokens.

InvalidArgument
+-- InvalidIssuer       an identity provider was named that cannot be one
Unavailable
+-- IssuerUnreachable   an identity provider does not give its keys
OpenAgentsError
+-- TokenRefused        a bearer token is none that counts
"""

from __future__ import annotations

from openagents_json.errors import InvalidArgument, OpenAgentsError, Unavailable


class InvalidIssuer(InvalidArgument):
    """An identity provider was named that cannot be one."""

    code = "invalid_issuer"


class IssuerUnreachable(Unavailable):
    """An identity provider does not give its keys; `reason` is for the log of the service."""

    code = "issuer_unreachable"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            "the keys of the identity provider cannot be read, so no token can be checked"
        )


class TokenRefused(OpenAgentsError):
    """A bearer token is none that counts; it says why, and nothing of what it would have to be."""

    code = "token_refused"
    http_status = 401

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the bearer token is refused: {why}",
            remedy="ask the identity provider for a new one",
        )
