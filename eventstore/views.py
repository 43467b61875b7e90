"""The port: where read models are kept. A view is documents under keys, counts, and an index of the documents.

All of a view is kept for each partition by itself, beside the checkpoint that says which events are in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from eventstore.event import Json

CHUNK: Final = 65536
"""How many ordinals share a set of an index."""

MOST: Final = 2**53
"""How far a count may go, up or down."""

_PLAIN: Final = re.compile(r"[\x21-\x39\x3b-\x7e]{1,64}")


@dataclass(frozen=True, slots=True)
class Row:
    """A document of a view.

    Documents of a view with an index are numbered in the order in which they came; `order` is what they are sorted by,
    and never falls from one ordinal to the next. Without an index, both are -1.
    """

    key: str
    document: Json
    ordinal: int = -1
    order: int = -1


@dataclass(slots=True)
class Batch:
    """What the events after position `after` up to `to` change in a view; where that is a `Place`, while it is there.

    `fresh` and `gone` are ordinals that have a document now, or none any more; `members` says of (facet, ordinal)
    whether it is in the index.
    """

    after: int
    to: int
    next_ordinal: int = 0
    top_order: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    gone: dict[int, None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, Json] = field(default_factory=dict)
    firsts: dict[str, Json] = field(default_factory=dict)
    fresh: dict[int, str] = field(default_factory=dict)
    members: dict[tuple[str, int], bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a fold begins with: the checkpoint, the next ordinal, the highest order so far, and some documents."""

    checkpoint: int
    next_ordinal: int
    top_order: int
    rows: Mapping[str, Row]


def facet_name(facet: str) -> str:
    """Return a facet as it is stored: as it is, or its hash when it is long or not plain."""
    if _PLAIN.fullmatch(facet):
        return facet
    return "#" + hashlib.sha256(facet.encode("utf-8", "surrogatepass")).hexdigest()[:40]


class ViewStore(Protocol):
    """Keeps views; each call is one round trip unless it says otherwise."""

    def checkpoints(
        self, views: Sequence[str], partitions: Sequence[int]
    ) -> list[tuple[int, list[int]]]:
        """Return, for each partition, the position of its newest event, and the checkpoint of each view."""
        ...

    def load(self, requests: Sequence[tuple[str, int, Sequence[str]]]) -> list[Loaded]:
        """Read what folds begin with: (view, partition, keys) each."""
        ...

    def save(self, changes: Sequence[tuple[str, int, Batch]]) -> list[bool | None]:
        """Store what folds came to, each with its checkpoint in one atomic step; False where another was faster.

        None where a count cannot be added: what is there is no whole number, or it would be larger than `MOST`.
        """
        ...

    def facets(
        self, view: str, requests: Sequence[tuple[int, int, Sequence[str]]]
    ) -> list[list[int]]:
        """Read sets of an index, (partition, chunk, facets) each.

        A set is an integer: bit `CHUNK - 1 - i` stands for the i-th ordinal of the chunk, so the lowest bit is the
        newest document.
        """
        ...

    def rows(
        self, view: str, requests: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[Row]]:
        """Read documents by ordinal, (partition, ordinals) each; those that are no more are left out."""
        ...

    def seek(
        self, view: str, requests: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[int]]:
        """Return, for each (partition, orders), the first ordinals of at least those orders, and last the next one.

        The next ordinal stands for an order that there is not yet.
        """
        ...

    def get(self, view: str, requests: Sequence[tuple[int, str]]) -> list[Row | None]:
        """Read documents by key, (partition, key) each."""
        ...

    def documents(self, view: str, partition: int) -> Iterator[Row]:
        """Read all documents of a partition, page by page."""
        ...

    def tally(self, view: str, partitions: Sequence[int]) -> list[dict[str, Json]]:
        """Read the counts and values of partitions."""
        ...

    def index_names(self, view: str) -> set[tuple[int, str, int]]:
        """Return (partition, facet as it is stored, chunk) of every set of an index; walks the whole keyspace."""
        ...

    def trouble(self, view: str, partition: int, reason: Json) -> None:
        """Note why a view stands still in a partition; None when it goes on."""
        ...

    def troubles(self, view: str, partitions: Sequence[int]) -> list[Json]:
        """Read why a view stands still, None where it does not."""
        ...

    def generations(self) -> dict[str, int]:
        """Return the generation of each projection in use, by its id, and as "id/next" the one being built."""
        ...

    def begin_generation(self, name: str, generation: int) -> int:
        """Enter a generation as `name` ("id" or "id/next") unless there is one; gives the one that is there."""
        ...

    def switch_generation(self, projection: str, generation: int) -> bool:
        """Let readers use the generation that was being built; False when it is not that one any more."""
        ...

    def drop(self, view: str, *, after_ms: int = 0) -> None:
        """Remove a view from all partitions, now or later; walks the whole keyspace."""
        ...
