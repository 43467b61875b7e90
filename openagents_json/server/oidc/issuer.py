"""An identity provider as it is configured, and where it publishes its keys."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from openagents_json.server.http.local_callers import is_local
from openagents_json.server.oidc.errors import InvalidIssuer, IssuerUnreachable

FETCH_SECONDS: Final = 3.0
MOST_BYTES: Final = 1024 * 1024
ROLES: Final = ("viewer", "operator", "developer", "admin", "worker")

_UNREACHABLE: Final = (
    InvalidIssuer,
    OSError,
    ValueError,
    RecursionError,
    msgspec.MsgspecError,
    http.client.HTTPException,
)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens count, and what they have to say.

    `audience` names this service. The claim `roles_claim`, parts of which are behind dots, has the roles of a caller;
    `roles` says what its values mean here: without it, they are the names of our roles.
    """

    url: str
    audience: str
    roles_claim: str = "roles"
    roles: Mapping[str, str] = field(
        default_factory=lambda: dict(zip(ROLES, ROLES, strict=True))
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be trusted, or would let nobody in.

        Raises InvalidIssuer.
        """
        _check(self.url)
        if not self.audience:
            raise InvalidIssuer(
                "there is no audience",
                remedy="name the one that tokens for this service have",
            )
        unknown = sorted(set(self.roles.values()) - set(ROLES))
        if unknown:
            raise InvalidIssuer(
                f"{unknown[0]!r} is no role", remedy=f"use one of {', '.join(ROLES)}"
            )


class Description(msgspec.Struct):
    """What a provider says of itself, as far as it is used here."""

    issuer: str
    jwks_uri: str


class KeySet(msgspec.Struct):
    """The keys of a provider (RFC 7517)."""

    keys: list[dict[str, Any]]


Kind = TypeVar("Kind", Description, KeySet)


def published_keys(issuer: Issuer) -> Sequence[Mapping[str, Any]]:
    """Return the keys that a provider publishes, by its own description of itself.

    Raises IssuerUnreachable.
    """
    address = f"{issuer.url.rstrip('/')}/.well-known/openid-configuration"
    described = _fetched(address, Description)
    if described.issuer != issuer.url:
        raise IssuerUnreachable(f"{issuer.url} describes another issuer")
    return _fetched(described.jwks_uri, KeySet).keys


_TRUSTED: Final[Mapping[str, Callable[[SplitResult], bool]]] = {
    "https": lambda address: bool(address.netloc),
    "http": lambda address: is_local(str(address.hostname)),
}


def _never(_address: SplitResult) -> bool:
    return False


def _check(url: str) -> None:
    """Refuse an address on which others could answer in the place of the provider.

    Raises InvalidIssuer.
    """
    address = urlsplit(url)
    is_trusted = _TRUSTED.get(address.scheme, _never)
    if not is_trusted(address):
        raise InvalidIssuer(
            f"{url!r} is no address of an identity provider",
            remedy="it begins with https:// (http:// on this machine alone)",
        )


def _fetched(url: str, kind: type[Kind]) -> Kind:
    """Return what stands at an address.

    Raises IssuerUnreachable.
    """
    opener = urllib.request.build_opener(_Staying)
    try:
        _check(url)
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        with opener.open(request, timeout=FETCH_SECONDS) as answer:
            return msgspec.json.decode(answer.read(MOST_BYTES), type=kind)
    except _UNREACHABLE as error:
        raise IssuerUnreachable(f"{url}: {error}") from None


class _Staying(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: where keys come from is for who configures the service to say."""

    def redirect_request(self, *_: Any) -> None:
        """Leave a redirection as the error that it is then."""
        return
