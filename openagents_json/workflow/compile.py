"""From a definition to its plan: a pure function of the JSON that a run is pinned to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from openagents_json.workflow.graph import Way, goto_target, split_end, ways
from openagents_json.workflow.plan import Edge, ErrorHandler, Plan, StepPlan, Timeouts, definition_hash
from openagents_json.workflow.retry import RetryPolicy
from openagents_json.workflow.templates import (
    SECRETS,
    Names,
    Template,
    compile_condition,
    compile_value,
    odd_names,
    secrets_of,
)
from openagents_json.workflow.types import Json

ENGINE_QUEUE: Final = "engine"


def compile_plan(definition: Json) -> Plan:
    """Compile a bound definition, {"document": ..., "bindings": {step: ...}}, that validation has accepted.

    Raises ExpressionError.
    """
    document, bindings = definition["document"], definition["bindings"]
    names = names_of(document)
    compiled = {step["id"]: _Parts(step, names, f"/steps/{i}") for i, step in enumerate(document["steps"])}
    references = {name: parts.references() for name, parts in compiled.items()}
    edges = _Edges([_edge(way, names) for way in ways(document, references)])
    steps = {
        step["id"]: _step(step, bindings.get(step["id"], {}), compiled[step["id"]], edges, names, f"/steps/{i}")
        for i, step in enumerate(document["steps"])
    }
    outputs = document.get("outputs") or {}
    return Plan(
        hash=definition_hash(definition),
        id=document["id"],
        version=document.get("version", "1.0.0"),
        steps=steps,
        order=tuple(steps),
        timeout_ms=ms(document.get("timeout", 0)),
        output=compile_value(document["output"], names, "/output") if "output" in document else None,
        outputs={name: _source(spec, names, f"/outputs/{name}") for name, spec in outputs.items()},
        parameters=document.get("inputs") or {},
        definition=definition,
    )


def names_of(document: Mapping[str, Any]) -> Names:
    """Give the names that a document declares."""
    steps = [step for step in document["steps"] if isinstance(step, Mapping) and isinstance(step.get("id"), str)]
    outputs = {s["id"]: frozenset(s["outputs"]) for s in steps if isinstance(s.get("outputs"), Mapping)}
    declared = document.get("inputs")
    inputs = frozenset(str(k) for k in declared) if isinstance(declared, Mapping) else frozenset()
    ids = frozenset(s["id"] for s in steps)
    return Names(ids, inputs, outputs, odd=odd_names(ids))


def ms(seconds: Any) -> int:
    """Give seconds as ms."""
    return round(float(seconds or 0) * 1000)


def local(names: Names, *more: str) -> Names:
    """Give names with those of a place added."""
    return replace(names, local=frozenset(more))


def _source(spec: Json, names: Names, pointer: str) -> Template | None:
    source = spec.get("source") if isinstance(spec, Mapping) else None
    return None if source is None else compile_value(source, names, f"{pointer}/source")


class _Edges:
    """Edges by both ends."""

    def __init__(self, edges: list[Edge]) -> None:
        self.into: dict[str, list[Edge]] = {}
        self.targets: dict[str, dict[str, None]] = {}
        for edge in edges:
            self.into.setdefault(edge.target, []).append(edge)
            self.targets.setdefault(edge.source, {})[edge.target] = None


class _Parts:
    """The templates of one step that make edges."""

    def __init__(self, step: Mapping[str, Any], names: Names, pointer: str) -> None:
        here = local(names, SECRETS)
        self.inputs = {
            name: compile_value(value, here, f"{pointer}/inputs/{name}")
            for name, value in (step.get("inputs") or {}).items()
        }
        condition = step.get("condition")
        self.condition = _condition(condition, names, f"{pointer}/condition")
        spec = step.get("terminate")
        self.terminate: tuple[str, Template | None] | None = None
        if spec is not None:
            status, output = (
                (spec, None) if isinstance(spec, str) else (spec.get("status", "success"), spec.get("output"))
            )
            template = None if output is None else compile_value(output, names, f"{pointer}/terminate/output")
            self.terminate = ("failed" if status in ("failure", "failed") else "completed", template)
        self._id = step["id"]

    def references(self) -> list[tuple[str, str]]:
        """Give the steps that they refer to, with the place."""
        templates = [*self.inputs.values(), self.condition, self.terminate[1] if self.terminate else None]
        found = [(s, part.pointer) for t in templates if t is not None for part in t.parts for s in part.steps]
        return [(step, pointer) for step, pointer in dict.fromkeys(found) if step != self._id]


def _condition(value: Json, names: Names, pointer: str) -> Template | None:
    if value is None:
        return None
    if isinstance(value, str):
        return compile_condition(value, names, pointer)
    return compile_value(value, names, pointer)


def _edge(way: Way, names: Names) -> Edge:
    if way.connection is None:
        return Edge(way.source, way.target, order=way.kind == "order", goto=way.kind == "goto")
    connection, here = way.connection, local(names, "value", "source")
    transform = connection.get("transform")
    return Edge(
        way.source,
        way.target,
        condition=_condition(connection.get("condition"), here, f"{way.pointer}/condition"),
        transform=None if transform is None else compile_condition(transform, here, f"{way.pointer}/transform"),
        output=split_end(connection["source"])[1],
        input=split_end(connection["target"])[1],
    )


def _step(
    step: Mapping[str, Any], binding: Mapping[str, Any], parts: _Parts, edges: _Edges, names: Names, pointer: str
) -> StepPlan:
    join, cancel_rest = _join(step.get("join", "all"))
    queue = binding.get("queue", ENGINE_QUEUE)
    return StepPlan(
        id=step["id"],
        kind="terminate" if parts.terminate else "component",
        component=step.get("component"),
        queue=f"{queue}.async" if binding.get("is_async") else queue,
        priority=int(step.get("priority", 0)),
        incoming=tuple(edges.into.get(step["id"], ())),
        targets=tuple(edges.targets.get(step["id"], ())),
        join=join,
        cancel_rest=cancel_rest,
        retry=_retry(step.get("retry")),
        timeouts=_timeouts(step, binding),
        on_error=tuple(_handler(h, names, f"{pointer}/on_error/{i}") for i, h in enumerate(step.get("on_error") or ())),
        effect=step.get("effect") or binding.get("effect") or "idempotent",
        lost_limit=int(binding.get("lost_limit", 3)),
        inputs=parts.inputs,
        outputs=_outputs(step.get("outputs") or {}, local(names, "result", "output"), f"{pointer}/outputs"),
        condition=parts.condition,
        terminate=parts.terminate,
        secrets={name: found for name, template in parts.inputs.items() if (found := secrets_of(template))},
    )


def _join(value: Json) -> tuple[str | int, bool]:
    if isinstance(value, Mapping):
        return value.get("n", "all"), bool(value.get("cancel_rest"))
    return (1 if value == "any" else "all"), False


def _retry(value: Json) -> RetryPolicy:
    if value is None:
        return RetryPolicy()
    jitter = value.get("jitter", 0)
    longest = value.get("max_delay_seconds")
    return RetryPolicy(
        max_retries=int(value.get("max_attempts", 3)),
        delay_ms=ms(value.get("delay_seconds", 5)),
        multiplier=float(value.get("backoff_multiplier", 1.0)),
        max_delay_ms=None if longest is None else ms(longest),
        jitter=0.1 if jitter is True else float(jitter),
        retry_on=tuple(value.get("retry_on", ())),
        no_retry_on=tuple(value.get("no_retry_on", ())),
    )


def _timeouts(step: Mapping[str, Any], binding: Mapping[str, Any]) -> Timeouts:
    given = step.get("timeouts") or {}
    close = ms(given.get("start_to_close", step.get("timeout", 0))) or int(binding.get("timeout_ms", 0))
    return Timeouts(
        ms(given.get("schedule_to_start", 0)), close, ms(given.get("heartbeat", 0)), ms(given.get("total", 0))
    )


def _handler(value: Mapping[str, Any], names: Names, pointer: str) -> ErrorHandler:
    goto, output = goto_target(value), value.get("output")
    then = "goto" if goto else str(value.get("then", "fail"))
    template = None if output is None else compile_value(output, local(names, "error"), f"{pointer}/output")
    return ErrorHandler(tuple(value.get("errors") or ()), then, goto, template)


def _outputs(values: Mapping[str, Any], names: Names, pointer: str) -> dict[str, Template | str]:
    made: dict[str, Template | str] = {}
    for name, value in values.items():
        template = compile_value(value, names, f"{pointer}/{name}")
        made[name] = value if isinstance(value, str) and not template.parts else template
    return made
