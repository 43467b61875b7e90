"""The view of runs: one row each, found by any combination of what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.event import Json, Recorded
from eventstore.passwords import masked
from openagents_json.statuses import RunStatus
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_traits import Subject, traits_of
from openagents_json.workflow.core.event_types import CLOSED_AS, EVENT_TYPES
from projections.fingerprint import fingerprint
from projections.projection import Counted, Index, Projection, counted_before
from projections.search import Query

HOUR_MS: Final = 3_600_000
_HOURS: Final = ((768, "m"), (24, "d"), (1, "h"))
"""Blocks of hours by which the time of an end is indexed."""

_LENGTHS: Final = ((4, "o"), (1, "f"))
"""Blocks of classes of duration: those of an octave, and single ones."""

_LONGEST: Final = 212
_MOST_BLOCKS: Final = 300

LEFT: Final = frozenset({"RunArchived", "RunDeleted"})
"""What the archive stream of a partition says of runs that have left it."""

_STATUS: Final[Mapping[str, RunStatus | None]] = {
    cls.__name__: traits_of(cls).status
    for cls in EVENT_TYPES
    if traits_of(cls).subject is Subject.RUN
}
"""What an event makes of a run's status, None where it leaves it as it is; all that is about a run is in its row."""

STATUSES: Final[tuple[str, ...]] = tuple(
    sorted({status for status in _STATUS.values() if status})
)
"""What the status of a run can be."""

ERASED: Final = "erased"
"""What stands where a message was."""


def _key(event: Recorded) -> str:
    return str(event.data["run"]) if event.type in LEFT else event.stream


def _apply(
    row: dict[str, Any] | None, event: Recorded
) -> dict[str, Any] | Counted | None:
    if event.type in LEFT:  # what was counted of it stays
        return None
    data: Mapping[str, Any] = event.data if isinstance(event.data, Mapping) else {}
    if event.type == ev.RunStarted.__name__ and "definition" in data:
        row = {
            "workflow": data["workflow"],
            "version": data["version"],
            "definition": data["definition"][:12],
            "started_ms": event.time_ms,
            "actor": event.actor,
        }
        row |= _said(data)
    if row is None:  # its beginning is archived, or not ours
        return None
    row = {
        **row,
        "status": _STATUS[event.type] or row["status"],
        "events": event.version,
        "changed_ms": event.time_ms,
    }
    if event.type in CLOSED_AS:
        row |= {"ended_ms": event.time_ms, **_failure(row, event)}
    elif event.type == ev.RunForked.__name__:
        row["source"] = {"run": data["source"], "at": data["at"]}
    elif event.type == ev.RunReopened.__name__:
        row["version"] = data.get("version") or row["version"]
        row["reopened"] = row.get("reopened", 0) + 1
        for name in ("ended_ms", "error", "step", "fingerprint"):
            row.pop(name, None)
    finish = _FINISH.get(event.type)
    return row if finish is None else finish(row, event)


