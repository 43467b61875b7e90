"""Signatures of deliveries: what services publish as examples is taken, and nothing that differs from it."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openagents_json.engine.hooks.errors import (
    HookBodyUnusable,
    HookSecretUnusable,
    InvalidHook,
    SignatureInvalid,
)
from openagents_json.engine.hooks.incoming import Incoming, body_of, shown_headers
from openagents_json.engine.hooks.signatures import verify
from openagents_json.engine.hooks.spec import Signature, spec_of

SLACK_BODY = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
    "%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


@dataclass(frozen=True)
class Example:
    """A delivery as its service would send it at a time."""

    signature: dict[str, Any]
    secret: str
    headers: dict[str, str]
    body: bytes
    seconds: int = 1_700_000_000
    signed_header: str = ""

    def check(self, **changes: Any) -> None:
        other = replace(self, **changes)
        incoming = Incoming(list(other.headers.items()), other.body)
        asked = Signature(secrets=["ONE"], **other.signature)
        verify(asked, incoming, {"ONE": other.secret}.get, other.seconds * 1000)


def stripe() -> Example:
    body = b'{"id":"evt_1"}'
    digest = hmac.new(b"whsec_test", b"1700000000." + body, hashlib.sha256).hexdigest()
    signed = f"t=1700000000,v0=6ffb,v1={'0' * 64},v1={digest}"
    headers = {"stripe-signature": signed}
    return Example(
        {"preset": "stripe"}, "whsec_test", headers, body, 1_700_000_000, *headers
    )


def timed() -> Example:
    body = b"{}"
    digest = hmac.new(b"s", b"1700000000.{}", hashlib.sha256).digest()
    import base64

    headers = {"x-sig": base64.b64encode(digest).decode(), "x-time": "1700000000"}
    signature = {
        "preset": "hmac",
        "header": "X-Sig",
        "encoding": "base64",
        "timestamp_header": "X-Time",
    }
    return Example(signature, "s", headers, body, signed_header="x-sig")


EXAMPLES = {
    # docs.github.com: Validating webhook deliveries, "Testing the webhook payload validation"
    "github": Example(
        {"preset": "github"},
        "It's a Secret to Everybody",
        {
            "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        },
        b"Hello, World!",
        signed_header="x-hub-signature-256",
    ),
    # api.slack.com: Verifying requests from Slack
    "slack": Example(
        {"preset": "slack"},
        "8f742231b10e8888abcd99yyyzzz85a5",
        {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        SLACK_BODY.encode(),
        1_531_420_618,
        "x-slack-signature",
    ),
    # the specification of Standard Webhooks, as its libraries test it
    "standard": Example(
        {"preset": "standard"},
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v2,x "
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
        1_614_265_330,
        "webhook-signature",
    ),
    "stripe": stripe(),
    "hmac": timed(),
}
TIMED = sorted(EXAMPLES.keys() - {"github"})


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_of_the_service_is_taken_and_no_other(name: str) -> None:
    example = EXAMPLES[name]
    example.check()
    header = example.signed_header
    without = {n: v for n, v in example.headers.items() if n != header}
    given = example.headers[header]
    others: list[dict[str, Any]] = [
        {"body": example.body + b" "},
        {"secret": f"{example.secret[:-4]}AAAA"},
        {"headers": without},
        *(
            {"headers": {**example.headers, header: other}}
            for other in ("", "é", given[:-4], given.upper(), f"{given}00", "v1=,v0=")
        ),
    ]
    for other in others:
        with pytest.raises((SignatureInvalid, HookSecretUnusable)):
            example.check(**other)


@pytest.mark.parametrize("name", TIMED)
def test_a_delivery_counts_near_its_time_only(name: str) -> None:
    example = EXAMPLES[name]
    for seconds in (-300, 300):
        example.check(seconds=example.seconds + seconds)
    for seconds in (-301, 301):
        with pytest.raises(SignatureInvalid, match="too far from now"):
            example.check(seconds=example.seconds + seconds)


@pytest.mark.parametrize("time", ["", "soon", "-1", "1" * 13, "١٧٠٠٠٠٠٠٠٠", "1.5"])
def test_a_time_is_a_number_of_seconds(time: str) -> None:
    headers = {**EXAMPLES["hmac"].headers, "x-time": time}
    with pytest.raises(SignatureInvalid, match="no number of seconds"):
        EXAMPLES["hmac"].check(headers=headers)


def test_one_of_several_secrets_is_enough_and_each_has_to_be_there() -> None:
    example = EXAMPLES["github"]
    incoming = Incoming(list(example.headers.items()), example.body)
    both = Signature(preset="github", secrets=["NEW", "OLD"])
    secrets = {"NEW": "another", "OLD": example.secret}
    verify(both, incoming, secrets.get, 0)
    with pytest.raises(HookSecretUnusable) as missing:
        verify(both, incoming, {"OLD": example.secret}.get, 0)
    assert (missing.value.secret, missing.value.reason) == ("NEW", "is not there")
    with pytest.raises(HookSecretUnusable) as unfit:
        EXAMPLES["standard"].check(secret="whsec_!")
    assert "base64" in unfit.value.reason


def test_a_header_that_is_there_twice_proves_nothing() -> None:
    example = EXAMPLES["github"]
    [header] = example.headers.items()
    incoming = Incoming([header, header], example.body)
    with pytest.raises(SignatureInvalid, match="more than once"):
        verify(
            Signature(preset="github", secrets=["ONE"]),
            incoming,
            {"ONE": example.secret}.get,
            0,
        )


@given(st.binary(), st.sampled_from(["application/json", "text/x", ""]), st.booleans())
def test_a_body_is_a_value_or_refused(body: bytes, kind: str, form: bool) -> None:
    content_type = "application/x-www-form-urlencoded; charset=utf-8" if form else kind
    try:
        value = body_of(Incoming([("content-type", content_type)], body))
    except HookBodyUnusable:
        return
    assert form or json.loads(body) == value or value != value


def test_a_form_is_its_fields_or_the_json_in_its_payload() -> None:
    kind = [("content-type", "application/x-www-form-urlencoded")]
    assert body_of(Incoming(kind, b"a=1&b=&a=2")) == {"a": "2", "b": ""}
    assert body_of(Incoming(kind, b"payload=%7B%22a%22%3A1%7D")) == {"a": 1}
    for wrong in (b"payload=%7B", b"a=%ff", b"&".join([b"a=1"] * 1001)):
        with pytest.raises(HookBodyUnusable):
            body_of(Incoming(kind, wrong))


def test_headers_that_prove_who_sends_are_masked_and_all_are_bounded() -> None:
    headers = [
        ("authorization", "Bearer x"),
        ("x-api-key", "x"),
        ("x-mine", "x"),
        ("user-agent", "a" * 3000),
        *((f"x-{number}", "") for number in range(100)),
    ]
    shown = shown_headers(Incoming(headers, b""), ["x-mine"])
    assert {shown[name] for name in ("authorization", "x-api-key", "x-mine")} == {"***"}
    assert (len(shown["user-agent"]), len(shown)) == (2000, 64)


SIGNED = {"preset": "github", "secrets": ["A"]}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "signature: Field required"),
        ({"signature": SIGNED}, "it must have either `start` or `signal`"),
        (
            {"signature": {**SIGNED, "header": "x"}, "start": {"workflow": "a"}},
            "github says itself",
        ),
        (
            {"signature": {"preset": "hmac", "secrets": ["A"]}},
            "hmac needs the header",
        ),
        ({"signature": {**SIGNED, "secrets": ["a-b"]}}, "signature.secrets.0"),
        ({"signature": SIGNED, "start": {"workflow": "a"}, "x": 1}, "x: Extra inputs"),
    ],
)
def test_what_is_wrong_with_a_hook_is_told(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidHook, match=reason):
        spec_of(spec)
