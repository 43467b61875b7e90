"""Lists of runs: any filter gives what looking at every run gives, and so does counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from eventstore.event import Position, Recorded
from eventstore.memory.views import MemoryViewStore
from projections.fold import fold, keyed
from projections.projection import counted_before
from projections.runs import HOUR_MS, RUNS, RunFilter
from projections.search import count, search

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
    number: int, made: Mapping[str, Any]
) -> list[tuple[int, str, dict[str, Any]]]:
    """Return time, type and data of the events of a run."""
    begin = {
        "workflow": made["workflow"],
        "version": "1",
        "definition": "d",
        "labels": made["labels"],
    }
    if made["parent"]:
        begin["parent"] = {"run": made["parent"]}
    out = [(made["start"], "RunStarted", begin)]
    if made["end"]:
        out.append(
            (
                made["start"] + made["took"],
                made["end"],
                FAILED if made["end"] == "RunFailed" else {},
            )
        )
    if made["held"]:
        out.append((made["start"] + made["took"], "RunHeld", {}))
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


def fits(chosen: RunFilter, made: Mapping[str, Any]) -> bool:
    """Tell whether a run fits, from what it was made of."""
    closing = {
        "RunCompleted": "completed",
        "RunFailed": "failed",
        "RunCancelled": "cancelled",
    }
    status = closing.get(made["end"]) or {"RunPaused": "paused"}.get(
        made["end"], "running"
    )
    ended = made["start"] + made["took"] if made["end"] in closing else None

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
        and (not chosen.workflow or made["workflow"] in chosen.workflow)
        and all(
            made["labels"].get(name) == value for name, value in chosen.labels.items()
        )
        and (not chosen.parent or made["parent"] in chosen.parent)
        and (not chosen.held or made["held"])
        and (not chosen.error or status == "failed")
        and within(made["start"], chosen.started_from, chosen.started_to)
        and within(ended, chosen.ended_from, chosen.ended_to)
        and within(
            None if ended is None else made["took"], chosen.took_from, chosen.took_to
        )
    )


@settings(max_examples=200, deadline=None)
@given(some.lists(run(), max_size=12), filters, some.integers(1, 5))
def test_any_filter_finds_what_looking_at_every_run_finds(
    made: list[dict[str, Any]], chosen: RunFilter, limit: int
) -> None:
    store, partitions = MemoryViewStore(lambda _: 10**6), 2
    places = dict.fromkeys(range(partitions), 0)
    for number, one in enumerate(made):
        partition, batch = number % partitions, list[Recorded]()
        for version, (time_ms, kind, data) in enumerate(events(number, one), 1):
            places[partition] += 1
            position = Position(partition, places[partition])
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
            [(VIEW, partition, fold(RUNS, VIEW, loaded, pairs, places[partition]))]
        ) == [True]
        assert not any(map(counted_before, batch))
    wanted = {f"r{number}" for number, one in enumerate(made) if fits(chosen, one)}
    found, after = list[str](), ""
    while True:
        page = search(store, VIEW, partitions, chosen.query(limit=limit, after=after))
        found += [item.key for item in page.items]
        after = page.next
        if not after:
            break
    assert sorted(found) == sorted(wanted)
    assert {
        row.key
        for p in range(partitions)
        for row in store.documents(VIEW, p)
        if chosen.matches(row.document)
    } == wanted
    if chosen.query().where is None:
        assert count(store, VIEW, partitions, chosen.query()) == len(wanted)
