"""Capsules, exports and receipts: whatever was done to them, refused by name, or what they say is what was sealed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from eventstore.redis.ledger import Stored
from openagents_json.engine.archive.capsule_file import Capsule, unpack
from openagents_json.engine.archive.stepping import Steps
from openagents_json.engine.audit import read_keys, verify_file
from openagents_json.engine.errors import CapsuleUnreadable
from openagents_json.errors import OpenAgentsError
from projections.errors import EvidenceUnreadable
from projections.ledger.findings import Audit
from projections.ledger.proofs.encoding import read_stored
from tests.fuzz.campaign import SEEDS
from tests.fuzz.mutations import (
    members,
    mutate_bytes,
    mutate_json,
    mutate_lines,
    zipped,
)
from tests.fuzz.shrinking import smaller_json, smaller_zip

KEYS = Path(__file__).parent / "keys"
WORDS: tuple[str, ...] = (
    "version",
    "n",
    "time_ms",
    "commit",
    "actor",
    "cause",
    "type",
    "data",
    "metadata",
    "data_base64",
    "run",
    "0-a",
)
WORDS += (
    "RunStarted",
    "StepStarted",
    "StepCompleted",
    "RunRedacted",
    "RunImported",
    "blobs",
    "sealed",
    "erased",
    "salt",
)
WORDS += (
    "path",
    "record",
    "signature",
    "leaves",
    "keys",
    "partition",
    "epochs",
    "head",
    "checkpoint",
    "format",
    "sha256",
)


@dataclass(frozen=True)
class Content:
    """What an evidence says: its events, and its payloads by their hash."""

    events: frozenset[Stored]
    payloads: Mapping[str, bytes]


class _Evidence:
    """What the three have in common; each knows how to read what its file says."""

    name = folder = extension = ""

    def content(self, raw: bytes) -> Content:
        """Read what a file says that was found to be intact."""
        raise NotImplementedError

    def check(self, raw: bytes) -> str:
        """Verify it; what is found to be intact says nothing that was not sealed."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"evidence{self.extension}"
            path.write_bytes(raw)
            try:
                audit = verify_file(path, trusted())
            except (EvidenceUnreadable, CapsuleUnreadable) as error:
                return _masked(str(error).replace(folder, ""))
            assert list(audit.lines())
            if audit.intact and audit.verified:
                self._check_content(raw, audit)
        return f"{audit.intact} " + " ".join(
            sorted({_masked(f"{x.kind} {x.what}") for x in audit.findings})
        )

    def _check_content(self, raw: bytes, audit: Audit) -> None:
        content, sealed = self.content(raw), sealed_content()
        foreign = content.events - sealed.events
        assert len(foreign) <= audit.unsealed, (
            f"what is intact was sealed: {sorted(x.version for x in foreign)}"
        )
        for sha, payload in content.payloads.items():
            assert sealed.payloads.get(sha, payload) == payload, (
                "a payload is what was sealed"
            )


class _Zipped(_Evidence):
    """A zip file: its members are changed, and mostly its manifest says so."""

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Change a member, put one of another file there, or take one away; now and then the bytes of the zip file."""
        files = members(raw)
        if not files or random.random() < 0.15:
            return mutate_bytes(raw, others, random)
        name = random.choice(sorted(files))
        donors = [files, members(random.choice(others)) or {}]
        match random.randrange(12):
            case 0:
                del files[name]
            case 1:
                files[_renamed(name, random)] = files[name]
            case 2:
                donor = donors[1]
                files |= {
                    other: donor[other]
                    for other in random.sample(sorted(donor), min(len(donor), 2))
                }
            case _:
                files[name] = self._changed(
                    files[name],
                    [raw for donor in donors for raw in donor.values()],
                    random,
                )
        return zipped(self.resealed(files) if random.random() < 0.8 else files)

    def _changed(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        lines = [
            line
            for other in others
            for line in other.split(b"\n")[:50]
            if line[:1] in b"{["
        ]
        values = [
            value
            for line in random.choices(lines or [b"{}"], k=3)
            if (value := _parsed(line)) is not None
        ]
        return mutate_lines(
            raw,
            others,
            lambda line: mutate_json(line, values or [line], WORDS, random),
            random,
        )

    def resealed(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Let a manifest with hashes say what is in the file."""
        return files

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        """Return files with less in them."""
        for less in smaller_zip(raw):
            files = members(less)
            yield zipped(self.resealed(files)) if files else less


