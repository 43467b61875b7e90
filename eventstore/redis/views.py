"""Read models on Redis: the layout is described in lua/project.lua."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from eventstore import codec
from eventstore.event import Json
from eventstore.keys import CATALOG
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)
from eventstore.redis.stored_texts import pairs_of
from eventstore.store import ReadPosition
from eventstore.views import CHUNK, Batch, Loaded, Row, facet_name

_PAGE: Final = 1000


class RedisViewStore:
    """Views beside the log, in the slot of their partition."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._keys = store.keys
        self._project = _script("project")
        self._rows = _script("view_rows")
        self._seek = _script("view_seek")
        self._switch = _script("view_switch")
        self._generations = store.keys.views()

    def checkpoints(
        self, views: Sequence[str], partitions: Sequence[int]
    ) -> list[tuple[int, list[int]]]:
        """Return, for each partition, the position of its newest event, and the checkpoint of each view."""
        calls: list[Call] = []
        names = [f"view:{view}" for view in views] or ["view:"]
        for p in partitions:
            calls.append(PlainCall((b"HGET", self._keys.meta(p), b"n")))
            calls.append(PlainCall((b"HMGET", self._keys.checkpoints(p), *names)))
        replies = self._store.call(calls)
        heads = zip(replies[::2], replies[1::2], strict=True)
        return [
            (_number(n), [_number(x) for x in checkpoints][: len(views)])
            for n, checkpoints in heads
        ]

    def load(self, folds: Sequence[tuple[str, int, Sequence[str]]]) -> list[Loaded]:
        """Read what folds begin with."""
        calls: list[Call] = []
        for view, p, keys in folds:
            calls.append(
                PlainCall((b"HGET", self._keys.checkpoints(p), f"view:{view}"))
            )
            calls.append(PlainCall((b"HMGET", self._name(view, p, "next"), b"o", b"m")))
            documents = self._name(view, p, "docs")
            # A command needs a key: of nothing, one is asked for that is not there.
            raw_keys = [_bytes(key) for key in keys] or [b""]
            calls.append(PlainCall((b"HMGET", documents, *raw_keys)))
        replies = iter(self._store.call(calls))
        out = []
        for _, _, keys in folds:
            checkpoint = next(replies)
            ordinal, order = next(replies)
            raw_rows = zip(keys, next(replies), strict=False)
            rows = {key: _row(key, raw) for key, raw in raw_rows if raw is not None}
            loaded = Loaded(
                checkpoint=_number(checkpoint),
                next_ordinal=_number(ordinal),
                top_order=_number(order),
                rows=rows,
            )
            out.append(loaded)
        return out

    def save(self, changes: Sequence[tuple[str, int, Batch]]) -> list[bool | None]:
        """Store what folds came to, each with its checkpoint in one atomic step; None where a count cannot be added."""
        calls = [
            ScriptCall(
                self._project,
                [self._keys.meta(p), self._keys.checkpoints(p)],
                _arguments(view, batch),
            )
            for view, p, batch in changes
        ]
        return [
            None if reply[0] == -3 else reply[0] == 1
            for reply in self._store.call(calls)
        ]

    def facets(
        self, view: str, chunks: Sequence[tuple[int, int, Sequence[str]]]
    ) -> list[list[int]]:
        """Read sets of an index as integers."""
        asked = [chunk for chunk in chunks if chunk[2]]
        calls = [self._sets(view, *chunk) for chunk in asked]
        replies = iter(self._store.call(calls))
        return [
            [_bits(raw) for raw in next(replies)] if facets else []
            for _, _, facets in chunks
        ]

    def _sets(
        self, view: str, partition: int, chunk: int, facets: Sequence[str]
    ) -> PlainCall:
        parts = [f"f:{facet_name(facet)}:{chunk}" for facet in facets]
        names = [self._name(view, partition, part) for part in parts]
        return PlainCall((b"MGET", *names))

    def rows(
        self, view: str, partitions: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[Row]]:
        """Read documents by ordinal."""
        calls = [
            ScriptCall(self._rows, [self._keys.meta(p)], [view, *ordinals])
            for p, ordinals in partitions
        ]
        replies = self._store.call(calls)
        return [_rows(reply) for reply in replies]

    def seek(
        self, view: str, partitions: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[int]]:
        """Return the first ordinals with at least some orders."""
        calls: list[Call] = [
            ScriptCall(self._seek, [self._keys.meta(p)], [view, *orders])
            if orders
            else PlainCall((b"HMGET", self._name(view, p, "next"), b"o"))
            for p, orders in partitions
        ]
        return [
            [_number(ordinal) for ordinal in ordinals]
            for ordinals in self._store.call(calls)
        ]

    def get(self, view: str, documents: Sequence[tuple[int, str]]) -> list[Row | None]:
        """Read documents by key."""
        calls = [
            PlainCall((b"HGET", self._name(view, p, "docs"), _bytes(key)))
            for p, key in documents
        ]
        replies = self._store.call(calls)
        return [
            None if raw is None else _row(key, raw)
            for (_, key), raw in zip(documents, replies, strict=True)
        ]

    def documents(self, view: str, partition: int) -> Iterator[Row]:
        """Read all documents of a partition; one that changes meanwhile may come as it was or as it is."""
        cursor = b"0"
        name = self._name(view, partition, "docs")
        while True:
            cursor, flat = self._store.call(
                [PlainCall((b"HSCAN", name, cursor, b"COUNT", _PAGE))]
            )[0]
            for key, raw in pairs_of(flat):
                yield _row(_text(key), raw)
            if int(cursor) == 0:
                return

    def tally(self, view: str, partitions: Sequence[int]) -> list[dict[str, Json]]:
        """Read the counts and values of partitions."""
        calls = [
            PlainCall((b"HGETALL", self._name(view, p, "tally"))) for p in partitions
        ]
        return [_decoded(reply) for reply in self._store.call(calls)]

    def index_names(self, view: str) -> set[tuple[int, str, int]]:
        """Return every set of an index."""
        names = set()
        for name in self._store.scan(
            f"{self._keys.prefix}:{{*}}:view:{view}:f:*".encode()
        ):
            head, _, rest = _text(name).partition(f"}}:view:{view}:f:")
            facet, _, chunk = rest.rpartition(":")
            names.add((int(head.rpartition("{")[2]), facet, int(chunk)))
        return names

    def trouble(self, view: str, partition: int, what: Json) -> None:
        """Note why a view stands still in a partition; None when it goes on."""
        name = self._name(view, partition, "trouble")
        call: Call = PlainCall((b"DEL", name))
        if what is not None:
            call = essential(b"SET", name, codec.encode(what))
        self._store.call([call])

    def troubles(self, view: str, partitions: Sequence[int]) -> list[Json]:
        """Read why a view stands still, None where it does not."""
        calls = [
            PlainCall((b"GET", self._name(view, p, "trouble"))) for p in partitions
        ]
        return [
            None if raw is None else codec.decode(raw)
            for raw in self._store.call(calls)
        ]

    def generations(self) -> dict[str, int]:
        """Return the generation of each projection that readers use, and those being built."""
        reply = self._store.call([PlainCall((b"HGETALL", self._generations))])[0]
        return {_text(name): int(number) for name, number in pairs_of(reply)}

    def begin_generation(self, name: str, generation: int) -> int:
        """Enter a generation unless there is one; gives the one that is there."""
        calls: list[Call] = [
            essential(b"HSETNX", self._generations, name, generation),
            PlainCall((b"HGET", self._generations, name)),
        ]
        return int(self._store.call(calls)[1])

    def switch_generation(self, projection: str, generation: int) -> bool:
        """Let readers use the generation that was being built."""
        call = ScriptCall(self._switch, [self._generations], [projection, generation])
        return bool(self._store.call([call])[0])

    def drop(self, view: str, *, after_ms: int = 0) -> None:
        """Remove a view from all partitions, now or later; walks the whole keyspace.

        Its checkpoints stay until it has gone: who reads it meanwhile would fold all of the log into it once more.
        """
        pattern = f"{self._keys.prefix}:{{*}}:view:{view}:*"
        end = (b"PEXPIRE", after_ms) if after_ms else (b"UNLINK",)
        calls: list[Call] = [
            PlainCall((end[0], name, *end[1:]))
            for name in self._store.scan(pattern.encode())
        ]
        if not after_ms:
            partitions = (*range(self._keys.partitions), CATALOG)
            checkpoints = map(self._keys.checkpoints, partitions)
            calls += [
                PlainCall((b"HDEL", name, f"view:{view}")) for name in checkpoints
            ]
        self._store.call(calls)

    def _name(self, view: str, partition: int, part: str) -> bytes:
        return self._keys.view(partition, f"{view}:{part}")


