"""The file of a capsule: what is written is read back byte for byte, and damage of any kind is called by its name."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

from eventstore import codec
from eventstore.redis.raw import RawEvent
from openagents_json.engine.archive.capsule_file import Capsule, unpack
from openagents_json.engine.archive.capsule_writer import write
from openagents_json.engine.errors import CapsuleUnreadable
from tests.examples import examples
from tests.property.stores.ledger_double import contents, zipped

TEXT = hs.text(hs.characters(), max_size=20)  # lone surrogates among them
DATA = hs.binary(max_size=60) | TEXT.map(
    lambda text: codec.encode({"x": text, "y": "\ud83d\ude00"})
)


@hs.composite
def capsules(draw: Any) -> Capsule:
    count = draw(hs.integers(1, 6))
    commits = sorted(draw(hs.lists(hs.integers(0, 4), min_size=count, max_size=count)))
    events = tuple(
        RawEvent(
            number,
            draw(hs.integers(0, 2**53 - 1)),
            draw(hs.integers(0, 2**53 - 1)),
            f"c{commits[number - 1]}",
            draw(TEXT),
            draw(TEXT),
            draw(TEXT.filter(bool)),
            draw(DATA),
            draw(hs.just(b"") | DATA),
        )
        for number in range(1, count + 1)
    )
    definitions = {
        hashlib.sha256(raw).hexdigest(): raw
        for raw in draw(hs.lists(hs.binary(max_size=30), max_size=2))
    }
    blobs = {
        hashlib.sha256(raw).hexdigest(): raw
        for raw in draw(hs.lists(hs.binary(max_size=300), max_size=2))
    }
    manifest = {
        "run": "0-r",
        "workflow": draw(TEXT),
        "version": "1",
        "status": "open",
        "store": "oa",
    }
    manifest |= {"exported_by": draw(TEXT), "exported_ms": 5, "events": count}
    return Capsule(
        manifest,
        events,
        definitions,
        blobs,
        [{"component": "x"}],
        draw(hs.none() | hs.binary(max_size=9)),
    )


def sample() -> Capsule:
    events = tuple(
        RawEvent(i, i, i, f"c{i}", "a", "", "RunStarted", b'{"x":%d}' % i)
        for i in range(1, 30)
    )
    manifest = {
        "run": "0-r",
        "workflow": "w",
        "version": "1",
        "status": "open",
        "store": "oa",
        "exported_by": "me",
    }
    blob = b"blob" * 50
    blobs = {hashlib.sha256(blob).hexdigest(): blob}
    return Capsule(
        {**manifest, "exported_ms": 1, "events": len(events)}, events, {}, blobs, []
    )


@given(capsules())
def test_what_is_written_is_read_back_byte_for_byte(capsule: Capsule) -> None:
    raw = write(capsule)
    unpacked = unpack(raw)
    assert (unpacked.events, unpacked.definitions, unpacked.blobs) == (
        capsule.events,
        capsule.definitions,
        capsule.blobs,
    )
    assert (unpacked.components, unpacked.proofs) == (
        capsule.components,
        capsule.proofs,
    )
    assert write(unpacked) == raw


RAW = write(sample())


@settings(max_examples=examples(300), deadline=None)
@given(
    hs.lists(hs.tuples(hs.integers(0, len(RAW) - 1), hs.integers(0, 255)), max_size=4),
    hs.integers(0, len(RAW)),
)
def test_damage_is_called_by_its_name_or_does_none(
    changes: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(RAW)
    for index, value in changes:
        damaged[index] = value
    for raw in (bytes(damaged), bytes(damaged[:cut]), bytes(damaged[cut:])):
        with contextlib.suppress(CapsuleUnreadable):
            assert unpack(raw) == unpack(RAW)


VALUE = hs.recursive(
    hs.none() | hs.booleans() | hs.integers() | TEXT,
    lambda x: hs.lists(x) | hs.dictionaries(TEXT, x),
    max_leaves=5,
)


@settings(max_examples=examples(200), deadline=None)
@given(
    hs.sampled_from(
        [*json.loads(json.dumps(dict(sample().manifest))), "format", "sha256"]
    ),
    VALUE,
)
def test_a_manifest_that_lies_is_refused_or_harmless(name: str, value: Any) -> None:
    members = contents(RAW)
    manifest = {**json.loads(members["manifest.json"]), name: value}
    try:
        unpacked = unpack(zipped({**members, "manifest.json": codec.encode(manifest)}))
    except CapsuleUnreadable:
        return
    assert unpacked.events == sample().events


@settings(max_examples=examples(200), deadline=None)
@given(
    hs.sampled_from(
        [
            "version",
            "n",
            "time_ms",
            "commit",
            "actor",
            "type",
            "data",
            "metadata",
            "data_base64",
        ]
    ),
    VALUE,
)
def test_events_that_lie_are_refused_or_harmless(name: str, value: Any) -> None:
    members = contents(RAW)
    lines = members["events.jsonl"].split(b"\n")
    lines[3] = codec.encode({**json.loads(lines[3]), name: value})
    with contextlib.suppress(CapsuleUnreadable):
        assert (
            len(unpack(resealed({**members, "events.jsonl": b"\n".join(lines)})).events)
            == 29
        )


def resealed(members: dict[str, bytes]) -> bytes:
    """Return a capsule whose manifest says what is in it."""
    manifest = json.loads(members["manifest.json"])
    hashes = {
        name: hashlib.sha256(raw).hexdigest()
        for name, raw in members.items()
        if name != "manifest.json"
    }
    return zipped(
        {**members, "manifest.json": codec.encode({**manifest, "sha256": hashes})}
    )


def test_what_has_no_place_in_a_capsule_is_refused_by_name() -> None:
    members = contents(RAW)
    events = members["events.jsonl"]
    twice = events.replace(b'"c1"', b'"c9"')
    missing = b"\n".join(events.split(b"\n")[1:])
    wrong = {"definitions/" + "0" * 64 + ".json": b"{}"}
    cases = {
        "'../x', which has no place": {**members, "../x": b""},
        "'/etc/passwd', which has no place": {**members, "/etc/passwd": b""},
        "would grow from": {**members, "proofs.json": b"\0" * 20_000_000},
        "is another one": {**members, **wrong},
        "event 1 is missing": {**members, "events.jsonl": missing},
        "commit 'c9' is there twice": {**members, "events.jsonl": twice},
        "it has no events.jsonl": {
            name: raw for name, raw in members.items() if name != "events.jsonl"
        },
    }
    for message, files in cases.items():
        with pytest.raises(CapsuleUnreadable, match=message):
            unpack(resealed(files))
    other = {**json.loads(members["manifest.json"]), "format": "openagents-capsule/2"}
    with pytest.raises(CapsuleUnreadable, match="a newer version of the engine"):
        unpack(zipped({**members, "manifest.json": codec.encode(other)}))
    with pytest.raises(
        CapsuleUnreadable, match=r"components\.json is not what the manifest says"
    ):
        unpack(zipped({**members, "components.json": b"[1]"}))
    with pytest.raises(CapsuleUnreadable, match="no zip file"):
        unpack(b"")


def test_a_large_payload_of_nothing_is_stored_and_read_back() -> None:
    blob = b"\0" * 4_000_000
    whole = sample()
    capsule = Capsule(
        whole.manifest, whole.events, {}, {hashlib.sha256(blob).hexdigest(): blob}, []
    )
    assert unpack(write(capsule)).blobs == capsule.blobs
