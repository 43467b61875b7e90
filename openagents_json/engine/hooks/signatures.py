"""Signatures of deliveries, as the services make them that send them; compared without telling how far they are right.

GitHub: docs.github.com, "Validating webhook deliveries". Slack: api.slack.com, "Verifying requests from Slack". Stripe:
docs.stripe.com/webhooks, "Verify manually". Standard Webhooks: standardwebhooks.com, specification 1.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from openagents_json.engine.hooks.errors import HookSecretUnusable, SignatureInvalid
from openagents_json.engine.hooks.incoming import Incoming
from openagents_json.engine.hooks.spec import Signature

FindSecret = Callable[[str], str | None]

_LONGEST_TIME: Final = 12
_STANDARD_SECRET: Final = "whsec_"


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a service signs: where signature, time and id stand, and what is signed."""

    header: str
    prefix: str = ""
    encoding: str = "hex"
    timestamp_header: str = ""
    id_header: str = ""
    id_member: str = ""
    signed: Callable[[str, str, bytes], bytes] = lambda _id, _time, body: body
    separator: str = ""
    has_time_inside: bool = False
    key_of: Callable[[str], bytes] = str.encode


def _with_time(_id: str, time: str, body: bytes) -> bytes:
    return time.encode() + b"." + body


def _with_id(delivery: str, time: str, body: bytes) -> bytes:
    return f"{delivery}.{time}.".encode() + body


def _of_slack(_id: str, time: str, body: bytes) -> bytes:
    return f"v0:{time}:".encode() + body


def _standard_key(secret: str) -> bytes:
    text = secret.removeprefix(_STANDARD_SECRET)
    return base64.b64decode(text, validate=True)


_SCHEMES: Final[Mapping[str, Scheme]] = {
    "github": Scheme(
        "x-hub-signature-256", prefix="sha256=", id_header="x-github-delivery"
    ),
    "slack": Scheme(
        "x-slack-signature",
        prefix="v0=",
        timestamp_header="x-slack-request-timestamp",
        id_member="event_id",
        signed=_of_slack,
    ),
    "stripe": Scheme(
        "stripe-signature",
        prefix="v1=",
        id_member="id",
        signed=_with_time,
        separator=",",
        has_time_inside=True,
    ),
    "standard": Scheme(
        "webhook-signature",
        prefix="v1,",
        encoding="base64",
        timestamp_header="webhook-timestamp",
        id_header="webhook-id",
        signed=_with_id,
        separator=" ",
        key_of=_standard_key,
    ),
}


def scheme_of(signature: Signature) -> Scheme:
    """Return how deliveries of a hook are signed."""
    if signature.preset != "hmac":
        return _SCHEMES[signature.preset]
    timestamp_header = signature.timestamp_header.lower()
    scheme = Scheme(
        signature.header.lower(),
        prefix=signature.prefix,
        encoding=signature.encoding,
        timestamp_header=timestamp_header,
        id_header=signature.id_header.lower(),
    )
    if not timestamp_header:
        return scheme
    return Scheme(
        scheme.header,
        prefix=scheme.prefix,
        encoding=scheme.encoding,
        timestamp_header=timestamp_header,
        id_header=scheme.id_header,
        signed=_with_time,
    )


def verify(
    signature: Signature, incoming: Incoming, secret: FindSecret, now_ms: int
) -> bytes:
    """Check that a delivery was signed with a secret of its hook, not too long ago; gives what was signed.

    Raises SignatureInvalid and HookSecretUnusable.
    """
    scheme = scheme_of(signature)
    keys = [_key(scheme, name, secret) for name in signature.secrets]
    given = _only(incoming, scheme.header)
    parts = given.split(scheme.separator) if scheme.separator else [given]
    time = _time(scheme, incoming, parts)
    if time is not None:
        _check_time(time, signature.tolerance_seconds, now_ms)
    delivery = _only(incoming, scheme.id_header) if scheme.signed is _with_id else ""
    signed = scheme.signed(delivery, time or "", incoming.body)
    macs = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    if not _any_equal(macs, _signatures(scheme, parts)):
        raise SignatureInvalid("the signature is not that of the body")
    return signed


def _key(scheme: Scheme, name: str, secret: FindSecret) -> bytes:
    text = secret(name)
    if not text:
        raise HookSecretUnusable(name, "is not there")
    try:
        return scheme.key_of(text)
    except (binascii.Error, ValueError):
        raise HookSecretUnusable(name, "is no base64, as the preset has it") from None


def _only(incoming: Incoming, header: str) -> str:
    """Return the value of a header that has to be there once."""
    values = incoming.all_of(header)
    if len(values) != 1:
        how_many = "is not there" if not values else "is there more than once"
        raise SignatureInvalid(f"the header {header} {how_many}")
    return values[0]


def _time(scheme: Scheme, incoming: Incoming, parts: Sequence[str]) -> str | None:
    if scheme.timestamp_header:
        return _only(incoming, scheme.timestamp_header)
    if not scheme.has_time_inside:
        return None
    times = [part.strip()[2:] for part in parts if part.strip().startswith("t=")]
    if len(times) != 1:
        raise SignatureInvalid(f"the header {scheme.header} has not one time")
    return times[0]


def _check_time(text: str, tolerance_seconds: int, now_ms: int) -> None:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIME):
        raise SignatureInvalid("its time is no number of seconds since 1970")
    if abs(now_ms - int(text) * 1000) > tolerance_seconds * 1000:
        raise SignatureInvalid("its time is too far from now")


def _signatures(scheme: Scheme, parts: Sequence[str]) -> list[bytes]:
    """Return the signatures of a header; what is none of this scheme is passed over."""
    decoded = []
    for part in map(str.strip, parts):
        if not part.startswith(scheme.prefix):
            continue
        text = part.removeprefix(scheme.prefix)
        try:
            decoded.append(_DECODERS[scheme.encoding](text))
        except (binascii.Error, ValueError):
            continue
    return decoded


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_DECODERS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "hex": binascii.unhexlify,
    "base64": _from_base64,
}


def _any_equal(ours: Iterable[bytes], theirs: Sequence[bytes]) -> bool:
    """Compare each with each, in the same time wherever they differ."""
    equal = [hmac.compare_digest(one, other) for one in ours for other in theirs]
    return any(equal)
