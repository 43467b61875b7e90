"""Histories for other systems: CloudEvents, and spans of OpenTelemetry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from eventstore.event import Json, Recorded
from executor.histories.origins import origin, origins
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_traits import Attempt
from openagents_json.workflow.core.event_types import (
    AFTERWARDS,
    CLOSED_AS,
    ENDED_AS,
    names_with,
)

_FAILED: Final = names_with(
    lambda traits: traits.attempt in (Attempt.FAILED, Attempt.TIMED_OUT, Attempt.LOST)
)

_OK, _ERROR, _UNSET = 1, 2, 0
_INTERNAL, _CLIENT, _CONSUMER = 1, 3, 5


def cloud_event(item: Recorded, source: str) -> dict[str, Json]:
    """Return a stored event as a CloudEvent 1.0 in JSON; `source` names the store."""
    data: Mapping[str, Any] = item.data if isinstance(item.data, Mapping) else {}
    step = data.get("step")
    written = origin(item)
    event: dict[str, Json] = {
        "specversion": "1.0",
        "id": f"{item.stream}/{item.version}",
        "source": f"{source.rstrip('/')}/runs/{item.stream}",
        "type": f"openagents.{item.type}",
        "subject": str(step) if step else item.stream,
        "time": _iso(item.time_ms),
        "datacontenttype": "application/json",
        "data": item.data,
        "actor": item.actor,
        "cause": item.cause,
        "commit": item.commit,
        "runversion": item.version,
        "logpartition": item.position.partition,
        "logposition": item.position.n,
    }
    return event | ({"imported": written} if written else {})


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).replace(
        microsecond=time_ms % 1000 * 1000
    )
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spans(history: Sequence[Recorded], service: str = "openagents") -> dict[str, Json]:
    """Return a run as a trace in OTLP's JSON: one span for the run, one for each attempt of a step and each child run.

    Ids are computed from run, step and attempt, so a history always gives the same trace. A run that another one
    started has a link to the span of that one which waits for it.
    """
    run = history[0].stream
    attempts = [*_attempts(history), *_children(history)]
    resource = {"attributes": _attributes({"service.name": service})}
    scope = {
        "scope": {"name": "openagents_json"},
        "spans": [_run_span(run, history), *attempts],
    }
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _run_span(run: str, history: Sequence[Recorded]) -> dict[str, Json]:
    begin = _begin(history)
    last = _end(history)
    name = f"workflow {begin.get('workflow', '')}"
    span = _span(
        run=run,
        part="",
        name=name,
        kind=_INTERNAL,
        start_ms=history[0].time_ms,
        end_ms=last.time_ms,
    )
    span["attributes"] = _attributes(_run_attributes(run, history, begin, last))
    failed = last.type == ev.RunFailed.__name__
    completed = last.type == ev.RunCompleted.__name__
    span["status"] = _status(failed, completed, last.data)
    span["events"] = [
        _span_event(item, written)
        for item, written in zip(history, origins(history), strict=True)
        if item.type != ev.StepStarted.__name__
    ]
    parent = begin.get("parent")
    if parent:
        span["links"] = [
            {"traceId": _hex(str(parent["run"]), 32), "spanId": _span_of_child(run)}
        ]
    return span


def _begin(history: Sequence[Recorded]) -> Mapping[str, Any]:
    for item in history:
        if item.type == ev.RunStarted.__name__:
            return item.data  # type: ignore[no-any-return]
    return {}


def _run_attributes(
    run: str, history: Sequence[Recorded], begin: Mapping[str, Any], last: Recorded
) -> dict[str, Any]:
    labels = begin.get("labels") or {}
    return {
        "openagents.run": run,
        "openagents.workflow": begin.get("workflow"),
        "openagents.version": begin.get("version"),
        "openagents.status": CLOSED_AS.get(last.type, "open"),
        "openagents.actor": history[0].actor,
        "openagents.imported": origins(history)[0] or None,
        **{f"openagents.label.{name}": value for name, value in labels.items()},
    }


def _end(history: Sequence[Recorded]) -> Recorded:
    """Return the event with which a run ended, which others that change nothing may follow; else its last event."""
    for item in reversed(history):
        if item.type in CLOSED_AS:
            return item
        if item.type not in AFTERWARDS:
            break
    return history[-1]


def _span_of_child(child: str) -> str:
    """Return the id of the span in which a run waits for a child; the child knows it without asking."""
    return _hex(f"{child}/parent", 16)


def _children(history: Iterable[Recorded]) -> Iterable[dict[str, Json]]:
    started: dict[str, Recorded] = {}
    latest = 0
    for item in history:
        latest = item.time_ms
        if item.type == ev.ChildStarted.__name__:
            started[str(item.data["child"])] = item
        elif item.type == ev.ChildClosed.__name__:
            begun = started.pop(str(item.data.get("child")), None)
            if begun is not None:
                yield _child(begun, item.time_ms, str(item.data.get("status")))
    for start in started.values():
        yield _child(start, latest, "under way")


def _child(start: Recorded, end_ms: int, status: str) -> dict[str, Json]:
    run = start.stream
    data = start.data
    span = _span(
        run=run,
        part="",
        name=f"step {data['step']}",
        kind=_CLIENT,
        start_ms=start.time_ms,
        end_ms=end_ms,
    )
    span |= {
        "spanId": _span_of_child(str(data["child"])),
        "parentSpanId": _hex(f"{run}/", 16),
    }
    attributes = {
        "openagents.run": run,
        "openagents.step": data["step"],
        "openagents.child": data["child"],
    }
    span["attributes"] = _attributes({**attributes, "openagents.end": status})
    error = {"error": {"type": "ChildFailed", "message": f"run {data['child']} failed"}}
    span["status"] = _status(status == "failed", status == "completed", error)
    return span


def _attempts(history: Iterable[Recorded]) -> Iterable[dict[str, Json]]:
    begun: dict[str, Recorded] = {}
    latest = 0
    for item in history:
        latest = item.time_ms
        step = (
            str((item.data or {}).get("step", ""))
            if isinstance(item.data, Mapping)
            else ""
        )
        if item.type == ev.StepStarted.__name__:
            begun[step] = item
        elif item.type in ENDED_AS and step in begun:
            yield _attempt(begun.pop(step), item.time_ms, item)
    for start in begun.values():
        yield _attempt(start, latest, None)


def _attempt(start: Recorded, end_ms: int, end: Recorded | None) -> dict[str, Json]:
    data = start.data
    run = start.stream
    span = _span(
        run=run,
        part=f"{data['step']}/{data['attempt']}",
        name=f"step {data['step']}",
        kind=_CONSUMER,
        start_ms=start.time_ms,
        end_ms=end_ms,
    )
    span["parentSpanId"] = _hex(f"{run}/", 16)
    span["attributes"] = _attributes(
        {
            "openagents.run": run,
            "openagents.step": data["step"],
            "openagents.attempt": data["attempt"],
            "openagents.worker": data["worker"],
            "openagents.end": ENDED_AS[end.type] if end else "under way",
        }
    )
    failed = end is not None and end.type in _FAILED
    lost = {
        "error": {
            "type": "LeaseLost",
            "message": f"worker {data['worker']} went silent",
        }
    }
    details = (
        lost
        if end is not None and end.type == ev.StepLeaseLost.__name__
        else end.data
        if end
        else {}
    )
    span["status"] = _status(
        failed, end is not None and end.type == ev.StepCompleted.__name__, details
    )
    return span


def _span(
    run: str, part: str, name: str, kind: int, start_ms: int, end_ms: int
) -> dict[str, Json]:
    return {
        "traceId": _hex(run, 32),
        "spanId": _hex(f"{run}/{part}", 16),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start_ms * 1_000_000),
        "endTimeUnixNano": str(end_ms * 1_000_000),
    }


def _span_event(item: Recorded, written: str) -> dict[str, Json]:
    attributes = {"openagents.version": item.version, "openagents.actor": item.actor}
    if written:
        attributes["openagents.imported"] = written
    if isinstance(item.data, Mapping) and item.data.get("step"):
        attributes["openagents.step"] = item.data["step"]
    return {
        "name": item.type,
        "timeUnixNano": str(item.time_ms * 1_000_000),
        "attributes": _attributes(attributes),
    }


def _status(failed: bool, completed: bool, data: Any) -> dict[str, Json]:
    """Return a status: what was cancelled, given back or is under way has neither succeeded nor failed."""
    if not failed:
        return {"code": _OK if completed else _UNSET}
    error = (data or {}).get("error") or {}
    return {
        "code": _ERROR,
        "message": f"{error.get('type', '')}: {error.get('message', '')}",
    }


def _attributes(values: Mapping[str, Any]) -> list[Json]:
    return [
        {"key": key, "value": _value(value)}
        for key, value in values.items()
        if value is not None
    ]


def _value(value: Any) -> dict[str, Json]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}


def _hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
