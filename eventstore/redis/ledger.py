"""Where the ledger is kept, beside the log that it vouches for; the layout is described in lua/seal.lua."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)
from eventstore.redis.grouping import PAGE, groups
from eventstore.redis.stored_texts import number_of, raw_of, text_of, texts_of

LEAF_BYTES: Final = 32
SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it is stored: payload and metadata as bytes, metadata empty where there is none."""

    stream: str
    version: int
    n: int
    time_ms: int
    commit: str
    actor: str
    cause: str
    type: str
    data: bytes
    metadata: bytes = b""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A commit in the log: the position and time of its last event, its stream, its first and last version."""

    n: int
    time_ms: int
    stream: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class LedgerPosition:
    """How far the ledger of a partition has come; `epoch` is the open one, and `first` its first position.

    `chain` and `previous` are hexadecimal, empty at the beginning.
    """

    head: int
    checkpoint: int
    erasures: int
    epoch: int
    first: int
    chain: str
    previous: str


@dataclass(frozen=True, slots=True)
class Epoch:
    """A closed epoch: its number, its record as it was signed, and the signature."""

    number: int
    record: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """What is written at once: leaves and salts of the events up to `to`, and the record if that closes the epoch.

    `last` is the last event that was read: if it is not there any more, what was read is not either.
    """

    to: int
    chain: str
    leaves: bytes
    salts: bytes
    closed: Epoch | None = None
    closed_hash: str = ""
    last: Stored | None = None


class LedgerStore:
    """Reads events as they are stored, and keeps what the ledger says of them."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._keys = store.keys
        self.partitions = store.keys.partitions
        self._seal = Script("seal", load_text("seal.lua"))
        self._read = Script("view_read", load_text("view_read.lua"))

    # -- whose ledger --------------------------------------------------------------------------------------

    def identity(self) -> dict[str, bytes]:
        """Return the ledger's own record: `id`, and "key:<id>" -> public key; empty when the store has no ledger."""
        return texts_of(
            self._store.call([PlainCall((b"HGETALL", self._keys.audit()))])[0]
        )

    def begin(self, ledger: str) -> str:
        """Begin a ledger unless there is one, and give the id of the one that there is."""
        name = self._keys.audit()
        reply = self._store.call(
            [
                essential(b"HSETNX", name, b"id", ledger),
                PlainCall((b"HGET", name, b"id")),
            ]
        )
        return str(reply[1].decode())

    def keep_statement(self, statement: bytes, signature: bytes) -> None:
        """Keep what was signed last of all partitions together."""
        fields = (b"statement", statement, b"statement_signature", signature)
        self._store.call([essential(b"HSET", self._keys.audit(), *fields)])

    def add_key(self, key_id: str, public: bytes) -> None:
        """Enter a public key."""
        self._store.call(
            [essential(b"HSET", self._keys.audit(), f"key:{key_id}", public)]
        )

    # -- sealing -------------------------------------------------------------------------------------------

    def places(self, partitions: Sequence[int]) -> list[LedgerPosition]:
        """Return how far the ledger has come in partitions."""
        calls: list[Call] = []
        for p in partitions:
            calls.append(PlainCall((b"HMGET", self._keys.meta(p), b"n", b"erasures")))
            calls.append(PlainCall((b"HGET", self._keys.checkpoints(p), b"ledger")))
            calls.append(
                PlainCall(
                    (
                        b"HMGET",
                        self._keys.ledger(p, "state"),
                        b"epoch",
                        b"first",
                        b"chain",
                        b"previous",
                    )
                )
            )
        replies = iter(self._store.call(calls))
        out = []
        for _ in partitions:
            (n, erasures), at, (epoch, first, chain, previous) = (
                next(replies),
                next(replies),
                next(replies),
            )
            texts = ((chain or b"").decode(), (previous or b"").decode())
            numbers = (
                int(n or 0),
                int(at or 0),
                int(erasures or 0),
                int(epoch or 1),
                int(first or 1),
            )
            out.append(LedgerPosition(*numbers, *texts))
        return out

    def read(
        self, positions: Sequence[tuple[int, int]], limit: int
    ) -> list[tuple[int, list[Stored]]]:
        """Read the events behind (partition, position) as they are stored, and say how far each was read."""
        calls = [
            ScriptCall(
                self._read, [self._keys.meta(p), self._keys.log(p)], [after, limit]
            )
            for p, after in positions
        ]
        replies = self._store.call(calls)
        return [
            (int(to), [_stored(flat[i : i + 10]) for i in range(0, len(flat), 10)])
            for to, _, *flat in replies
        ]

    def seal(self, partition: int, position: LedgerPosition, new_seal: Seal) -> bool:
        """Write what was made of a place; False when another was faster, or a payload was erased meanwhile."""
        closed = new_seal.closed
        record, signature = (closed.record, closed.signature) if closed else (b"", b"")
        names = [self._keys.meta(partition), self._keys.checkpoints(partition)]
        args = [
            position.checkpoint,
            new_seal.to,
            position.erasures,
            position.epoch,
            new_seal.chain,
            new_seal.leaves,
            new_seal.salts,
        ]
        last = (
            (b"", 0, b"")
            if new_seal.last is None
            else (
                raw_of(new_seal.last.stream),
                new_seal.last.version,
                raw_of(new_seal.last.commit),
            )
        )
        args += [record, signature, new_seal.closed_hash, *last]
        reply = self._store.call([ScriptCall(self._seal, names, args)])[0]
        return bool(reply[0] == 1)

    # -- reading back --------------------------------------------------------------------------------------

    def leaves(self, partition: int, epoch: int) -> bytes:
        """Return the leaves of an epoch, 32 bytes each."""
        return self._string(partition, f"leaves:{epoch}")

    def salts(self, partition: int, epoch: int) -> bytes:
        """Return the salts of an epoch, 16 bytes each."""
        return self._string(partition, f"salts:{epoch}")

    def _string(self, partition: int, part: str) -> bytes:
        return (
            self._store.call([PlainCall((b"GET", self._keys.ledger(partition, part)))])[
                0
            ]
            or b""
        )

    def epochs(self, partition: int) -> list[Epoch]:
        """Return the closed epochs of a partition, oldest first."""
        names = [
            self._keys.ledger(partition, part) for part in ("epochs", "signatures")
        ]
        records, signatures = (
            texts_of(x)
            for x in self._store.call([PlainCall((b"HGETALL", n)) for n in names])
        )
        numbers = sorted(map(int, filter(_plain, records)))
        return [Epoch(e, records[str(e)], signatures.get(str(e), b"")) for e in numbers]

    def erased(self, partition: int) -> dict[int, bytes]:
        """Return the commitments to payloads that are no more, by position."""
        reply = texts_of(
            self._store.call(
                [PlainCall((b"HGETALL", self._keys.ledger(partition, "erased")))]
            )[0]
        )
        return {int(n): commitment for n, commitment in reply.items() if _plain(n)}

    def log(self, partition: int) -> Iterator[LogEntry]:
        """Read the log of a partition, page by page."""
        start = b"-"
        while True:
            call = PlainCall(
                (b"XRANGE", self._keys.log(partition), start, b"+", b"COUNT", PAGE)
            )
            page = self._store.call([call])[0]
            yield from (_log_entry(identity, fields) for identity, fields in page)
            if len(page) < PAGE:
                return
            start = b"(" + page[-1][0]

    def streams(self) -> dict[int, list[str]]:
        """Return the names of all streams by partition; walks the whole keyspace."""
        names_by_partition: dict[int, list[str]] = {}
        prefix = f"{self._keys.prefix}:{{"
        middle = "}:run:"
        for raw in self._store.scan(f"{self._keys.prefix}:{{*}}:run:*".encode()):
            head, _, name = text_of(raw).partition(middle)
            if _plain(head.removeprefix(prefix)):
                names_by_partition.setdefault(
                    int(head.removeprefix(prefix)), []
                ).append(name)
        return {
            partition: sorted(names) for partition, names in names_by_partition.items()
        }

    def each_event(self, streams: Iterable[str], page: int = PAGE) -> Iterator[Stored]:
        """Read the events of streams as they are stored, one stream after the other, about a page at a time."""
        for group in groups(self._store, streams, page):
            asked = [
                min(length + 1, page) for _, length in group
            ]  # one more tells whether more has come
            calls = [
                PlainCall(
                    (b"XRANGE", self._keys.stream(name), b"-", b"+", b"COUNT", most)
                )
                for (name, _), most in zip(group, asked, strict=True)
            ]
            for (name, _), most, entries in zip(
                group, asked, self._store.call(calls), strict=True
            ):
                yield from (stored_entry(name, entry) for entry in entries)
                if len(entries) == most:
                    yield from self._rest(name, entries[-1][0], page)

    def _rest(self, stream: str, after: bytes, page: int) -> Iterator[Stored]:
        """Read what is behind an entry of a stream, page by page."""
        while True:
            call = PlainCall(
                (
                    b"XRANGE",
                    self._keys.stream(stream),
                    b"(" + after,
                    b"+",
                    b"COUNT",
                    page,
                )
            )
            [entries] = self._store.call([call])
            yield from (stored_entry(stream, entry) for entry in entries)
            if len(entries) < page:
                return
            after = entries[-1][0]

    def blob(self, partition: int, sha: str) -> bytes | None:
        """Read a payload that is stored beside the log."""
        payload: bytes | None = self._store.call(
            [PlainCall((b"GET", self._keys.blob(partition, sha)))]
        )[0]
        return payload

    def partition_of(self, stream: str) -> int:
        """Return the partition of a stream."""
        return self._keys.partition_of(stream)