def _script(name: str) -> Script:
    return Script(name, load_text(f"{name}.lua"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _number(raw: bytes | None) -> int:
    """Return a stored number, 0 where none is stored."""
    return int(raw or 0)


def _decoded(reply: Any) -> dict[str, Json]:
    return {_text(name): codec.decode(raw) for name, raw in pairs_of(reply)}


def _row(key: str, raw: bytes) -> Row:
    ordinal, order, document = codec.decode(raw)
    return Row(key, document, ordinal, order)


def _rows(reply: Sequence[bytes]) -> list[Row]:
    """Return the documents of a reply, which names some that are gone meanwhile."""
    return [_row(_text(key), raw) for key, raw in pairs_of(reply) if raw]


def _bits(raw: bytes | None) -> int:
    """Return a stored set as an integer; in a string of bits, the first ordinal is the first byte's highest bit."""
    if not raw:
        return 0
    if raw[:1] == b"b":
        return int.from_bytes(raw[1:].ljust(CHUNK // 8, b"\0"), "big")
    ordinals: tuple[int, ...] = struct.unpack(f">{len(raw) // 2}H", raw[1:])
    first = min(ordinals) >> 3
    last = max(ordinals) >> 3
    bits = bytearray(last - first + 1)
    for i in ordinals:
        bits[(i >> 3) - first] |= 0x80 >> (i & 7)
    shift: int = 8 * (CHUNK // 8 - 1 - last)
    return int.from_bytes(bits, "big") << shift


def _arguments(view: str, batch: Batch) -> list[Any]:
    time_ms: int | bytes = b""
    if isinstance(batch.to, ReadPosition) and batch.to.time_ms is not None:
        time_ms = batch.to.time_ms
    args: list[Any] = [
        view,
        batch.after,
        int(batch.to),
        time_ms,
        batch.next_ordinal,
        batch.top_order,
        len(batch.rows),
    ]
    for key, row in batch.rows.items():
        args += (_bytes(key), codec.encode([row.ordinal, row.order, row.document]))
    args += [
        len(batch.removed),
        *(_bytes(key) for key in batch.removed),
        len(batch.counts),
    ]
    for name, delta in batch.counts.items():
        args += (_bytes(name), delta)
    for values in (batch.values, batch.firsts):
        args.append(len(values))
        for name, value in values.items():
            args += (_bytes(name), codec.encode(value))
    args.append(len(batch.fresh))
    for ordinal, key in batch.fresh.items():
        args += (ordinal, _bytes(key))
    args += [len(batch.gone), *batch.gone, len(batch.members)]
    for (facet, ordinal), present in batch.members.items():
        args += (facet_name(facet), ordinal, int(present))
    return args
