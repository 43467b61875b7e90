"""The view of runs: one row each, found by any combination of what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.event import Json, Recorded
from eventstore.passwords import masked
from openagents_json.statuses import RunStatus
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_traits import Subject, traits_of
from openagents_json.workflow.core.event_types import CLOSED_AS, EVENT_TYPES
from projections import blocks
from projections.errors import InvalidQuery
from projections.fingerprint import fingerprint
from projections.projection import Counted, Index, Projection, counted_before
from projections.search import Query

_FLAGS: Final = ("reopened", "held", "redacted", "imported")
"""What is simply so or not so of a run, by the name of its facet and of its field in a filter."""

_NAMED: Final = (
    "status",
    "workflow",
    "version",
    "fingerprint",
    "error",
    "parent",
    "source",
)
"""The facets of which a filter names values."""

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
    if event.type in LEFT:
        return str(event.data["run"])
    return event.stream


def _apply(
    row: dict[str, Any] | None, event: Recorded
) -> dict[str, Any] | Counted | None:
    if event.type in LEFT:  # what was counted of it stays
        return None
    data: Mapping[str, Any] = event.data if isinstance(event.data, Mapping) else {}
    if event.type == ev.RunStarted.__name__ and "definition" in data:
        row = _begun(data, event)
    if row is None:  # its beginning is archived, or not ours
        return None
    row = {
        **row,
        "status": _STATUS[event.type] or row["status"],
        "events": event.version,
        "changed_ms": event.time_ms,
    }
    if event.type in CLOSED_AS:
        row["ended_ms"] = event.time_ms
    change = _CHANGES.get(event.type)
    if change is None:
        return row
    return change(row, event)


def _begun(data: Mapping[str, Any], event: Recorded) -> dict[str, Any]:
    """Return the row of a run that has begun, with what its first event says of it beside what it is."""
    row = {
        "workflow": data["workflow"],
        "version": data["version"],
        "definition": data["definition"][:12],
        "started_ms": event.time_ms,
        "actor": event.actor,
    }
    row |= {name: data[name] for name in ("labels", "parent") if data.get(name)}
    # A fork of an imported run says so itself: its past may not reach as far as RunImported.
    if data.get("copied") and data.get("imported"):
        row["imported"] = {"source": str(data["imported"]), "how": "fork"}
    return row


def _forked(row: dict[str, Any], event: Recorded) -> dict[str, Any]:
    row["source"] = {"run": event.data["source"], "at": event.data["at"]}
    return row


def _reopened(row: dict[str, Any], event: Recorded) -> dict[str, Any]:
    row["version"] = event.data.get("version") or row["version"]
    row["reopened"] = row.get("reopened", 0) + 1
    for name in ("ended_ms", "error", "step", "fingerprint"):
        row.pop(name, None)
    return row


def _imported(row: dict[str, Any], event: Recorded) -> dict[str, Any]:
    data = event.data
    origin: dict[str, Json] = {"source": data["source"], "at": data["at"]}
    # Rows of what older versions have brought stay as they are.
    if data.get("how"):
        for name in ("how", "sha256", "reason"):
            origin[name] = str(data.get(name) or "")
        origin |= {"by": event.actor, "time_ms": event.time_ms}
    row["imported"] = origin
    if data.get("paused") and row["status"] == "running":
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
    last_failures = {}
    for failure in event.data.get("failures") or ():
        last = {"run": event.stream, "workflow": row["workflow"], **failure}
        name = last.pop("fingerprint")
        last_failures[f"{name}/last"] = {**last, "message": ERASED}
    return Counted(row, values=last_failures)


def _failed(row: dict[str, Any], event: Recorded) -> Counted:
    """Note a failure, and count it by its fingerprint, with what the first and the last of them said."""
    error = event.data.get("error") or {}
    step = event.data.get("step")
    row["error"] = {
        "type": str(error.get("type") or "unknown"),
        "message": str(error.get("message") or "")[:200],
    }
    row["step"] = step
    # An erased failure keeps its class: the event names it.
    name = event.data.get("fingerprint") or fingerprint(
        str(row["workflow"]), step, error
    )
    row["fingerprint"] = name
    if counted_before(event):
        return Counted(row)
    first = {"run": event.stream, "at_ms": event.time_ms}
    last = {**first, "workflow": row["workflow"], "step": step, **row["error"]}
    return Counted(
        document=row,
        counts={f"{name}/count": 1},
        values={f"{name}/last": last},
        firsts={f"{name}/first": first},
    )


def _labelled(name: str, value: str) -> str:
    """Return the facet of a label: its first "=" is where the name ends."""
    return f"label.{str(name).replace('%', '%25').replace('=', '%3D')}={value}"


def _index(row: Mapping[str, Any]) -> Index:
    facets = {
        f"status={row['status']}",
        f"workflow={row['workflow']}",
        f"version={row['version']}",
    }
    labels = row.get("labels") or {}
    facets.update(_labelled(name, value) for name, value in labels.items())
    facets.update(f"{name}=yes" for name in _FLAGS if row.get(name))
    for name, facets_of in _FACETS_OF.items():
        if name in row:
            facets.update(facets_of(row))
    return Index(row["started_ms"], frozenset(facets))


def _facets_of_failure(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"fingerprint={row['fingerprint']}"
    yield f"error={row['error']['type']}"


def _facets_of_end(row: Mapping[str, Any]) -> Iterator[str]:
    yield from blocks.of_end(row["ended_ms"])
    yield from blocks.of_duration(row["ended_ms"] - row["started_ms"])


_FACETS_OF: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterable[str]]]] = {
    "parent": lambda row: [f"parent={row['parent'].get('run')}"],
    "source": lambda row: [f"source={row['source']['run']}"],
    "fingerprint": _facets_of_failure,
    "ended_ms": _facets_of_end,
}
"""What a row may have beside what all have -> the facets by which it is found then."""


_CHANGES: Final[
    Mapping[str, Callable[[dict[str, Any], Recorded], dict[str, Any] | Counted]]
] = {
    ev.RunFailed.__name__: _failed,
    ev.RunForked.__name__: _forked,
    ev.RunReopened.__name__: _reopened,
    ev.RunImported.__name__: _imported,
    ev.RunHeld.__name__: _held,
    ev.RunHoldReleased.__name__: _held,
    ev.RunRedacted.__name__: _redacted,
}
"""The name of an event -> what it changes in the row beside the status."""

RUNS: Final = Projection(
    "runs", _apply, key=_key, types=LEFT | _STATUS.keys(), index=_index
)


def _archived(row: dict[str, Any] | None, event: Recorded) -> dict[str, Any] | None:
    data: Mapping[str, Any] = event.data
    if event.type == "RunRestored" and row is not None:
        # Said late, when the run has been archived somewhere else since.
        is_elsewhere = masked(data["url"]) != masked(row["url"])
        return row if is_elsewhere else None
    if event.type != "RunArchived":
        return None
    file = {name: data[name] for name in ("url", "sha256", "bytes", "events")}
    return {
        **data["row"],
        **file,
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

    def __post_init__(self) -> None:
        """Refuse a text where a tuple of texts belongs: its letters would be asked for, and no run found.

        Raises InvalidQuery.
        """
        for name in _NAMED:
            value = getattr(self, name)
            if isinstance(value, str):
                raise InvalidQuery(f"{name} is a tuple: {name}=({value!r},)")

    def query(self, *, limit: int = 50, after: str = "") -> Query:
        """Return the search of the view of runs."""
        groups = [
            tuple(f"{name}={value}" for value in getattr(self, name)) for name in _NAMED
        ]
        groups += [(_labelled(name, value),) for name, value in self.labels.items()]
        groups += [(f"{name}=yes",) for name in _FLAGS if getattr(self, name)]
        groups.append(blocks.ended(self.ended_from, self.ended_to))
        groups.append(blocks.took(self.took_from, self.took_to))
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
        if self._asks_for_ends():
            return self.fits
        return None

    def _asks_for_ends(self) -> bool:
        """Tell whether only runs that have ended can fit."""
        bounds = (self.ended_from, self.ended_to, self.took_from, self.took_to)
        return any(bound is not None for bound in bounds)

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row has ended, and lasted, as is asked."""
        ended = row.get("ended_ms")
        if ended is None:
            return not self._asks_for_ends()
        took = ended - row["started_ms"]
        ended_in_time = _within(ended, self.ended_from, self.ended_to)
        return ended_in_time and _within(took, self.took_from, self.took_to)

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row fits, by looking at the row alone."""
        if not _within(row["started_ms"], self.started_from, self.started_to):
            return False
        if not self.fits(row):
            return False
        facets = _index(row).facets
        # Blocks of times are for the index only; `fits` has looked at the times themselves.
        groups = (
            group for group in self.query().facets if not blocks.is_block(group[0])
        )
        return all(facets & set(group) for group in groups)


def _started(row: Mapping[str, Any]) -> int:
    return int(row["started_ms"])


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value < high)
