"""Comparing a view with a fold of the log: drift is a defect, and is named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from eventstore.memory.views import MemoryViewStore
from eventstore.views import CHUNK, ViewStore, facet_name
from projections.errors import TooFast
from projections.fold import facets_of
from projections.projection import Projection
from projections.runner import Runner, Target

TRIES = 50


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One difference: what the view says, and what the log comes to."""

    partition: int
    what: str
    view: str
    log: str


def verify(
    store: ViewStore,
    projection: Projection,
    view: str,
    runner: Runner,
    left: Collection[int] = (),
) -> list[Drift]:
    """Fold the whole log and compare; a view that is behind is brought up to date first.

    In the partitions in `left`, which runs have left, sums are not compared: they count what the log does not hold any
    more; and the index is compared with the documents, because those of the fold have other ordinals. Raises TooFast.
    """
    found: list[Drift] = []
    known: set[tuple[int, str, int]] = set()
    for partition in range(runner.partitions):
        drifts, names = _partition(
            store, projection, view, partition, runner, partition in left
        )
        found += drifts
        known |= names
    strays = sorted(store.index_names(view) - known)
    for (partition, facet, chunk), [bits] in zip(
        strays,
        store.facets(view, [(p, chunk, [facet]) for p, facet, chunk in strays]),
        strict=True,
    ):
        if bits:
            found.append(_index_drift(partition, facet, chunk, bits, 0))
    return found


def _partition(
    store: ViewStore,
    projection: Projection,
    view: str,
    partition: int,
    runner: Runner,
    left: bool,
) -> tuple[list[Drift], set[tuple[int, str, int]]]:
    heads = {partition: 0}
    folded = MemoryViewStore(lambda p: heads[p])
    mine = Runner(runner.log, folded, [projection], partition + 1, lambda: 0.0)
    target = [Target(projection, view)]
    for _ in range(TRIES):
        runner.catch_up([partition], target)
        [(_, [at])] = store.checkpoints([view], [partition])
        if not _fold_to(mine, folded, target, partition, heads, at):
            continue
        names = folded.index_names(view)
        rows = (
            ()
            if left and projection.sums
            else _rows(store, folded, view, partition, left)
        )
        found = sorted(
            {*rows, *(() if left else _tally(store, folded, view, partition))}
        )
        if left:
            found += _own_index(store, projection, view, partition, names)
        else:
            found += _index(store, folded, view, partition, names)
        [(_, [again])] = store.checkpoints([view], [partition])
        if at == again:
            return found, names
    raise TooFast(view)


def _fold_to(
    mine: Runner,
    folded: MemoryViewStore,
    target: list[Target],
    partition: int,
    heads: dict[int, int],
    at: int,
) -> bool:
    """Fold up to a position; False when the fold is beyond it, or cannot come there."""
    heads[partition] = at
    while True:
        [(_, [here])] = folded.checkpoints([target[0].view], [partition])
        if here >= at:
            return here == at
        if not mine.advance([partition], target):
            return False


def _rows(
    store: ViewStore,
    folded: MemoryViewStore,
    view: str,
    partition: int,
    left: bool = False,
) -> Iterable[Drift]:
    stored = {row.key: row for row in store.documents(view, partition)}
    wanted = {row.key: row for row in folded.documents(view, partition)}
    for key in stored.keys() | wanted.keys():
        one, other = stored.get(key), wanted.get(key)
        if (one and one.document) != (other and other.document) or (
            one != other and not left
        ):
            yield Drift(
                partition,
                f"document {key}",
                str(one and one.document),
                str(other and other.document),
            )


def _tally(
    store: ViewStore, folded: MemoryViewStore, view: str, partition: int
) -> Iterable[Drift]:
    [stored], [wanted] = store.tally(view, [partition]), folded.tally(view, [partition])
    for name in stored.keys() | wanted.keys():
        if stored.get(name) != wanted.get(name):
            yield Drift(
                partition, f"count {name}", str(stored.get(name)), str(wanted.get(name))
            )


def _index(
    store: ViewStore,
    folded: MemoryViewStore,
    view: str,
    partition: int,
    names: set[tuple[int, str, int]],
) -> list[Drift]:
    chunks: dict[int, list[str]] = {}
    for _, facet, chunk in sorted(names):
        chunks.setdefault(chunk, []).append(facet)
    out = []
    for chunk, members in chunks.items():
        for facets in batched(members, 200):
            [there], [here] = (
                x.facets(view, [(partition, chunk, facets)]) for x in (store, folded)
            )
            wrong = zip(facets, there, here, strict=True)
            out += [
                _index_drift(partition, facet, chunk, one, other)
                for facet, one, other in wrong
                if one != other
            ]
    return out


def _own_index(
    store: ViewStore,
    projection: Projection,
    view: str,
    partition: int,
    names: set[tuple[int, str, int]],
) -> list[Drift]:
    """Compare an index with what the documents of the view itself say."""
    wanted = {(facet, chunk): 0 for _, facet, chunk in names}
    for row in store.documents(view, partition):
        if projection.index is None:
            break
        chunk, place = divmod(row.ordinal, CHUNK)
        for facet in facets_of(projection.index(row.document), row):
            name = (facet_name(facet), chunk)
            wanted[name] = wanted.get(name, 0) | 1 << (CHUNK - 1 - place)
    names |= {(partition, facet, chunk) for facet, chunk in wanted}
    out = []
    for (facet, chunk), bits in sorted(wanted.items()):
        [[there]] = store.facets(view, [(partition, chunk, [facet])])
        if there != bits:
            out.append(_index_drift(partition, facet, chunk, there, bits))
    return out


def _index_drift(
    partition: int, facet: str, chunk: int, there: int, here: int
) -> Drift:
    what = f"index {facet}, from {chunk * CHUNK} on"
    return Drift(
        partition,
        what,
        f"{there.bit_count()} documents",
        f"{here.bit_count()} documents",
    )


def batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Return items in groups."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
