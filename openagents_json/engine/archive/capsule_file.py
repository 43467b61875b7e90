"""The file of a capsule: a zip whose manifest names every other member with its hash; `capsule_writer` makes it.

What is read was written by others: whatever is wrong with it, in whatever way, is CapsuleUnreadable.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, TypeVar, cast

from eventstore import codec
from eventstore.errors import TooLarge
from eventstore.event import Json
from eventstore.redis.raw import RawEvent
from eventstore.zip_reader import DAMAGE, MOST_BYTES, MOST_LINE, Unpacking
from openagents_json.engine.errors import CapsuleUnreadable
from openagents_json.errors import file_errors

FORMAT: Final = "openagents-capsule/1"
MANIFEST: Final = "manifest.json"
EVENTS: Final = "events.jsonl"
COMPONENTS: Final = "components.json"
PROOFS: Final = "proofs.json"
DEFINITIONS: Final = "definitions/"
PAYLOADS: Final = "blobs/"
MOST_MEMBERS: Final = 200_000
RATIO: Final = 200
"""A large member that would shrink by more is stored as it is, so a smaller one that grows by more is no capsule's."""

LARGE: Final = 1024**2
_WHENCE: Final = "name a file with an exported run"
MOST_MS: Final = 2**53

_MEMBER: Final = re.compile(
    r"manifest\.json|events\.jsonl|components\.json|proofs\.json|definitions/[0-9a-f]{64}\.json|blobs/[0-9a-f]{64}"
)
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Capsule:
    """A run in one value: its history as the store had it, and all that this refers to, by hash.

    `manifest` says what it is and where it comes from, `components` is what its definitions are bound to, and `sha256`
    is the hash of the file that it was read from.
    """

    manifest: Mapping[str, Json]
    events: tuple[RawEvent, ...]
    definitions: Mapping[str, bytes]
    blobs: Mapping[str, bytes]
    components: Json
    proofs: bytes | None = None
    sha256: str = field(default="", compare=False)

    @property
    def run(self) -> str:
        """Return the id of the run."""
        return str(self.manifest["run"])

    @property
    def status(self) -> str:
        """Return the status that the run had."""
        return str(self.manifest["status"])

    @property
    def source(self) -> str:
        """Name the store that it comes from."""
        return str(self.manifest["store"])


def is_capsule(path: Path) -> bool:
    """Tell whether a zip file claims to be a capsule."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except DAMAGE:
        return False


# -- reading ---------------------------------------------------------------------------------------------


def unpack(source: bytes | Path | IO[bytes], *, limit: int = MOST_BYTES) -> Capsule:
    """Read a capsule, of which no more than `limit` bytes are unpacked, and check every hash in it.

    It is gone through piece by piece first; what is held then are its events and definitions. Payloads are read one by
    one when they are asked for, so a file has to stay as it is until then. Raises CapsuleUnreadable
    and FileUnusable.
    """
    with (
        file_errors(source if isinstance(source, Path) else "the capsule", _WHENCE),
        _opened(source) as file,
    ):
        begins = file.read(2) == b"PK"
        file.seek(0)
        sha256 = _sha256(iter(lambda: file.read(LARGE), b""))
    if not begins:
        raise CapsuleUnreadable("it is no zip file")
    file_or_path = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        return _read(file_or_path, sha256, limit)
    except CapsuleUnreadable:
        raise
    except TooLarge as error:
        raise CapsuleUnreadable(str(error)) from error
    except DAMAGE as error:
        raise CapsuleUnreadable(f"{type(error).__name__}: {error}") from error


def _opened(source: bytes | Path | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    """Open what is to be read from its beginning; a file that is open already stays so."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, Path):
        return source.open("rb")
    source.seek(0)
    return nullcontext(source)


