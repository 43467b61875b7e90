"""The tools: their names, what they take, and which call of the engine each is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.engine import Engine, RunFilter, WorkflowReference
from openagents_json.server.mcp.schemas import (
    LIMIT,
    REASON,
    RUN,
    SECONDS,
    TEXT,
    object_of,
)

Arguments = Mapping[str, Any]
WAIT_SECONDS: Final = 20.0
"""How long a run is awaited unless a caller says otherwise: hosts give up on tools that say nothing for a minute."""


@dataclass(frozen=True, slots=True)
class AwaitedRun:
    """What a tool gives that answers with a run as it is at its end, or when the time is over."""

    run: str
    seconds: float


@dataclass(frozen=True, slots=True)
class EngineTool:
    """A tool: what it takes as a JSON Schema, and what it does; one that `only_reads` changes nothing.

    What workflows take is checked by the engine: a pattern of a document may take a validator of schemas for ever.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    call: Callable[[Engine, Arguments], Any]
    only_reads: bool = True
    destroys: bool = False
    checks_itself: bool = False


def _list_runs(engine: Engine, given: Arguments) -> Any:
    chosen = RunFilter(
        status=tuple(given.get("status", ())), workflow=tuple(given.get("workflow", ()))
    )
    return engine.views.runs(chosen, limit=given.get("limit", 20))


def _list_workflows(engine: Engine, _: Arguments) -> Any:
    return {
        "versions": sorted(engine.workflows.published()),
        "aliases": engine.workflows.aliases(),
    }


def _validate(engine: Engine, given: Arguments) -> Any:
    report = engine.validate(given["document"])
    return {"valid": report.valid, "problems": report.problems}


def start_and_wait(
    engine: Engine, workflow: Any, inputs: Any, seconds: float, key: str | None = None
) -> AwaitedRun:
    """Start a run, to be answered with as it is at its end, or when the time is over."""
    document = WorkflowReference(workflow) if isinstance(workflow, str) else workflow
    run = engine.start(document, inputs, idempotency_key=key)
    return AwaitedRun(run.id, seconds)


def _start(engine: Engine, given: Arguments) -> Any:
    return start_and_wait(
        engine,
        given["workflow"],
        given.get("inputs", {}),
        given.get("wait_seconds", WAIT_SECONDS),
        given.get("idempotency_key"),
    )


def _signal(engine: Engine, given: Arguments) -> Any:
    engine.signal(
        given["run"],
        given["name"],
        given.get("payload"),
        key=given.get("key"),
        reason=given.get("reason", ""),
    )
    return engine.state(given["run"])


def _cancel(engine: Engine, given: Arguments) -> Any:
    engine.cancel(given["run"], given.get("reason", ""))
    return engine.state(given["run"])


def _retry(engine: Engine, given: Arguments) -> Any:
    step = given.get("step", "")
    engine.retry(given["run"], step=step, reason=given.get("reason", ""))
    return engine.state(given["run"])


_NAMES: Final = {"type": "array", "items": TEXT}
_WORKFLOW: Final = {
    "anyOf": [{"type": "object"}, {"type": "string"}],
    "description": "A document, or a published workflow: id, id@range or id@alias.",
}

LOOKING: Final = (
    EngineTool(
        "list_runs",
        "List runs, newest first.",
        object_of(status=_NAMES, workflow=_NAMES, limit=LIMIT),
        _list_runs,
    ),
    EngineTool(
        "get_run",
        "Return a run as it is: status, inputs, output, error, steps.",
        object_of("run", run=RUN),
        lambda engine, given: engine.state(given["run"]),
    ),
    EngineTool(
        "wait_run",
        "Wait for the end of a run, and return it.",
        object_of("run", run=RUN, wait_seconds=SECONDS),
        lambda _, given: AwaitedRun(
            given["run"], given.get("wait_seconds", WAIT_SECONDS)
        ),
    ),
    EngineTool(
        "get_history",
        "Return events of a run behind a version, oldest first.",
        object_of("run", run=RUN, after={"type": "integer", "minimum": 0}, limit=LIMIT),
        lambda engine, given: engine.history(
            given["run"], after=given.get("after", 0), limit=given.get("limit", 100)
        ),
    ),
    EngineTool(
        "explain_run",
        "Say why a run is as it is: where it failed or waits, and what to do.",
        object_of("run", run=RUN),
        lambda engine, given: engine.explain(given["run"]),
    ),
    EngineTool(
        "diff_runs",
        "Compare two runs.",
        object_of("run", "other", run=RUN, other=RUN),
        lambda engine, given: engine.replay.diff(given["run"], given["other"]),
    ),
    EngineTool(
        "list_failures",
        "List the classes of failures, the latest first.",
        object_of(),
        lambda engine, _: engine.views.failures(),
    ),
    EngineTool(
        "list_waiting",
        "List the steps that wait for a signal, as an approval.",
        object_of(limit=LIMIT),
        lambda engine, given: engine.waiting(limit=given.get("limit", 20)),
    ),
    EngineTool(
        "list_workflows", "List the published workflows.", object_of(), _list_workflows
    ),
    EngineTool(
        "validate_workflow",
        "Find every problem of a document of a workflow.",
        object_of("document", document={"type": "object"}),
        _validate,
    ),
)

ACTING: Final = (
    EngineTool(
        "start_run",
        "Start a run of a workflow and wait a while for its end.",
        object_of(
            "workflow",
            workflow=_WORKFLOW,
            inputs={"type": "object"},
            wait_seconds=SECONDS,
            idempotency_key=TEXT,
        ),
        _start,
        only_reads=False,
    ),
    EngineTool(
        "signal_run",
        "Send a signal to a run, as the answer to what it waits for.",
        object_of(
            "run", "name", run=RUN, name=TEXT, payload={}, key=TEXT, reason=REASON
        ),
        _signal,
        only_reads=False,
    ),
    EngineTool(
        "retry_run",
        "Let a failed run go on from what failed, or from a step.",
        object_of("run", run=RUN, step=TEXT, reason=REASON),
        _retry,
        only_reads=False,
    ),
    EngineTool(
        "cancel_run",
        "Ask a run to end.",
        object_of("run", run=RUN, reason=REASON),
        _cancel,
        only_reads=False,
        destroys=True,
    ),
)