def stored_entry(stream: str, entry: tuple[bytes, Sequence[bytes]]) -> Stored:
    """Read a stream entry as it is; one that was not written by this engine has whatever fields it has."""
    identity, flat = entry
    f = dict(zip(flat[::2], flat[1::2], strict=False))
    commit, actor, cause, kind = (
        text_of(f.get(name, b"")) for name in (b"c", b"a", b"y", b"t")
    )
    version, _, rest = identity.partition(b"-")
    odd = text_of(b"-" + rest) if rest != b"0" else ""
    n, time_ms = (number_of(f.get(name, b"")) for name in (b"n", b"m"))
    data = f.get(b"d", b"")
    metadata = f.get(b"x", b"")
    return Stored(
        stream=stream + odd,
        version=int(version),
        n=n,
        time_ms=time_ms,
        commit=commit,
        actor=actor,
        cause=cause,
        type=kind,
        data=data,
        metadata=metadata,
    )


def _plain(name: str) -> bool:
    """Tell whether a name is a number, written as this engine does."""
    return (
        name.isascii()
        and name.isdecimal()
        and len(name) < 20
        and str(int(name)) == name
    )


def _stored(f: Sequence[Any]) -> Stored:
    stream, version, n, time_ms, actor, kind, data, commit, cause, metadata = f
    who = text_of(actor), text_of(cause)
    return Stored(
        text_of(stream),
        int(version),
        int(n),
        int(time_ms),
        text_of(commit),
        *who,
        text_of(kind),
        data,
        metadata,
    )


def _log_entry(identity: bytes, fields: Sequence[bytes]) -> LogEntry:
    n, _, time_ms = identity.partition(b"-")
    f = dict(zip(fields[::2], fields[1::2], strict=False))
    return LogEntry(
        n=int(n),
        time_ms=int(time_ms),
        stream=text_of(f.get(b"r", b"")),
        first=number_of(f.get(b"f", b"")),
        last=number_of(f.get(b"l", b"")),
    )
