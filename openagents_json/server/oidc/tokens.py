"""Bearer tokens (RFC 9068, RFC 8725): checked against the keys of their issuer, and what they say of their bearer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, cast

import jwt

from openagents_json.server.oidc.errors import TokenRefused
from openagents_json.server.oidc.issuer import Issuer, published_keys
from openagents_json.server.oidc.signing_keys import SigningKeys

LEEWAY_SECONDS: Final = 30
"""So far may the clocks of a provider and of this service be apart."""

LONGEST: Final = 16_384
LONGEST_SUBJECT: Final = 255

_NEEDED: Final = ("exp", "iat", "iss", "aud", "sub")
_WHY: Final[Sequence[tuple[type[Exception], str]]] = (
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it is not valid yet"),
    (jwt.InvalidAudienceError, "it is for another audience"),
    (jwt.InvalidIssuerError, "it is of another issuer"),
    (jwt.MissingRequiredClaimError, f"it has not all of {', '.join(_NEEDED)}"),
    (jwt.InvalidSignatureError, "its signature is not that of its issuer"),
    (jwt.InvalidAlgorithmError, "it is signed by an algorithm that does not count"),
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who bears a token: the subject, and the names of the roles that it has here."""

    subject: str
    roles: frozenset[str]


class BearerTokens:
    """Checks tokens of one issuer; safe for threads."""

    def __init__(self, issuer: Issuer, keys: SigningKeys) -> None:
        self._issuer = issuer
        self._keys = keys

    def bearer(self, token: str) -> Bearer:
        """Return who bears a token.

        Raises TokenRefused and IssuerUnreachable.
        """
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenRefused(_why(error)) from None
        subject = claims["sub"]
        if not (subject.isprintable() and 0 < len(subject) <= LONGEST_SUBJECT):
            raise TokenRefused("its subject cannot be written into a history")
        return Bearer(subject, self._roles(claims))

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST:
            raise TokenRefused("it is too long")
        header = jwt.get_unverified_header(token)
        key = self._keys.find(str(header.get("kid", "")))
        if key is None:
            raise TokenRefused("it names no key of its issuer")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=key.algorithms,
            audience=self._issuer.audience,
            issuer=self._issuer.url,
            leeway=LEEWAY_SECONDS,
            options={"require": [*_NEEDED]},
        )
        return claims

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return the roles that a token gives: of a list, or of a text with spaces, as scopes are written."""
        path = self._issuer.roles_claim.split(".")
        value = reduce(_member, path, cast(Any, claims))
        values = value.split() if isinstance(value, str) else value
        names = values if isinstance(values, list) else []
        means = self._issuer.roles
        return frozenset(means.get(str(name), "") for name in names)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def tokens_of(issuer: Issuer, steady_ms: Callable[[], float]) -> BearerTokens:
    """Return what checks the tokens of a provider, whose keys are fetched when the first one comes."""
    return BearerTokens(issuer, SigningKeys(lambda: published_keys(issuer), steady_ms))


def _why(error: Exception) -> str:
    reasons = [why for kind, why in _WHY if isinstance(error, kind)]
    return next(iter(reasons), "it is no signed JSON web token")
