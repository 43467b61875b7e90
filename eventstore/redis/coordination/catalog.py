"""The stream of the catalog, and beside it what each name has come to; both are written by one script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from eventstore.codec import parse_entry
from eventstore.event import Recorded
from eventstore.keys import CATALOG
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    load_text,
)
from eventstore.redis.stored_texts import pairs_of

STREAM: Final = "catalog"
"""The stream that holds the events of all names: one order for all of them, in a partition of its own."""

AT_ONCE: Final = 250
"""So many names are written in one call: a server answers nobody else meanwhile."""

PAGE: Final = 500


class Place(NamedTuple):
    """Where an event of a name is: its version in the stream, and when it was stored."""

    version: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class StoredName:
    """A name as it is stored: where its events are, and its entry, None for a name that there is not."""

    positions: tuple[Place, ...] = ()
    entry: bytes | None = None

    @property
    def revision(self) -> int:
        """Return the version of its last event, 0 for none."""
        return self.positions[-1].version if self.positions else 0


@dataclass(frozen=True, slots=True)
class NameChange:
    """Events of a name, and its entry behind them; `revision` is that of the name on which they were decided.

    `words`, with spaces between them, are what it may be found by.
    """

    name: str
    revision: int
    entry: bytes
    events: Sequence[tuple[str, bytes]]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """Names at one moment: the position of the catalog, its events since another one, and some names as they are.

    `since` is None where there may be more than were read.
    """

    position: int
    since: tuple[Recorded, ...] | None
    names: tuple[StoredName, ...]


class CatalogStore:
    """Reads and writes names of the catalog; each call is one round trip unless it says otherwise."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script("catalog", load_text("catalog.lua"))
        self._anew = Script("catalog_name", load_text("catalog_name.lua"))
        keys = store.keys
        self._stream, self._head = keys.of_run(CATALOG, STREAM)
        self._names = keys.catalog()
        self._by_name, self._words = keys.catalog("names"), keys.catalog("words")
        self._written = [
            keys.meta(CATALOG),
            keys.log(CATALOG),
            self._stream,
            self._head,
            self._names,
            self._by_name,
            self._words,
        ]

    def look(self, names: Sequence[str], since: int) -> Look:
        """Read the position of the catalog, its events since another one, and some names."""
        # The position first: what is read behind it is at least as new, and one that changes meanwhile is read again.
        calls = [
            PlainCall((b"HGET", self._head, b"v")),
            PlainCall(
                (b"XRANGE", self._stream, b"(%d-0" % since, b"+", b"COUNT", PAGE)
                if since
                else (b"XLEN", self._stream)
            ),
        ]
        if names:
            calls.append(PlainCall((b"HMGET", self._names, *map(_bytes, names))))
        version, entries, *asked = self._store.call(calls)
        events: tuple[Recorded, ...] | None = None
        if since and len(entries) < PAGE:
            events = tuple(_recorded(entries))
        stored = tuple(map(_stored, asked[0])) if asked else ()
        return Look(int(version or 0), events, stored)

    def behind(self, calls: Sequence[Call], name: str) -> tuple[list[Any], StoredName]:
        """Carry out calls of others, and read a name as it is behind them: their replies, and the name."""
        reading = PlainCall((b"HGET", self._names, _bytes(name)))
        *replies, stored = self._store.call([*calls, reading])
        return replies, _stored(stored)

    def commit(
        self, changes: Sequence[NameChange], *, commit_id: str, actor: str, cause: str
    ) -> list[dict[str, StoredName]]:
        """Write changes of names, some at a time; gives for each part of them the names with which others were first.

        Of such a part nothing is written.
        """
        parts = [changes[i : i + AT_ONCE] for i in range(0, len(changes), AT_ONCE)]
        calls = [
            self._call(part, (f"{commit_id}.{number}", actor, cause))
            for number, part in enumerate(parts)
        ]
        return [_conflicts(reply) for reply in self._store.call(calls)]

    def _call(
        self, part: Sequence[NameChange], who: tuple[str, str, str]
    ) -> ScriptCall:
        args: list[Any] = [*map(_bytes, who), STREAM]
        for change in part:
            args += [_bytes(change.name), change.revision, change.entry]
            args += [_bytes(change.words), len(change.events)]
            args += [text for event in change.events for text in event]
        return ScriptCall(self._script, self._written, args)

    def read(self, versions: Sequence[int]) -> list[Recorded]:
        """Read the events of some versions."""
        calls = [
            PlainCall((b"XRANGE", self._stream, b"%d-0" % version, b"%d-0" % version))
            for version in versions
        ]
        replies = self._store.call(calls) if calls else []
        entries = [entry for reply in replies for entry in reply]
        return _recorded(entries)

    def all_events(self) -> Iterator[Recorded]:
        """Read all events of the catalog, oldest first, a page in a round trip."""
        start = b"-"
        while True:
            call = PlainCall((b"XRANGE", self._stream, start, b"+", b"COUNT", PAGE))
            [entries] = self._store.call([call])
            yield from _recorded(entries)
            if len(entries) < PAGE:
                return
            start = b"(" + entries[-1][0]

    def entries_as_stored(self) -> Iterator[tuple[str, bytes]]:
        """Read all names with what is stored of them, readable or not, a page in a round trip."""
        cursor = b"0"
        while True:
            call = PlainCall((b"HSCAN", self._names, cursor, b"COUNT", PAGE))
            cursor, flat = self._store.call([call])[0]
            for name, stored in pairs_of(flat):
                yield _text(name), stored
            if int(cursor) == 0:
                return

    def as_stored(self, names: Sequence[str]) -> list[bytes | None]:
        """Read what is stored of some names."""
        if not names:
            return []
        call = PlainCall((b"HMGET", self._names, *map(_bytes, names)))
        stored: list[bytes | None] = self._store.call([call])[0]
        return stored

    def write_anew(
        self, name: str, read: bytes | None, due: StoredName, words: Sequence[str]
    ) -> bool:
        """Write a name as its events have it; False when it is no longer what was read."""
        keys = [self._names, self._by_name, self._words]
        args = [_bytes(name), read or b"", as_stored(due), *map(_bytes, words)]
        [written] = self._store.call([ScriptCall(self._anew, keys, args)])
        return bool(written)

    def beginning(self, prefix: str, most: int, behind: str = "") -> list[str]:
        """Return the names that begin with something, in their order; `behind` one of them."""
        return self._range(self._by_name, prefix, most, behind)

    def words(self, prefixes: Sequence[str], most: int) -> list[list[str]]:
        """Return the words that begin with each of some texts, some of them where they are many."""
        calls = [_range_call(self._words, prefix, most, "") for prefix in prefixes]
        replies = self._store.call(calls) if calls else []
        return [list(map(_text, reply)) for reply in replies]

    def _range(self, key: bytes, prefix: str, most: int, behind: str) -> list[str]:
        [reply] = self._store.call([_range_call(key, prefix, most, behind)])
        return list(map(_text, reply))


