"""Encrypted payloads: whatever goes in comes out, in its own place and with its own key only."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as s
from msgspec import structs

from eventstore.event import Position, Recorded
from executor.encryption import MasterKeys, RunKey, key_id, make_key, parse_key
from executor.errors import DamagedPayload, InvalidKey, PayloadOverLimit, RunSealed
from executor.runs.codec import EncodedEvents, Limits, decode_all, encode, is_sealed
from openagents_json.workflow.core import events as ev
from tests.examples import examples

LIMITS = Limits(inline=100, payload=10_000)
NAMES = s.sampled_from(["sealed", "blobs", "erased", "inputs", ""]) | s.text(max_size=5)
JSON = s.recursive(
    s.none()
    | s.booleans()
    | s.integers()
    | s.floats(allow_nan=False, allow_infinity=False)
    | s.text(max_size=200),
    lambda inner: s.lists(inner, max_size=4) | s.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
MEMBERS = s.dictionaries(NAMES, JSON, max_size=3)
ERRORS = s.fixed_dictionaries(
    {
        "type": s.sampled_from(["Boom", "ExpressionError", "Terminated"]),
        "message": s.text(max_size=300),
    },
    optional={"output": JSON, "at": s.just("a"), "traceback": s.text(max_size=300)},
)
EVENTS = s.one_of(
    s.builds(
        ev.RunStarted, s.just("1-r"), s.just("w"), s.just("1.0.0"), s.just("d"), MEMBERS
    ),
    s.builds(ev.StepScheduled, s.sampled_from(["a", "b[0]"]), MEMBERS),
    s.builds(
        ev.StepCompleted,
        s.just("a"),
        s.just(1),
        JSON,
        s.none() | MEMBERS,
        s.none() | MEMBERS,
    ),
    s.builds(ev.StepFailed, s.just("a"), s.just(1), ERRORS, output=JSON),
    s.builds(ev.CompensationScheduled, s.just("a"), s.just("a~"), MEMBERS),
    s.builds(ev.SignalReceived, s.just("s1"), s.just("go"), payload=JSON),
    s.builds(ev.RunReopened, s.just([]), inputs=s.none() | MEMBERS),
    s.builds(ev.StepOverridden, s.just("a"), s.just("completed"), JSON),
    s.builds(ev.RunCompleted, JSON),
    s.builds(ev.RunFailing, ERRORS),
    s.builds(ev.RunFailed, ERRORS),
)


def run_key(run: str = "1-r") -> RunKey:
    return MasterKeys([make_key(secrets.token_bytes)], secrets.token_bytes).fresh(run)


def stored(encoded: EncodedEvents, run: str = "1-r") -> list[Recorded]:
    return [
        Recorded(
            run,
            i,
            Position(1, i),
            i,
            "c",
            "a",
            "",
            kind,
            json.loads(raw.decode("utf-8", "surrogatepass")),
            {},
        )
        for i, (kind, raw) in enumerate(encoded.events, 1)
    ]


def fetcher(encoded: EncodedEvents) -> Any:
    blobs = {blob.sha: blob.data for blob in encoded.blobs}

    def fetch(addresses: Sequence[tuple[str, str]]) -> list[bytes]:
        return [blobs[sha] for _, sha in addresses]

    return fetch


@given(s.lists(EVENTS, max_size=4))
def test_what_is_encrypted_is_decrypted_the_same(happened: list[ev.Event]) -> None:
    key = run_key()
    encoded = encode(happened, LIMITS, key)
    back = decode_all(stored(encoded), fetcher(encoded), {"1-r": key})
    assert repr(back) == repr(
        decode_all(stored(plain := encode(happened, LIMITS)), fetcher(plain))
    )
    assert all(is_sealed(item) for item in stored(encoded) if item.type == "RunStarted")


@pytest.mark.parametrize("size", [0, 1, 68, 69, 70, 71, 72, 100, 101, 5000])
def test_no_size_lets_a_payload_through(size: int) -> None:
    text = "MARK" * (size // 4) + "MARK"[: size % 4]
    key, event = (
        run_key(),
        ev.StepCompleted("a", 1, [text, "MARKER"], None, {"total": "MARKER"}),
    )
    encoded = encode([event], LIMITS, key)
    assert b"MARK" not in encoded.events[0][1] + b"".join(
        blob.data for blob in encoded.blobs
    )
    assert decode_all(stored(encoded), fetcher(encoded), {"1-r": key}) == [event]
    error = {"type": "Terminated", "message": text, "output": [text, "MARKER"]}
    ended = encode([ev.RunFailed(error)], LIMITS, key)
    assert b"MARK" not in ended.events[0][1] + b"".join(
        blob.data for blob in ended.blobs
    )
    assert bool(encoded.blobs) == (
        len(json.dumps(event.output, separators=(",", ":"))) + 28 > LIMITS.inline
    )


def test_the_limit_is_that_of_the_payload_itself() -> None:
    fits = ev.RunCompleted("x" * (LIMITS.payload - 2))
    assert encode([fits], LIMITS, run_key()).blobs
    with pytest.raises(PayloadOverLimit, match="output has 10001 bytes"):
        encode([ev.RunCompleted("x" * (LIMITS.payload - 1))], LIMITS, run_key())


EVENT = ev.StepScheduled("a", {"x": "secret", "y": "other", "z": "large" * 50})


def test_another_key_reads_nothing() -> None:
    encoded = encode([EVENT], LIMITS, run_key())
    with pytest.raises(
        DamagedPayload, match="run 1-r: StepScheduled a inputs z cannot be decrypted"
    ):
        decode_all(stored(encoded), fetcher(encoded), {"1-r": run_key()})
    with pytest.raises(RunSealed, match="set OPENAGENTS_ENCRYPTION_KEYS"):
        decode_all(stored(encoded), fetcher(encoded))


def misplaced(item: Recorded, how: str) -> Recorded:
    data = {**item.data, "sealed": [list(pair) for pair in item.data["sealed"]]}
    match how:
        case "members swapped":
            data["sealed"][0][1], data["sealed"][1][1] = (
                data["sealed"][1][1],
                data["sealed"][0][1],
            )
        case "another step":
            data["step"] = "b"
        case "another type":
            return structs.replace(
                item, type="CompensationScheduled", data={**data, "compensation": "a~"}
            )
        case "a bit flipped":
            raw = bytearray(base64.b64decode(data["sealed"][0][1]))
            raw[-1] ^= 1
            data["sealed"][0][1] = base64.b64encode(raw).decode()
        case "cut":
            data["sealed"][0][1] = data["sealed"][0][1][:8]
        case "not base64":
            data["sealed"][0][1] = "%"
        case "nowhere":
            data["sealed"][0][0] = ["none", "x"]
    return structs.replace(item, data=data)


@pytest.mark.parametrize(
    "how",
    [
        "members swapped",
        "another step",
        "another type",
        "a bit flipped",
        "cut",
        "not base64",
        "nowhere",
    ],
)
def test_a_ciphertext_that_was_moved_or_changed_is_refused(how: str) -> None:
    key = run_key()
    encoded = encode([EVENT], LIMITS, key)
    [item] = stored(encoded)
    with pytest.raises(
        DamagedPayload, match=r"cannot be decrypted: it was changed, moved, or"
    ):
        decode_all([misplaced(item, how)], fetcher(encoded), {"1-r": key})


def test_a_ciphertext_of_one_run_reads_in_no_other_even_under_the_same_key() -> None:
    key = run_key()
    encoded = encode([EVENT], LIMITS, key)
    with pytest.raises(DamagedPayload, match="run 1-s"):
        decode_all(
            stored(encoded, "1-s"), fetcher(encoded), {"1-s": replace(key, run="1-s")}
        )


@given(s.lists(EVENTS, max_size=3))
@settings(max_examples=examples(50))
def test_without_its_key_a_run_is_read_with_null_for_its_payloads(
    happened: list[ev.Event],
) -> None:
    encoded = encode(happened, LIMITS, run_key())

    def readable(addresses: Sequence[tuple[str, str]]) -> list[bytes]:
        """Return what is asked for, which may be large errors only: their texts are stored plain."""
        blobs: list[bytes] = fetcher(encoded)(addresses)
        assert all(isinstance(json.loads(raw), dict) for raw in blobs)
        return blobs

    back = decode_all(stored(encoded), readable, {"1-r": None})
    assert [type(event) for event in back] == [type(event) for event in happened]
    for event, was in zip(back, happened, strict=True):
        for name in ("output", "payload"):
            assert getattr(event, name, None) is None
        inputs = getattr(was, "inputs", None)
        assert getattr(event, "inputs", None) == (
            None if inputs is None else dict.fromkeys(inputs)
        )


def test_a_run_key_is_unwrapped_by_the_master_key_that_wrapped_it() -> None:
    old, new = make_key(secrets.token_bytes), make_key(secrets.token_bytes)
    fresh = MasterKeys([old], secrets.token_bytes).fresh("1-r")
    record = fresh.wrapped.encode()
    assert record.split(b".")[:2] == [b"1", key_id(parse_key(old, "")).encode()]
    assert (
        MasterKeys([new, old], secrets.token_bytes).unwrap("1-r", record).secret
        == fresh.secret
    )
    with pytest.raises(
        RunSealed, match=f"encrypted with key {key_id(parse_key(old, ''))}"
    ):
        MasterKeys([new], secrets.token_bytes).unwrap("1-r", record)
    with pytest.raises(
        DamagedPayload, match="run 1-s: its key"
    ):  # the key of one run is not that of another
        MasterKeys([old], secrets.token_bytes).unwrap("1-s", record)


@pytest.mark.parametrize(
    "text", ["", "abc", "AAAA", "nonsense !", base64.b64encode(bytes(31)).decode()]
)
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidKey) as raised:
        MasterKeys([text], secrets.token_bytes)
    assert not text or text not in str(raised.value)


def test_no_key_is_shown_by_accident() -> None:
    key = run_key()
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)
