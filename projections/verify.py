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
    drifts: list[Drift] = []
    names: set[tuple[int, str, int]] = set()
    for partition in projection.partitions(runner.partitions):
        of_partition, index_names = _partition(
            store, projection, view, partition, runner, partition in left
        )
        drifts += of_partition
        names |= index_names
    strays = sorted(store.index_names(view) - names)
    stray_sets = store.facets(view, [(p, chunk, [facet]) for p, facet, chunk in strays])
    for (partition, facet, chunk), [bits] in zip(strays, stray_sets, strict=True):
        if bits:
            drifts.append(_index_drift(partition, facet, chunk, bits, 0))
    return drifts


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
    folding = Runner(
        log=runner.log,
        store=folded,
        projections=[projection],
        partitions=partition + 1,
        steady_ms=lambda: 0.0,
    )
    target = [Target(projection, view)]
    for _ in range(TRIES):
        runner.catch_up([partition], target)
        [(_, [at])] = store.checkpoints([view], [partition])
        if not _fold_to(folding, folded, target, partition, heads, at):
            continue
        names = folded.index_names(view)
        # Runs have left: sums count what is not in the log any more, and the fold has other ordinals.
        if left:
            drifts = [] if projection.sums else _rows(store, folded, view, partition)
            drifts = sorted(set(drifts))
            drifts += _own_index(store, projection, view, partition, names)
        else:
            rows = _rows(store, folded, view, partition, with_ordinals=True)
            drifts = sorted({*rows, *_tally(store, folded, view, partition)})
            drifts += _index(store, folded, view, partition, names)
        [(_, [again])] = store.checkpoints([view], [partition])
        # Only what stood still while it was read can be compared.
        if at == again:
            return drifts, names
    raise TooFast(view)


def _fold_to(
    folding: Runner,
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
        if not folding.advance([partition], target):
            return False


def _rows(
    store: ViewStore,
    folded: MemoryViewStore,
    view: str,
    partition: int,
    with_ordinals: bool = False,
) -> list[Drift]:
    stored_rows = {row.key: row for row in store.documents(view, partition)}
    folded_rows = {row.key: row for row in folded.documents(view, partition)}
    drifts = []
    for key in stored_rows.keys() | folded_rows.keys():
        stored = stored_rows.get(key)
        expected = folded_rows.get(key)
        document = stored and stored.document
        expected_document = expected and expected.document
        is_elsewhere = with_ordinals and stored != expected
        if document != expected_document or is_elsewhere:
            what = f"document {key}"
            drifts.append(Drift(partition, what, str(document), str(expected_document)))
    return drifts


def _tally(
    store: ViewStore, folded: MemoryViewStore, view: str, partition: int
) -> Iterable[Drift]:
    [stored], [expected] = (x.tally(view, [partition]) for x in (store, folded))
    for name in stored.keys() | expected.keys():
        value = stored.get(name)
        expected_value = expected.get(name)
        if value != expected_value:
            yield Drift(
                partition=partition,
                what=f"count {name}",
                view=str(value),
                log=str(expected_value),
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
    drifts = []
    for chunk, members in chunks.items():
        for facets in batched(members, 200):
            query = [(partition, chunk, facets)]
            [stored], [expected] = store.facets(view, query), folded.facets(view, query)
            for facet, bits, other in zip(facets, stored, expected, strict=True):
                if bits != other:
                    drifts.append(_index_drift(partition, facet, chunk, bits, other))
    return drifts


def _own_index(
    store: ViewStore,
    projection: Projection,
    view: str,
    partition: int,
    names: set[tuple[int, str, int]],
) -> list[Drift]:
    """Compare an index with what the documents of the view itself say."""
    expected = {(facet, chunk): 0 for _, facet, chunk in names}
    for row in store.documents(view, partition):
        if projection.index is None:
            break
        chunk, offset = divmod(row.ordinal, CHUNK)
        bit = 1 << (CHUNK - 1 - offset)
        for facet in facets_of(projection.index(row.document), row):
            name = (facet_name(facet), chunk)
            expected[name] = expected.get(name, 0) | bit
    names |= {(partition, facet, chunk) for facet, chunk in expected}
    drifts = []
    for (facet, chunk), expected_bits in sorted(expected.items()):
        [[bits]] = store.facets(view, [(partition, chunk, [facet])])
        if bits != expected_bits:
            drifts.append(_index_drift(partition, facet, chunk, bits, expected_bits))
    return drifts


def _index_drift(
    partition: int, facet: str, chunk: int, stored: int, expected: int
) -> Drift:
    what = f"index {facet}, from {chunk * CHUNK} on"
    view_says = f"{stored.bit_count()} documents"
    log_says = f"{expected.bit_count()} documents"
    return Drift(partition, what, view_says, log_says)


def batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Return items in groups."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
