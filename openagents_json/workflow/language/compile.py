"""From a definition to its plan: a pure function of the JSON that a run is pinned to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openagents_json.workflow.core.paths import COMPENSATE, ON_FAILURE, inside
from openagents_json.workflow.core.plan import Block, Edge, Gate, Plan, StepPlan
from openagents_json.workflow.core.retry import RetryPolicy
from openagents_json.workflow.definition import Definition, defined
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.templates import (
    Template,
    compile_condition,
    compile_value,
)
from openagents_json.workflow.language.compile_step import (
    Compiled,
    compile_step,
    gate,
    ms,
    optional,
)
from openagents_json.workflow.language.document import Document
from openagents_json.workflow.language.graph import DocumentEdge, split_end, ways
from openagents_json.workflow.language.nested_steps import (
    block_of,
    compensation_step,
    failure_block,
)
from openagents_json.workflow.language.persistence import persistence_of
from openagents_json.workflow.language.scoping import (
    COMPENSATION,
    FAILURE,
    inner_names,
    local,
    names_in,
    names_of,
)
from openagents_json.workflow.language.steps import Connection
from openagents_json.workflow.types import Json

UNDO_RETRY = RetryPolicy(max_retries=3, delay_ms=1000, multiplier=2.0)
"""How a compensation is retried that does not say it: it should not stay undone for a passing fault."""


def compile_plan(definition: Json | Definition) -> Plan:
    """Compile a bound definition, {"document": ..., "bindings": {step: ...}}, that validation has accepted.

    Raises ExpressionError.
    """
    if not isinstance(definition, Definition):
        definition = defined(definition)
    document = definition.content["document"]
    model = Document(document)
    names = definition.names or names_of(document)
    draft = _Draft(definition.content["bindings"])
    order = draft.block(document, names, "", "").order
    failure = failure_block(document)
    if failure is not None:
        held = names_in(failure[0], names, *FAILURE, at=failure[1])
        steps = draft.block(failure[0], held, ON_FAILURE, failure[1])
        draft.steps[ON_FAILURE] = StepPlan(
            id=ON_FAILURE, path=ON_FAILURE, kind="block", block=steps
        )
    return Plan(
        hash=definition.hash,
        id=document["id"],
        version=model.version,
        steps=draft.steps,
        order=order,
        timeout_ms=ms(model.timeout),
        output=compile_value(document["output"], names, "/output")
        if "output" in document
        else None,
        outputs=_outputs(model, names),
        parameters=document.get("inputs") or {},
        definition=definition.content,
        encoded=definition.encoded,
        places={path: number for number, path in enumerate(draft.steps)},
        homes=draft.homes,
        signals=tuple(
            signal
            for step in draft.steps.values()
            if step.wait
            for signal in step.wait.signals
        ),
        gates=_run_gates(model, names),
        persistence=persistence_of(model),
    )


def _run_gates(document: Document, names: Names) -> tuple[Gate, ...]:
    gates = []
    limit = document.concurrency
    if limit is not None:
        key = document.id if limit.key is None else limit.key
        gates.append(
            gate(
                "concurrency",
                key,
                int(limit.limit),
                0,
                limit.on_limit,
                names,
                "/concurrency/key",
            )
        )
    debounce = document.debounce
    if debounce is not None:
        key = document.id if debounce.key is None else debounce.key
        gates.append(
            gate(
                "debounce",
                key,
                1,
                ms(debounce.seconds),
                "replace",
                names,
                "/debounce/key",
            )
        )
    return tuple(gates)


def _outputs(document: Document, names: Names) -> dict[str, Template | None]:
    """Compile the sources of declared outputs."""
    sources = {name: spec.source for name, spec in (document.outputs or {}).items()}
    return {
        name: None
        if source is None
        else compile_value(source, names, f"/outputs/{name}/source")
        for name, source in sources.items()
    }


class _Edges:
    """Edges by both ends."""

    def __init__(self, edges: list[Edge]) -> None:
        self.into: dict[str, list[Edge]] = {}
        self.targets: dict[str, dict[str, None]] = {}
        for edge in edges:
            self.into.setdefault(edge.target, []).append(edge)
            self.targets.setdefault(edge.source, {})[edge.target] = None


@dataclass(slots=True)
class _Draft:
    """A plan in the making: steps by static path, in document order."""

    bindings: Mapping[str, Mapping[str, Any]]
    steps: dict[str, StepPlan] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    references: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def block(
        self, block: Mapping[str, Any], names: Names, frame: str, pointer: str
    ) -> Block:
        """Compile the steps of a block; `references` gets what each refers to, with all that is inside of it."""
        compiled_steps = [
            self._step(step, names, frame, f"{pointer}/steps/{i}")
            for i, step in enumerate(block["steps"])
        ]
        ids = {compiled.plan.id for compiled in compiled_steps}
        references = {
            c.plan.id: [
                (s, at)
                for s, at in self.references[c.plan.path]
                if s in ids and s != c.plan.id
            ]
            for c in compiled_steps
        }
        edges = _Edges([_edge(way, names) for way in ways(block, references, pointer)])
        for compiled in compiled_steps:
            name = compiled.plan.id
            incoming, targets = (
                tuple(edges.into.get(name, ())),
                tuple(edges.targets.get(name, ())),
            )
            self.steps[compiled.plan.path] = compiled.with_edges(incoming, targets)
        output = (
            compile_value(block["output"], names, f"{pointer}/output")
            if frame and "output" in block
            else None
        )
        return Block(tuple(c.plan.id for c in compiled_steps), output)

    def _step(
        self, step: Mapping[str, Any], names: Names, frame: str, pointer: str
    ) -> Compiled:
        path = inside(frame, step["id"])
        self.homes[step["id"]] = path
        held = block_of(step)
        if (
            held is not None
        ):  # in its place in document order; edges come when its block is complete
            self.steps[path] = StepPlan(id=step["id"], path=path, kind="block")
            inner = names_in(held[0], names, *inner_names(step), at=pointer + held[1])
            block = self.block(held[0], inner, path, pointer + held[1])
        else:
            inner, block = local(names, *inner_names(step)), None
        compiled = compile_step(
            step, path, names, inner, self.bindings.get(path, {}), pointer, block
        )
        self.steps[path] = compiled.plan
        self._compensation(step, path, inner if held is None else names, pointer)
        references = list(compiled.references)
        for name in block.order if block else ():
            references += self.references[inside(path, name)]
        self.references[path] = list(dict.fromkeys(references))
        return compiled

    def _compensation(
        self, step: Mapping[str, Any], path: str, names: Names, pointer: str
    ) -> None:
        undo = compensation_step(step)
        if undo is not None:
            here, binding = (
                local(names, *COMPENSATION),
                self.bindings.get(path + COMPENSATE, {}),
            )
            compiled = compile_step(
                undo,
                path + COMPENSATE,
                here,
                here,
                binding,
                f"{pointer}/compensate",
                None,
            )
            retry = compiled.plan.retry if "retry" in undo else UNDO_RETRY
            self.steps[path + COMPENSATE] = compiled.with_edges((), (), retry=retry)


def _edge(way: DocumentEdge, names: Names) -> Edge:
    if way.connection is None:
        return Edge(
            way.source, way.target, order=way.kind == "order", goto=way.kind == "goto"
        )
    connection, here = Connection(way.connection), local(names, "value", "source")
    transform = connection.transform
    return Edge(
        way.source,
        way.target,
        condition=optional(connection.condition, here, f"{way.pointer}/condition"),
        transform=None
        if transform is None
        else compile_condition(transform, here, f"{way.pointer}/transform"),
        output=split_end(connection.source)[1],
        input=split_end(connection.target)[1],
    )
