"""Lists: runs by any combination, failures, steps under way, what waits for people, usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from openagents_json.client.calls.call import Call, as_type, get, path
from openagents_json.engine.answers.lists import (
    FailureClass,
    OpenStep,
    RunPage,
    UsageRow,
)
from openagents_json.engine.answers.waits import WaitingStep

if TYPE_CHECKING:
    from openagents_json.engine import ComponentStatistics, RunFilter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_NAMES: Final = {
    "status": "status",
    "workflow": "workflow",
    "version": "workflow_version",
    "fingerprint": "fingerprint",
    "error": "error",
    "parent": "parent",
    "source": "forked_from",
    "reopened": "reopened",
    "held": "held",
    "redacted": "redacted",
    "imported": "imported",
    "took_from": "took_over_ms",
    "took_to": "took_under_ms",
}
"""A field of a filter -> its name in the grammar of the API."""

_TIMES: Final = {
    "started_from": "started_after",
    "started_to": "started_before",
    "ended_from": "ended_after",
    "ended_to": "ended_before",
}


def runs(chosen: RunFilter | None, limit: int, after: str) -> Call[RunPage]:
    """Return the call for a page of runs."""
    return _search(criteria(chosen) | {"limit": limit, "after": after})


def runs_of(limit: int, status: str | None, workflow: str | None) -> Call[RunPage]:
    """Return the call for the newest runs of a status or of a workflow."""
    named = {"status": status, "workflow": workflow}
    chosen = {name: [value] for name, value in named.items() if value}
    return _search(chosen | {"limit": limit})


def as_of(
    time_ms: int, chosen: RunFilter | None, limit: int, after: str
) -> Call[RunPage]:
    """Return the call for a page of runs as they were."""
    page = {"limit": limit, "after": after, "as_of": iso_of(time_ms)}
    return _search(criteria(chosen) | page)


def _search(body: dict[str, Any]) -> Call[RunPage]:
    """Return a search; a filter may be too long for an address. It changes nothing, so it may arrive twice."""
    read = as_type(RunPage)
    return Call("POST", path("runs", "search"), read, body=body, repeatable=True)


def count(chosen: RunFilter | None) -> Call[int]:
    """Return the call for how many runs there are."""

    def read(value: Any) -> int:
        return int(value["count"])

    return get(path("runs", "count"), read, **criteria(chosen))


def criteria(chosen: RunFilter | None) -> dict[str, Any]:
    """Return a filter in the grammar of the API."""
    if chosen is None:
        return {}
    asked: dict[str, Any] = {}
    for name, sent_name in _NAMES.items():
        value = getattr(chosen, name)
        if value or (value == 0 and value is not False):
            asked[sent_name] = list(value) if isinstance(value, tuple) else value
    for name, sent_name in _TIMES.items():
        moment_ms = getattr(chosen, name)
        if moment_ms is not None:
            asked[sent_name] = iso_of(moment_ms)
    if chosen.labels:
        asked["label"] = [f"{name}={value}" for name, value in chosen.labels.items()]
    return asked


def iso_of(time_ms: int) -> str:
    """Return a time as the API takes it, to the millisecond."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds")


def run_of(beginning: str) -> Call[str]:
    """Return the call for the whole id of a run."""

    def read(value: Any) -> str:
        return str(value["id"])

    return get(path("runs", beginning, "id"), read)


def steps(status: str, worker: str) -> Call[list[OpenStep]]:
    """Return the call for the steps under way."""
    return get(path("steps"), as_type(list[OpenStep]), status=status, worker=worker)


def components() -> Call[list[ComponentStatistics]]:
    """Return the call for what happened to the attempts of each component."""
    from openagents_json.engine import ComponentStatistics

    return get(path("components"), as_type(list[ComponentStatistics]))


def failures() -> Call[list[FailureClass]]:
    """Return the call for the classes of failures."""
    return get(path("failures"), as_type(list[FailureClass]))


def waiting(limit: int) -> Call[list[WaitingStep]]:
    """Return the call for the steps that wait for a signal."""
    return get(path("waiting"), as_type(list[WaitingStep]), limit=limit)


def usage(by: str, workflow: str) -> Call[list[UsageRow]]:
    """Return the call for what attempts have used."""
    return get(path("usage"), as_type(list[UsageRow]), by=by, workflow=workflow)