def _said(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the first event says of a run beside what it is."""
    said = {name: data[name] for name in ("labels", "parent") if data.get(name)}
    if data.get("copied") and data.get(
        "imported"
    ):  # the fork may not reach as far as RunImported
        said["imported"] = {"source": str(data["imported"]), "how": "fork"}
    return said


def _imported(row: dict[str, Any], event: Recorded) -> dict[str, Any]:
    said: dict[str, Json] = {"source": event.data["source"], "at": event.data["at"]}
    if event.data.get(
        "how"
    ):  # rows of what older versions have brought stay as they are
        said |= {
            name: str(event.data.get(name) or "")
            for name in ("how", "sha256", "reason")
        }
        said |= {"by": event.actor, "time_ms": event.time_ms}
    row["imported"] = said
    if event.data.get("paused") and row["status"] == "running":
        row["status"] = "paused"
    return row


def _held(row: dict[str, Any], event: Recorded) -> dict[str, Any]:
    row["held"] = event.type == ev.RunHeld.__name__
    return row


def _redacted(row: dict[str, Any], event: Recorded) -> Counted:
    """Forget what is erased in the log, also where failures are counted; their classes stay."""
    row["redacted"] = True
    if "error" in row:
        row["error"] = {**row["error"], "message": ERASED}
    if event.data.get("labels"):
        row.pop("labels", None)
    seen = [
        {"run": event.stream, "workflow": row["workflow"], **known}
        for known in event.data.get("failures") or ()
    ]
    return Counted(
        row,
        values={
            f"{known.pop('fingerprint')}/last": {**known, "message": ERASED}
            for known in seen
        },
    )


def _failure(row: Mapping[str, Any], event: Recorded) -> dict[str, Json]:
    if event.type != ev.RunFailed.__name__:
        return {}
    error, step = event.data.get("error") or {}, event.data.get("step")
    short = {
        "type": str(error.get("type") or "unknown"),
        "message": str(error.get("message") or "")[:200],
    }
    known = event.data.get("fingerprint")  # an erased failure keeps its class
    return {
        "error": short,
        "step": step,
        "fingerprint": known or fingerprint(str(row["workflow"]), step, error),
    }


def _labelled(name: str, value: str) -> str:
    """Return the facet of a label: its first "=" is where the name ends."""
    return f"label.{str(name).replace('%', '%25').replace('=', '%3D')}={value}"


def _index(row: Mapping[str, Any]) -> Index:
    facets = {
        f"status={row['status']}",
        f"workflow={row['workflow']}",
        f"version={row['version']}",
    }
    facets |= {
        _labelled(name, value) for name, value in (row.get("labels") or {}).items()
    }
    if "parent" in row:
        facets.add(f"parent={row['parent'].get('run')}")
    if "source" in row:
        facets.add(f"source={row['source']['run']}")
    if "fingerprint" in row:
        facets |= {f"fingerprint={row['fingerprint']}", f"error={row['error']['type']}"}
    facets |= {
        f"{name}=yes"
        for name in ("reopened", "held", "redacted", "imported")
        if row.get(name)
    }
    if "ended_ms" in row:
        hour, length = (
            row["ended_ms"] // HOUR_MS,
            _length(row["ended_ms"] - row["started_ms"]),
        )
        facets |= {f"ended.{name}={hour // size}" for size, name in _HOURS}
        facets |= {f"took.{name}={length // size}" for size, name in _LENGTHS}
    return Index(row["started_ms"], frozenset(facets))


def _counted(row: dict[str, Any], event: Recorded) -> Counted:
    """Count a failure by its fingerprint, with what the first and the last of them said."""
    if counted_before(event):
        return Counted(row)
    name = row["fingerprint"]
    seen = {"run": event.stream, "at_ms": event.time_ms}
    what = {"workflow": row["workflow"], "step": row["step"], **row["error"]}
    return Counted(
        row,
        {f"{name}/count": 1},
        {f"{name}/last": seen | what},
        {f"{name}/first": seen},
    )


_FINISH: Final[
    Mapping[str, Callable[[dict[str, Any], Recorded], dict[str, Any] | Counted]]
] = {
    ev.RunFailed.__name__: _counted,
    ev.RunImported.__name__: _imported,
    ev.RunHeld.__name__: _held,
    ev.RunHoldReleased.__name__: _held,
    ev.RunRedacted.__name__: _redacted,
}

RUNS: Final = Projection(
    "runs", _apply, key=_key, types=LEFT | _STATUS.keys(), index=_index
)


def _archived(row: dict[str, Any] | None, event: Recorded) -> dict[str, Any] | None:
    data: Mapping[str, Any] = event.data
    if (
        event.type == "RunRestored"
        and row is not None
        and masked(data["url"]) != masked(row["url"])
    ):
        return row  # said late: it has been archived again since
    if event.type != "RunArchived":
        return None
    place = {name: data[name] for name in ("url", "sha256", "bytes", "events")}
    return {
        **data["row"],
        **place,
        "archived_ms": event.time_ms,
        "archived_by": event.actor,
    }


def _archive_index(row: Mapping[str, Any]) -> Index:
    return Index(row["archived_ms"], _index(row).facets)


ARCHIVE: Final = Projection(
    "archive",
    _archived,
    key=lambda event: str(event.data["run"]),
    types=frozenset({"RunArchived", "RunDeleted", "RunRestored"}),
    index=_archive_index,
)
"""Runs that are archived: their last rows, found in the same ways, and where they are."""


def _length(took_ms: int) -> int:
    """Return the class of a duration; each is a fifth longer than the one before."""
    return int(4 * math.log2(max(0, took_ms) + 1))


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs: every field narrows; several values of one mean any of them. Times in ms, from on and below to."""

    status: tuple[str, ...] = ()
    workflow: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    fingerprint: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    parent: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    reopened: bool = False
    held: bool = False
    redacted: bool = False
    imported: bool = False
    started_from: int | None = None
    started_to: int | None = None
    ended_from: int | None = None
    ended_to: int | None = None
    took_from: int | None = None
    took_to: int | None = None

    def query(self, *, limit: int = 50, after: str = "") -> Query:
        """Return the search of the view of runs."""
        groups = [
            tuple(f"{name}={value}" for value in getattr(self, name))
            for name in (
                "status",
                "workflow",
                "version",
                "fingerprint",
                "error",
                "parent",
                "source",
            )
        ]
        groups += [(_labelled(name, value),) for name, value in self.labels.items()]
        flags = ("reopened", "held", "redacted", "imported")
        groups += [(f"{name}=yes",) for name in flags if getattr(self, name)]
        groups += [
            _ended(self.ended_from, self.ended_to),
            _took(self.took_from, self.took_to),
        ]
        return Query(
            tuple(group for group in groups if group),
            since=self.started_from,
            until=self.started_to,
            where=self._where(),
            limit=limit,
            after=after,
            order_of=_started,
        )

    def _where(self) -> Callable[[Mapping[str, Any]], bool] | None:
        if self.ended_from is self.ended_to is self.took_from is self.took_to is None:
            return None
        return self.fits

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row has ended, and lasted, as is asked."""
        ended = row.get("ended_ms")
        if ended is None:
            return (
                self.ended_from
                is self.ended_to
                is self.took_from
                is self.took_to
                is None
            )
        took = ended - row["started_ms"]
        return _within(ended, self.ended_from, self.ended_to) and _within(
            took, self.took_from, self.took_to
        )

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row fits, by looking at the row alone."""
        facets, query = _index(row).facets, self.query()
        starts = _within(row["started_ms"], self.started_from, self.started_to)
        groups = (
            group
            for group in query.facets
            if not group[0].startswith(("ended.", "took."))
        )
        return (
            starts and self.fits(row) and all(facets & set(group) for group in groups)
        )


def _started(row: Mapping[str, Any]) -> int:
    return int(row["started_ms"])


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value < high)


def _ended(low: int | None, high: int | None) -> tuple[str, ...]:
    """Cover a range of times with blocks of hours."""
    if low is None or high is None:  # there is no end to cover, or no beginning
        return ()
    return _cover("ended", low // HOUR_MS, (high - 1) // HOUR_MS + 1, _HOURS)


def _took(low: int | None, high: int | None) -> tuple[str, ...]:
    """Cover a range of durations with blocks of classes."""
    if low is None and high is None:
        return ()
    return _cover(
        "took",
        _length(low or 0),
        _LONGEST if high is None else _length(high) + 1,
        _LENGTHS,
    )


def _cover(
    facet: str, first: int, end: int, levels: tuple[tuple[int, str], ...]
) -> tuple[str, ...]:
    """Cover a range with blocks, large ones where they fit; one that takes too many is left to the documents."""
    found: list[str] = []
    while first < end and len(found) < _MOST_BLOCKS:
        size, name = next(
            (s, n) for s, n in levels if s == 1 or (first % s == 0 and first + s <= end)
        )
        found.append(f"{facet}.{name}={first // size}")
        first += size
    return tuple(found) if first >= end else ()
