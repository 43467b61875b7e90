"""Files that others have made: whatever is in them is refused by name or checked, and fills no memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as hs

from openagents_json.engine.archive.capsule_file import unpack
from openagents_json.engine.audit import verify_file
from openagents_json.engine.errors import CapsuleUnreadable
from projections.errors import EvidenceUnreadable
from tests.examples import examples
from tests.property.stores.ledger_double import (
    Kept,
    capsule_of,
    contents,
    export_of,
    understated,
    zipped,
)
from tests.property.stores.test_ledger import KEYS, SIGNER, WHOLE

STORE = Kept(WHOLE, SIGNER)
EXPORT, CAPSULE = export_of(STORE), capsule_of(STORE, "0-a")
FILES = {"export": EXPORT, "capsule": CAPSULE}
UNREADABLE = (EvidenceUnreadable, CapsuleUnreadable)
MANY = settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

Deed = tuple[str, int, int, bytes]
DEEDS = hs.lists(
    hs.tuples(
        hs.sampled_from(["put", "cut", "cut off", "double", "insert"]),
        hs.integers(0, 10_000),
        hs.integers(1, 300),
        hs.binary(min_size=1, max_size=4)
        | hs.sampled_from([b"1e999", b"[]", b"{}", b"null", b"-1", b"9" * 30, b'"']),
    ),
    min_size=1,
    max_size=3,
)


def damaged(raw: bytes, deeds: list[Deed]) -> bytes:
    """Change, remove or double some bytes."""
    for kind, index, size, put in deeds:
        at = index % (len(raw) + 1)
        piece = raw[at : at + size]
        match kind:
            case "put":
                raw = raw[:at] + put + raw[at + len(put) :]
            case "cut":
                raw = raw[:at] + raw[at + size :]
            case "cut off":
                raw = raw[:at]
            case "double":
                raw = raw[:at] + piece + raw[at:]
            case _:
                raw = raw[:at] + put + raw[at:]
    return raw


def resealed(members: dict[str, bytes]) -> dict[str, bytes]:
    """Let the manifest of a capsule say what is in it, if it can still be read."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        manifest = json.loads(members["manifest.json"])
        hashes = {
            name: hashlib.sha256(raw).hexdigest()
            for name, raw in members.items()
            if name != "manifest.json"
        }
        return {
            **members,
            "manifest.json": json.dumps({**manifest, "sha256": hashes}).encode(),
        }
    return members


def test_the_files_are_whole_before_anything_is_done(tmp_path: Path) -> None:
    for raw, count in ((EXPORT, 21), (CAPSULE, 7)):
        (tmp_path / "file").write_bytes(raw)
        audit = verify_file(tmp_path / "file", KEYS)
        assert (audit.findings, audit.verified) == ((), count)


@MANY
@given(hs.sampled_from(sorted(FILES)), DEEDS)
def test_a_damaged_file_is_refused_or_checked(
    tmp_path: Path, file: str, deeds: list[Deed]
) -> None:
    (tmp_path / "file").write_bytes(damaged(FILES[file], deeds))
    with contextlib.suppress(*UNREADABLE):
        verify_file(tmp_path / "file")
    with contextlib.suppress(CapsuleUnreadable):
        unpack(damaged(FILES[file], deeds))


@MANY
@given(hs.sampled_from(sorted(FILES)), hs.integers(0, 30), DEEDS)
@example("export", 0, [("insert", 0, 1, b"[]\n")])
def test_a_file_with_damaged_members_is_refused_or_checked(
    tmp_path: Path, file: str, number: int, deeds: list[Deed]
) -> None:
    members = contents(FILES[file])
    name = sorted(members)[number % len(members)]
    changed = {**members, name: damaged(members[name], deeds)}
    (tmp_path / "file").write_bytes(
        zipped(resealed(changed) if file == "capsule" else changed)
    )
    with contextlib.suppress(*UNREADABLE):
        verify_file(tmp_path / "file")


VALUES = hs.recursive(
    hs.none()
    | hs.booleans()
    | hs.integers()
    | hs.floats()
    | hs.text(hs.characters(), max_size=9),
    lambda x: (
        hs.lists(x, max_size=3) | hs.dictionaries(hs.text(max_size=3), x, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values in a value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [
        path,
        *(
            path_inside
            for key, inner in items
            for path_inside in places(inner, (*path, key))
        ),
    ]


def put(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """Return a value with another one at a path."""
    if not path:
        return other
    inner = put(value[path[0]], path[1:], other)
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [inner if i == path[0] else x for i, x in enumerate(value)]


@MANY
@given(
    hs.sampled_from(sorted(FILES)), hs.integers(0, 30), hs.integers(0, 10_000), VALUES
)
def test_a_file_that_lies_in_one_value_is_refused_or_checked(
    tmp_path: Path, file: str, number: int, index: int, value: Any
) -> None:
    members = contents(FILES[file])
    names = [name for name in sorted(members) if name.endswith((".json", ".jsonl"))]
    name = names[number % len(names)]
    lines = [json.loads(line) for line in members[name].splitlines()]
    paths = [path for path in places(lines) if path]
    lied = put(lines, paths[index % len(paths)], value) if paths else [value]
    changed = {
        **members,
        name: b"".join(json.dumps(line).encode() + b"\n" for line in lied),
    }
    (tmp_path / "file").write_bytes(
        zipped(resealed(changed) if file == "capsule" else changed)
    )
    with contextlib.suppress(*UNREADABLE):
        verify_file(tmp_path / "file")


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    members = contents(EXPORT)
    for name, old in (
        ("0/partition.json", b'"head":24'),
        ("0/log.jsonl", b"[1,"),
        ("0/events.jsonl", b'"position":1,'),
    ):
        assert old in members[name]
        for number in (b"1e999", b"null", b"[]"):
            other = members[name].replace(old, re.sub(rb"[0-9]+", number, old))
            (tmp_path / "file").write_bytes(zipped({**members, name: other}))
            with pytest.raises(EvidenceUnreadable):
                verify_file(tmp_path / "file")


# -- limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_more_than_the_limit_is_not_unpacked(tmp_path: Path, file: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(FILES[file])
    assert verify_file(path, KEYS, limit=20_000).intact
    with pytest.raises(
        UNREADABLE, match=r"more than 200 bytes.* the most that is read"
    ):
        verify_file(path, KEYS, limit=200)


@pytest.mark.parametrize("kind", ["log", "events"])
def test_a_line_or_many_are_not_more_than_the_limit(tmp_path: Path, kind: str) -> None:
    members = contents(EXPORT)
    name = f"0/{kind}.jsonl"
    for more in (b" " * 5_000_000, members[name] * 2_000):
        (tmp_path / "file").write_bytes(zipped({**members, name: members[name] + more}))
        with pytest.raises(EvidenceUnreadable, match="which is the most that is read"):
            verify_file(tmp_path / "file", KEYS, limit=200_000)


@pytest.mark.parametrize(
    ("file", "name"),
    [("export", "0/salts/1"), ("export", "0/events.jsonl"), ("capsule", "proofs.json")],
)
def test_what_claims_to_be_small_is_not_unpacked_at_once(
    tmp_path: Path, file: str, name: str
) -> None:
    """What unpacks to 50 MB claims to unpack to 100 bytes: no more than a piece of it is."""
    bomb = understated(
        zipped({**contents(FILES[file]), name: b"\0" * 50_000_000}), name, 100
    )
    (tmp_path / "file").write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(UNREADABLE):
            verify_file(tmp_path / "file", KEYS)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
