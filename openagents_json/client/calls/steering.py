"""What is done to runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from openagents_json.client.calls.call import Call, as_type, nothing, path, post
from openagents_json.client.calls.documents import sent_workflow
from openagents_json.client.calls.starting import id_of

if TYPE_CHECKING:
    from openagents_json.engine.archive.redaction import Redacted
    from openagents_json.engine.documents import Document


def _act(run: str, action: str, key: str, **body: Any) -> Call[None]:
    return post(path("runs", run, action), body, nothing, key=key)


def cancel(
    run: str, reason: str, force: bool, compensate: bool, key: str
) -> Call[None]:
    """Return the call that asks a run to end."""
    return _act(run, "cancel", key, reason=reason, force=force, compensate=compensate)


def pause(run: str, reason: str, key: str) -> Call[None]:
    """Return the call that pauses a run."""
    return _act(run, "pause", key, reason=reason)


def resume(run: str, reason: str, key: str) -> Call[None]:
    """Return the call that lets a paused run go on."""
    return _act(run, "resume", key, reason=reason)


def retry(
    run: str,
    step: str,
    inputs: Mapping[str, Any] | None,
    reason: str,
    workflow: Document | None,
    key: str,
) -> Call[None]:
    """Return the call that lets a closed run go on."""
    body: dict[str, Any] = {"step": step, "inputs": inputs, "reason": reason}
    if workflow is not None:
        body["workflow"] = sent_workflow(workflow)
    return _act(run, "retry", key, **body)


def rerun(
    run: str, inputs: Mapping[str, Any] | None, reason: str, key: str
) -> Call[None]:
    """Return the call that does a closed run again."""
    return _act(run, "rerun", key, inputs=inputs, reason=reason)


def fork(
    run: str, at: int, inputs: Mapping[str, Any] | None, reason: str, key: str
) -> Call[str]:
    """Return the call that begins a new run with the same past."""
    body = {"at": at, "inputs": inputs, "reason": reason}
    return post(path("runs", run, "fork"), body, id_of, key=key)


def skip(run: str, step: str, reason: str, key: str) -> Call[None]:
    """Return the call that skips a step."""
    return _act(run, "skip", key, step=step, reason=reason)


def complete(run: str, step: str, output: Any, reason: str, key: str) -> Call[None]:
    """Return the call that gives a step its result."""
    return _act(run, "complete", key, step=step, output=output, reason=reason)


def signal(run: str, name: str, body: Mapping[str, Any], key: str) -> Call[None]:
    """Return the call that sends a signal to a run."""
    return post(path("runs", run, "signal", name), dict(body), nothing, key=key)


def hold(run: str, reason: str, key: str) -> Call[None]:
    """Return the call that lets nothing of a run be erased."""
    return _act(run, "hold", key, reason=reason)


def release(run: str, reason: str, key: str) -> Call[None]:
    """Return the call that lets a held run be erased again."""
    return _act(run, "release", key, reason=reason)


def redact(
    run: str,
    reason: str,
    steps: Iterable[str],
    events: Iterable[int],
    labels: bool,
    key: str,
) -> Call[Redacted]:
    """Return the call that erases what a closed run worked with."""
    from openagents_json.engine.archive.redaction import Redacted

    body = {
        "reason": reason,
        "steps": list(steps),
        "events": list(events),
        "labels": labels,
    }
    return post(path("runs", run, "redact"), body, as_type(Redacted), key=key)


def delete(run: str, reason: str) -> Call[None]:
    """Return the call that deletes a closed run for good."""
    query = {"reason": reason} if reason else {}
    return Call("DELETE", path("runs", run), nothing, query=query)
