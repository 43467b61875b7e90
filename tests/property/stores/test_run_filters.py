"""Lists of runs: any filter gives what looking at every run gives, and so does counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from eventstore.event import Position, Recorded
from eventstore.memory.views import MemoryViewStore
from projections.blocks import HOUR_MS
from projections.fold import fold, keyed
from projections.projection import counted_before
from projections.runs import RUNS, RunFilter
from projections.search import count, search
from tests.examples import examples

VIEW = RUNS.view(1)
HOURS = (
    some.integers(0, 900).map(lambda n: n * HOUR_MS // 2)
    | some.integers(0, 5)
    | some.integers(0, 1000 * HOUR_MS)
)
TEXTS = some.sampled_from(["", "a", "a=b", "b", "ü:\n/"])
FAILED = {"step": "s", "error": {"type": "E", "message": "m"}}


@some.composite
def run(draw: some.DrawFn) -> dict[str, Any]:
    end = draw(
        some.sampled_from(
            ["", "RunCompleted", "RunFailed", "RunCancelled", "RunPaused"]
        )
    )
    return {
        "start": draw(HOURS),
        "took": draw(some.integers(0, 9) | some.integers(0, 800 * HOUR_MS)),
        "end": end,
        "labels": draw(some.dictionaries(TEXTS, TEXTS, max_size=2)),
        "workflow": draw(some.sampled_from(["w", "x"])),
        "parent": draw(some.sampled_from([None, "0-p"])),
        "held": draw(some.booleans()),
    }


def events(
    number: int, row: Mapping[str, Any]
) -> list[tuple[int, str, dict[str, Any]]]:
    """Return time, type and data of the events of a run."""
    begin = {
        "workflow": row["workflow"],
        "version": "1",
        "definition": "d",
        "labels": row["labels"],
    }
    if row["parent"]:
        begin["parent"] = {"run": row["parent"]}
    out = [(row["start"], "RunStarted", begin)]
    if row["end"]:
        out.append(
            (
                row["start"] + row["took"],
                row["end"],
                FAILED if row["end"] == "RunFailed" else {},
            )
        )
    if row["held"]:
        out.append((row["start"] + row["took"], "RunHeld", {}))
    return out


bounds = some.none() | HOURS
filters = some.builds(
    RunFilter,
    status=some.lists(
        some.sampled_from(["running", "paused", "completed", "failed"]), max_size=2
    ).map(tuple),
    workflow=some.lists(some.sampled_from(["w", "x", "none"]), max_size=2).map(tuple),
    labels=some.dictionaries(TEXTS, TEXTS, max_size=1),
    parent=some.sampled_from([(), ("0-p",)]),
    held=some.booleans(),
    error=some.sampled_from([(), (), ("E",)]),
    started_from=bounds,
    started_to=bounds,
    ended_from=bounds,
    ended_to=bounds,
    took_from=bounds,
    took_to=bounds,
)


def fits(chosen: RunFilter, row: Mapping[str, Any]) -> bool:
    """Tell whether a run fits, from what it was made of."""
    closing = {
        "RunCompleted": "completed",
        "RunFailed": "failed",
        "RunCancelled": "cancelled",
    }
    status = closing.get(row["end"]) or {"RunPaused": "paused"}.get(
        row["end"], "running"
    )
    ended = row["start"] + row["took"] if row["end"] in closing else None

    def within(value: int | None, low: int | None, high: int | None) -> bool:
        if low is high is None:
            return True
        return (
            value is not None
            and (low is None or value >= low)
            and (high is None or value < high)
        )

    return (
        (not chosen.status or status in chosen.status)
        and (not chosen.workflow or row["workflow"] in chosen.workflow)
        and all(
            row["labels"].get(name) == value for name, value in chosen.labels.items()
        )
        and (not chosen.parent or row["parent"] in chosen.parent)
        and (not chosen.held or row["held"])
        and (not chosen.error or status == "failed")
        and within(row["start"], chosen.started_from, chosen.started_to)
        and within(ended, chosen.ended_from, chosen.ended_to)
        and within(
            None if ended is None else row["took"], chosen.took_from, chosen.took_to
        )
    )


@settings(max_examples=examples(100), deadline=None)
@given(some.lists(run(), max_size=12), filters, some.integers(1, 5))
def test_any_filter_finds_what_looking_at_every_run_finds(
    rows: list[dict[str, Any]], chosen: RunFilter, limit: int
) -> None:
    store, partitions = MemoryViewStore(lambda _: 10**6), 2
    positions = dict.fromkeys(range(partitions), 0)
    for number, one in enumerate(rows):
        partition, batch = number % partitions, list[Recorded]()
        for version, (time_ms, kind, data) in enumerate(events(number, one), 1):
            positions[partition] += 1
            position = Position(partition, positions[partition])
            batch.append(
                Recorded(
                    f"r{number}",
                    version,
                    position,
                    time_ms,
                    "c",
                    "",
                    "",
                    kind,
                    data,
                    {},
                )
            )
        pairs, _ = keyed(RUNS, VIEW, batch)
        [loaded] = store.load([(VIEW, partition, [f"r{number}"])])
        assert store.save(
            [(VIEW, partition, fold(RUNS, VIEW, loaded, pairs, positions[partition]))]
        ) == [True]
        assert not any(map(counted_before, batch))
    expected = {f"r{number}" for number, one in enumerate(rows) if fits(chosen, one)}
    matching_keys, after = list[str](), ""
    while True:
        page = search(store, VIEW, partitions, chosen.query(limit=limit, after=after))
        matching_keys += [item.key for item in page.items]
        after = page.next
        if not after:
            break
    assert sorted(matching_keys) == sorted(expected)
    assert {
        row.key
        for p in range(partitions)
        for row in store.documents(VIEW, p)
        if chosen.matches(row.document)
    } == expected
    if chosen.query().where is None:
        assert count(store, VIEW, partitions, chosen.query()) == len(expected)