def _read(source: IO[bytes] | Path, sha256: str, limit: int) -> Capsule:
    archive = zipfile.ZipFile(source)
    _check_sizes(archive.infolist(), limit)
    names = archive.namelist()
    if MANIFEST not in names:
        raise CapsuleUnreadable("it has no manifest.json")
    unpacking = Unpacking(archive, limit)
    manifest = _manifest(unpacking.read(MANIFEST))
    hashes = manifest.pop("sha256")
    # All hashes are checked before anything of it is believed.
    _check_hashes(hashes, archive, limit)
    for name in (EVENTS, COMPONENTS):
        if name not in names:
            raise CapsuleUnreadable(f"it has no {name}")
    _check_names(manifest["run"], hashes)
    events = tuple(_events(unpacking.lines(EVENTS, MOST_LINE)))
    _check_span(manifest, events)
    definitions = {
        sha: unpacking.read(name) for sha, name in _definition_names(names).items()
    }
    components = _json(unpacking.read(COMPONENTS), COMPONENTS)
    proofs = unpacking.read(PROOFS) if PROOFS in names else None
    return Capsule(
        manifest=manifest,
        events=events,
        definitions=definitions,
        blobs=Payloads(archive, limit),
        components=components,
        proofs=proofs,
        sha256=sha256,
    )


def _definition_names(names: Iterable[str]) -> dict[str, str]:
    """Return the members that are definitions, by the hash in their name."""
    return {
        name.removeprefix(DEFINITIONS).removesuffix(".json"): name
        for name in names
        if name.startswith(DEFINITIONS)
    }


def _payload_names(names: Iterable[str]) -> dict[str, str]:
    """Return the members that are payloads, by the hash in their name."""
    return {
        name.removeprefix(PAYLOADS): name for name in names if name.startswith(PAYLOADS)
    }


class Payloads(Mapping[str, bytes]):
    """The payloads of a capsule by their SHA-256, read when they are asked for, and checked then as well."""

    def __init__(self, archive: zipfile.ZipFile, limit: int) -> None:
        self._archive = archive
        self._limit = limit
        self._names = _payload_names(archive.namelist())

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, sha: object) -> bool:
        return sha in self._names

    def __getitem__(self, sha: str) -> bytes:
        name = self._names[sha]
        try:
            raw = Unpacking(self._archive, self._limit).read(name)
        except DAMAGE as error:
            raise CapsuleUnreadable(
                f"{name}: {type(error).__name__}: {error}"
            ) from error
        if hashlib.sha256(raw).hexdigest() != sha:
            raise CapsuleUnreadable(f"{name} was changed while it was read")
        return raw


def _check_sizes(members: Iterable[zipfile.ZipInfo], limit: int) -> None:
    """Refuse, before anything is unpacked, what has no place in a capsule or would fill the memory."""
    names: set[str] = set()
    total = 0
    for member in members:
        if member.filename in names:
            raise CapsuleUnreadable(f"it has {member.filename} twice")
        _check_member(member)
        names.add(member.filename)
        total += member.file_size
        if total > limit or len(names) > MOST_MEMBERS:
            raise CapsuleUnreadable(
                f"it holds more than {limit} bytes or {MOST_MEMBERS} members, the most that is read"
            )


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not _MEMBER.fullmatch(name):
        raise CapsuleUnreadable(
            f"it has a member {name[:80]!r}, which has no place in it"
        )
    encrypted = member.flag_bits & 1
    if encrypted or member.compress_type not in _COMPRESSIONS:
        raise CapsuleUnreadable(f"{name} is packed in a way that capsules are not")
    # What its directory says is checked, not what comes out of it: `Unpacking` counts that.
    most = (RATIO + 50) * max(1, member.compress_size)
    if member.file_size > max(LARGE, most):
        raise CapsuleUnreadable(
            f"{name} would grow from {member.compress_size} to {member.file_size} bytes"
        )


def _manifest(raw: bytes) -> dict[str, Any]:
    manifest = _json(raw, MANIFEST)
    kind = manifest.get("format") if isinstance(manifest, dict) else None
    if kind != FORMAT:
        raise CapsuleUnreadable(
            f"its format is {kind!r}, not {FORMAT!r}: a newer version of the engine wrote it?"
        )
    for name in ("run", "workflow", "version", "status", "store", "exported_by"):
        _of(str, manifest, name, MANIFEST)
    for name in ("events", "exported_ms"):
        _of(int, manifest, name, MANIFEST)
    _of(dict, manifest, "sha256", MANIFEST)
    if not _RUN.fullmatch(manifest["run"]):
        raise CapsuleUnreadable(f"{manifest['run'][:80]!r} is no id of a run")
    return cast("dict[str, Any]", manifest)