def as_stored(name: StoredName) -> bytes:
    """Return how a name is stored, b"" for one that there is not."""
    if name.entry is None:
        return b""
    positions = b",".join(b"%d@%d" % position for position in name.positions)
    return positions + b"|" + name.entry


def _recorded(entries: Iterable[Any]) -> list[Recorded]:
    return [parse_entry(STREAM, CATALOG, entry) for entry in entries]


def _range_call(key: bytes, prefix: str, most: int, behind: str) -> PlainCall:
    begin = _bytes(prefix)
    low = b"(" + _bytes(behind) if behind else b"[" + begin
    # No text in UTF-8 has this byte, so that it stands behind all that begin alike.
    limit = (b"LIMIT", 0, most)
    return PlainCall((b"ZRANGEBYLEX", key, low, b"(" + begin + b"\xff", *limit))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _stored(raw: bytes | None) -> StoredName:
    if not raw:
        return StoredName()
    positions, _, entry = raw.partition(b"|")
    pairs = (pair.split(b"@") for pair in positions.split(b","))
    try:
        return StoredName(tuple(Place(int(v), int(ms)) for v, ms in pairs), entry)
    except ValueError:
        return StoredName((), b"")  # no entry can be read from this


def _conflicts(reply: Sequence[Any]) -> dict[str, StoredName]:
    if reply[0] > 0:
        return {}
    flat = reply[1]
    return {
        _text(name): _stored(raw)
        for name, raw in zip(flat[::2], flat[1::2], strict=True)
    }


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
