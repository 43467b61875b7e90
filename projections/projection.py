"""What a projection is: a function that folds events into documents, each under a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.event import Json, Recorded
from projections.errors import InvalidProjection

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")

EVERY: Final = "*"
"""The facet that every document of a view has."""

LATE: Final = "*late"
"""The facet of documents that stand behind their own order: others of a higher one had come before them."""

Apply = Callable[[Any, Recorded], Any]
"""(document so far, event) -> document, or Counted; None removes it. It must depend on its arguments alone."""


@dataclass(frozen=True, slots=True)
class Index:
    """Where a document stands and how it is found: `order` sorts (ms, as a rule), `facets` are "name=value"."""

    order: int
    facets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Counted:
    """A document with what its event adds to counts, and says about names: the latest value, and the first."""

    document: Json
    counts: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Json] = field(default_factory=dict)
    firsts: Mapping[str, Json] = field(default_factory=dict)


def of_stream(event: Recorded) -> str:
    """Return the run of an event: the key of most projections."""
    return event.stream


def counted_before(event: Recorded) -> bool:
    """Tell whether an event was counted where it happened: it is in a fork's past, or of a run that was restored."""
    return bool(event.metadata.get("restored")) or (
        isinstance(event.data, Mapping) and bool(event.data.get("copied"))
    )


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model: documents by key, each a fold of the events with that key, in the order of their partition.

    `initial` is what a document begins as. `types` are the event types that matter, None for all. `index` says how
    documents are found, None for those that are not searched. Documents of one that `sums` go on counting runs that
    have left the store. Another `version` is built anew from the log, beside the one that is there. `home` is the only
    partition that has events which matter, None where all those of runs may.
    """

    name: str
    apply: Apply
    version: int = 1
    key: Callable[[Recorded], str | None] = of_stream
    initial: Json = None
    types: frozenset[str] | None = None
    index: Callable[[Any], Index] | None = None
    sums: bool = False
    home: int | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InvalidProjection(
                f"projection name {self.name!r} must be a letter and up to 62 letters (a-z), digits, - and _"
            )
        if self.version < 1:
            raise InvalidProjection(
                f"projection {self.name}: version {self.version} must be 1 or more"
            )

    def partitions(self, count: int) -> Sequence[int]:
        """Return the partitions that have events which matter, in a store with so many for runs."""
        return range(count) if self.home is None else (self.home,)

    @property
    def id(self) -> str:
        """Return name and version."""
        return f"{self.name}.{self.version}"

    def view(self, generation: int) -> str:
        """Name the view that holds a generation of this projection."""
        return f"{self.id}.{generation}"


def projection(
    name: str,
    *,
    version: int = 1,
    key: Callable[[Recorded], str | None] = of_stream,
    initial: Json = None,
    types: Iterable[str] | None = None,
    index: Callable[[Any], Index] | None = None,
) -> Callable[[Apply], Projection]:
    """Make a projection of a function (document so far, event) -> document.

    Raises InvalidProjection.
    """

    def make(apply: Apply) -> Projection:
        chosen = None if types is None else frozenset(types)
        return Projection(
            name=name,
            apply=apply,
            version=version,
            key=key,
            initial=initial,
            types=chosen,
            index=index,
        )

    return make