class Exports(_Zipped):
    """The target of exports of whole ledgers."""

    name = folder = "exports"
    extension = ".zip"

    def content(self, raw: bytes) -> Content:
        files = members(raw) or {}
        lines = [
            line
            for name, content in files.items()
            if name.endswith("/events.jsonl")
            for line in content.split(b"\n")
        ]
        events = frozenset(read_stored(json.loads(line)) for line in lines if line)
        return Content(
            events,
            {
                name.split("/")[-1]: raw
                for name, raw in files.items()
                if "/blobs/" in name
            },
        )

    def _check_content(self, raw: bytes, audit: Audit) -> None:
        super()._check_content(raw, audit)
        ledger = json.loads(
            (members(raw) or {"ledger.json": b"{}"})["ledger.json"]
        ).get("ledger")
        whole = ledgers().get(str(ledger), frozenset())
        missing = len(whole - self.content(raw).events)
        assert missing <= audit.chained + audit.unsealed, (
            f"{missing} events are missing from what is intact"
        )


class Capsules(_Zipped):
    """The target of capsules; what can be read can be stepped through."""

    name = folder = "capsules"
    extension = ".oac"

    def content(self, raw: bytes) -> Content:
        capsule = unpack(raw)
        return Content(_stored(capsule), capsule.blobs)

    def resealed(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Let the manifest say what is in it, with as many events as there are, and definitions by their hashes."""
        manifest = _parsed(files.get("manifest.json", b""))
        if not isinstance(manifest, dict):
            return files
        hashes = {
            name: hashlib.sha256(raw).hexdigest()
            for name, raw in files.items()
            if name != "manifest.json"
        }
        count = sum(1 for line in files.get("events.jsonl", b"").split(b"\n") if line)
        return {
            **files,
            "manifest.json": json.dumps(
                {**manifest, "sha256": hashes, "events": count}
            ).encode(),
        }

    def check(self, raw: bytes) -> str:
        """Verify it and step through it."""
        return f"{super().check(raw)} {_stepped(raw)}"


class Receipts(_Evidence):
    """The target of receipts."""

    name = folder = "receipts"
    extension = ".json"

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Change a value in it, or some bytes."""
        value = _parsed(raw)
        if value is None or random.random() < 0.1:
            return mutate_bytes(raw, others, random)
        donors = [
            files
            for other in random.choices(others, k=2)
            if (files := _parsed(other)) is not None
        ]
        return json.dumps(mutate_json(value, donors or [value], WORDS, random)).encode()

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        """Return receipts with less in them."""
        return smaller_json(raw)

    def content(self, raw: bytes) -> Content:
        shown = json.loads(raw)["event"]
        if (
            shown.get("data") is None and shown.get("metadata") is None
        ):  # it proves that there was one, and not what
            sealed = [
                x
                for x in sealed_content().events
                if (x.stream, x.version) == (shown["stream"], shown["version"])
            ]
            same = [
                x
                for x in sealed
                if all(
                    getattr(x, name) == shown[name]
                    for name in ("type", "actor", "commit")
                )
            ]
            return Content(frozenset(same or [_nothing()]), {})
        return Content(frozenset([read_stored(shown)]), {})


def _nothing() -> Stored:
    return Stored("", 0, 0, 0, "", "", "", "", b"", b"")


def _renamed(name: str, random: Random) -> str:
    return random.choice(
        (
            f"{name}x",
            name.upper(),
            f"../{name}",
            f"/{name}",
            name.replace("0", "1"),
            "\u00e9",
            "a" * 300,
        )
    )


@lru_cache(maxsize=5_000)
def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _masked(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-f]{8,}|[0-9]+", "_", text)[:100]


def _stored(capsule: Capsule) -> frozenset[Stored]:
    return frozenset(event.stored(capsule.run) for event in capsule.events)


def _stepped(raw: bytes) -> str:
    """Go through a capsule as `runs open` does."""
    try:
        steps = Steps(unpack(raw))
        for version in range(1, len(steps) + 1):
            steps.shown(version)
        steps.resting()
        steps.components()
    except OpenAgentsError as error:
        return f"{type(error).__name__} {_masked(str(error))}"
    return " ".join(sorted({event.type for event in steps.events}))


@lru_cache(maxsize=1)
def trusted() -> Mapping[str, bytes]:
    """Return the public keys that the kept files were signed with."""
    return read_keys(sorted(KEYS.glob("*.pub"))) or {}


@lru_cache(maxsize=1)
def sealed_content() -> Content:
    """Return what all kept files say that were never changed; their names begin with "whole"."""
    events: set[Stored] = set()
    payloads: dict[str, bytes] = {}
    for kind in (Exports(), Capsules()):
        for path in sorted((SEEDS / kind.name).glob("whole*")):
            content = kind.content(path.read_bytes())
            events |= content.events
            payloads |= dict(content.payloads)
    return Content(frozenset(events), payloads)


@lru_cache(maxsize=1)
def ledgers() -> Mapping[str, frozenset[Stored]]:
    """Return the events of each ledger of which there is an export that was never changed."""
    by_name = {}
    for path in sorted((SEEDS / "exports").glob("whole*")):
        raw = path.read_bytes()
        by_name[json.loads((members(raw) or {})["ledger.json"])["ledger"]] = (
            Exports().content(raw).events
        )
    return by_name
