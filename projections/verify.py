"""Comparing a view with a fold of the log: drift is a defect, and is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eventstore.memory_views import MemoryViewStore
from eventstore.views import CHUNK, ViewStore
from projections.projection import Projection
from projections.runner import Log, Runner, Target

TRIES = 50


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One difference: what the view says, and what the log comes to."""

    partition: int
    what: str
    view: str
    log: str


def verify(
    log: Log, store: ViewStore, projection: Projection, view: str, partition: int, runner: Runner
) -> list[Drift] | None:
    """Fold a partition's log from its beginning and compare; None when the view moves too fast to be compared.

    `runner` is that of the view: a view that is behind is brought up to date first.
    """
    heads = {partition: 0}
    folded = MemoryViewStore(lambda p: heads[p])
    mine = Runner(log, folded, [projection], partition + 1, lambda: 0.0)
    target = [Target(projection, view)]
    for _ in range(TRIES):
        runner.catch_up([partition], target)
        [(_, [at])] = store.checkpoints([view], [partition])
        if not _fold_to(mine, folded, target, partition, heads, at):
            continue
        found = sorted({*_rows(store, folded, view, partition), *_tally(store, folded, view, partition)})
        found += _index(store, folded, view, partition)
        [(_, [again])] = store.checkpoints([view], [partition])
        if at == again:
            return found
    return None


def _fold_to(
    mine: Runner, folded: MemoryViewStore, target: list[Target], partition: int, heads: dict[int, int], at: int
) -> bool:
    """Fold up to a position; False when the fold is beyond it, or cannot come there."""
    heads[partition] = at
    while True:
        [(_, [here])] = folded.checkpoints([target[0].view], [partition])
        if here >= at:
            return here == at
        if not mine.advance([partition], target):
            return False


def _rows(store: ViewStore, folded: MemoryViewStore, view: str, partition: int) -> Iterable[Drift]:
    stored = {row.key: row for row in store.documents(view, partition)}
    wanted = {row.key: row for row in folded.documents(view, partition)}
    for key in stored.keys() | wanted.keys():
        one, other = stored.get(key), wanted.get(key)
        if one != other:
            yield Drift(partition, f"document {key}", str(one and one.document), str(other and other.document))


def _tally(store: ViewStore, folded: MemoryViewStore, view: str, partition: int) -> Iterable[Drift]:
    [stored], [wanted] = store.tally(view, [partition]), folded.tally(view, [partition])
    for name in stored.keys() | wanted.keys():
        if stored.get(name) != wanted.get(name):
            yield Drift(partition, f"count {name}", str(stored.get(name)), str(wanted.get(name)))


def _index(store: ViewStore, folded: MemoryViewStore, view: str, partition: int) -> list[Drift]:
    chunks: dict[int, set[str]] = {}
    for place, facet, chunk in store.index_names(view) | folded.index_names(view):
        if place == partition:
            chunks.setdefault(chunk, set()).add(facet)
    out = []
    for chunk, names in sorted(chunks.items()):
        for facets in batched(sorted(names), 200):
            [there], [here] = (x.facets(view, [(partition, chunk, facets)]) for x in (store, folded))
            for facet, one, other in zip(facets, there, here, strict=True):
                if one != other:
                    what = f"index {facet}, from {chunk * CHUNK} on"
                    out.append(Drift(partition, what, f"{one.bit_count()} documents", f"{other.bit_count()} documents"))
    return out


def batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Give items in groups."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