def _check_hashes(
    hashes: Mapping[str, Any], archive: zipfile.ZipFile, limit: int
) -> None:
    members = set(archive.namelist()) - {MANIFEST}
    if set(hashes) != members:
        odd = sorted(set(hashes) ^ members)
        raise CapsuleUnreadable(
            f"the manifest and the members differ: {', '.join(odd[:5])}"
        )
    unpacking = Unpacking(archive, limit)
    for name in archive.namelist():
        is_changed = (
            name != MANIFEST and _sha256(unpacking.pieces(name)) != hashes[name]
        )
        if is_changed:
            raise CapsuleUnreadable(f"{name} is not what the manifest says")


def _sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _check_names(run: str, hashes: Mapping[str, Any]) -> None:
    """Definitions and payloads are named by the hash that the manifest says, and that they have."""
    for sha, name in _definition_names(hashes).items():
        if hashes[name] != sha:
            raise CapsuleUnreadable(f"definition {sha} of run {run} is another one")
    for sha, name in _payload_names(hashes).items():
        if hashes[name] != sha:
            raise CapsuleUnreadable(f"payload {sha} of run {run} is another one")


def _events(lines: Iterable[bytes]) -> Iterable[RawEvent]:
    seen: set[str] = set()
    last = ""
    for number, line in enumerate(lines, 1):
        event = _event(line, f"event {number}")
        if event.version != number:
            raise CapsuleUnreadable(
                f"event {number} is missing (found {event.version})"
            )
        if event.commit != last and event.commit in seen:
            raise CapsuleUnreadable(
                f"commit {event.commit[:80]!r} is there twice, again with event {number}"
            )
        last = event.commit
        seen.add(last)
        yield event


def _event(line: bytes, where: str) -> RawEvent:
    members = _json(line, where)
    if not isinstance(members, dict):
        raise CapsuleUnreadable(f"{where} is none")
    version, n, time_ms = (
        _of(int, members, name, where) for name in ("version", "n", "time_ms")
    )
    commit, actor, cause, kind = (
        _of(str, members, name, where) for name in ("commit", "actor", "cause", "type")
    )
    numbers_fit = 0 <= n < MOST_MS and 0 <= time_ms < MOST_MS
    if not numbers_fit or not kind:
        raise CapsuleUnreadable(
            f"{where} has a time, a position or a type that no event has"
        )
    data = _bytes(members, "data", where)
    metadata = _bytes(members, "metadata", where)
    if data is None:
        raise CapsuleUnreadable(f"{where} has no data")
    return RawEvent(
        version=version,
        n=n,
        time_ms=time_ms,
        commit=commit,
        actor=actor,
        cause=cause,
        type=kind,
        data=data,
        metadata=metadata or b"",
    )


def _bytes(members: Mapping[str, Any], name: str, where: str) -> bytes | None:
    encoded = f"{name}_base64"
    if name in members and encoded in members:
        raise CapsuleUnreadable(f"{where} has {name} twice, as a text and in base64")
    if name in members:
        return _of(str, members, name, where).encode("utf-8", "surrogatepass")
    if encoded in members:
        return base64.b64decode(_of(str, members, encoded, where), validate=True)
    return None


def _check_span(manifest: Mapping[str, Any], events: tuple[RawEvent, ...]) -> None:
    if not events or manifest["events"] != len(events):
        raise CapsuleUnreadable(
            f"it should hold {manifest['events']} events, and holds {len(events)}"
        )


def _json(raw: bytes, where: str) -> Any:
    try:
        return codec.decode_foreign(raw.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise CapsuleUnreadable(f"{where} is no JSON: {error}") from error


def _of(kind: type[Kind], members: Mapping[str, Any], name: str, where: str) -> Kind:
    value = members.get(name)
    if type(value) is not kind:
        raise CapsuleUnreadable(f"{where} has no {name}, or one of another kind")
    return value
