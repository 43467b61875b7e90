"""From a definition to its plan: a pure function of the JSON that a run is pinned to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from openagents_json.workflow.core.paths import COMPENSATE, ON_FAILURE, inside
from openagents_json.workflow.core.plan import (
    Block,
    Edge,
    Fairness,
    Gate,
    Persistence,
    Plan,
    SignalWait,
    StepPlan,
)
from openagents_json.workflow.core.retry import RetryPolicy
from openagents_json.workflow.core.usage import Budget, budget_of
from openagents_json.workflow.definition import Definition, defined
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.templates import (
    Template,
    compile_condition,
    compile_value,
)
from openagents_json.workflow.language.compile_step import Compiled, compile_step
from openagents_json.workflow.language.document import Document
from openagents_json.workflow.language.graph import DocumentEdge, split_end, ways
from openagents_json.workflow.language.nested_steps import (
    block_of,
    compensation_step,
    failure_block,
)
from openagents_json.workflow.language.scoping import (
    COMPENSATION,
    FAILURE,
    inner_names,
    local,
    names_in,
    names_of,
)
from openagents_json.workflow.language.step_templates import ms, optional
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
    draft = _Draft(definition.content["bindings"], _fairness(model, names))
    order = draft.block(document, names, "", "").order
    failure = failure_block(document)
    if failure is not None:
        draft.failure_step(*failure, names)
    output = None
    if "output" in document:
        output = compile_value(document["output"], names, "/output")
    return Plan(
        hash=definition.hash,
        id=document["id"],
        version=model.version,
        steps=draft.steps,
        order=order,
        timeout_ms=ms(model.timeout),
        output=output,
        outputs=_outputs(model, names),
        parameters=document.get("inputs") or {},
        definition=definition.content,
        encoded=definition.encoded,
        positions={path: number for number, path in enumerate(draft.steps)},
        homes=draft.homes,
        signals=draft.signals(),
        gates=_run_gates(model, names),
        persistence=_persistence(model),
        budget=_budget(model),
    )


def _fairness(document: Document, names: Names) -> Fairness | None:
    """Return the key of all steps that have none of their own."""
    spec = document.fairness
    if spec is None:
        return None
    template = compile_value(spec.key, names, "/fairness/key")
    return Fairness(template, int(spec.weight))


def _run_gates(document: Document, names: Names) -> tuple[Gate, ...]:
    """Return what lets a run in, in the order in which it is asked."""
    gates = []
    concurrency = document.concurrency
    if concurrency is not None:
        key = document.id if concurrency.key is None else concurrency.key
        template = compile_value(key, names, "/concurrency/key")
        limit = int(concurrency.limit)
        policy = concurrency.on_limit
        gates.append(
            Gate(kind="concurrency", key=template, limit=limit, per_ms=0, policy=policy)
        )
    debounce = document.debounce
    if debounce is not None:
        key = document.id if debounce.key is None else debounce.key
        template = compile_value(key, names, "/debounce/key")
        gates.append(
            Gate(
                kind="debounce",
                key=template,
                limit=1,
                per_ms=ms(debounce.seconds),
                policy="replace",
            )
        )
    return tuple(gates)


def _outputs(document: Document, names: Names) -> dict[str, Template | None]:
    """Compile the sources of declared outputs."""
    outputs: dict[str, Template | None] = {}
    for name, spec in (document.outputs or {}).items():
        pointer = f"/outputs/{name}/source"
        source = spec.source
        outputs[name] = (
            None if source is None else compile_value(source, names, pointer)
        )
    return outputs


OLD_NAMES: Final = {
    "none": "outcome",
    "memory": "checkpoint",
    "disk": "step",
    "database": "step",
}
"""What 0.1.4 called the persistence of a run."""


def _persistence(document: Document) -> Persistence:
    """Return how much of a run goes to the log; the document's own word goes before that of 0.1.4."""
    chosen = document.persistence
    if chosen is not None:
        every_ms = round(1000 * float(chosen.every_seconds))
        return Persistence(chosen.mode, int(chosen.every_steps), every_ms)
    old = document.state_dependencies
    name = None if old is None else old.persistence
    return Persistence(OLD_NAMES.get(str(name), "step"))


def _budget(document: Document) -> Budget | None:
    """Return how much a run may use, None for as much as it likes."""
    budget = document.budget
    if budget is None:
        return None
    options = {name: getattr(budget, name) for name in type(budget).options}
    limits = {name: value for name, value in options.items() if value is not None}
    return Budget(**budget_of(limits))


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
    fairness: Fairness | None = None
    steps: dict[str, StepPlan] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    references: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def block(
        self, block: Mapping[str, Any], names: Names, frame: str, pointer: str
    ) -> Block:
        """Compile the steps of a block; `references` gets what each refers to, with all that is inside of it."""
        compiled_steps = [
            self._step(step, names, frame, f"{pointer}/steps/{index}")
            for index, step in enumerate(block["steps"])
        ]
        order = tuple(compiled.plan.id for compiled in compiled_steps)
        references = self._references_among(compiled_steps)
        ways_between = ways(block, references, pointer)
        edges = _Edges([_edge(way, names) for way in ways_between])
        for compiled in compiled_steps:
            name = compiled.plan.id
            incoming = tuple(edges.into.get(name, ()))
            targets = tuple(edges.targets.get(name, ()))
            self.steps[compiled.plan.path] = compiled.with_edges(incoming, targets)
        output = None
        if frame and "output" in block:
            output = compile_value(block["output"], names, f"{pointer}/output")
        return Block(order, output)

    def failure_step(
        self, block: Mapping[str, Any], pointer: str, names: Names
    ) -> None:
        """Compile what is done when the run has failed, as a block of its own."""
        inside_names = names_in(block, names, *FAILURE, at=pointer)
        compiled = self.block(block, inside_names, ON_FAILURE, pointer)
        self.steps[ON_FAILURE] = StepPlan(
            id=ON_FAILURE, path=ON_FAILURE, kind="block", block=compiled
        )

    def signals(self) -> tuple[SignalWait, ...]:
        """Return the signals that steps wait for."""
        waits = [step.wait for step in self.steps.values() if step.wait]
        return tuple(signal for wait in waits for signal in wait.signals)

    def _references_among(
        self, compiled_steps: Sequence[Compiled]
    ) -> dict[str, list[tuple[str, str]]]:
        """Return the steps of a block that each of them refers to."""
        ids = {compiled.plan.id for compiled in compiled_steps}
        among = {}
        for compiled in compiled_steps:
            name = compiled.plan.id
            among[name] = [
                (step, at)
                for step, at in self.references[compiled.plan.path]
                if step in ids and step != name
            ]
        return among

    def _step(
        self, step: Mapping[str, Any], names: Names, frame: str, pointer: str
    ) -> Compiled:
        path = inside(frame, step["id"])
        self.homes[step["id"]] = path
        inner_block = block_of(step)
        block = None
        if inner_block is None:
            inner = own = local(names, *inner_names(step))
        else:
            # In its place in document order; edges come when its block is complete.
            self.steps[path] = StepPlan(id=step["id"], path=path, kind="block")
            held, at = inner_block
            inner = names_in(held, names, *inner_names(step), at=pointer + at)
            own = names
            block = self.block(held, inner, path, pointer + at)
        binding = self.bindings.get(path, {})
        compiled = compile_step(step, path, names, inner, binding, pointer, block)
        if compiled.plan.fairness is None:
            compiled = compiled.with_fairness(self.fairness)
        self.steps[path] = compiled.plan
        self._compensation(step, path, own, pointer)
        references = list(compiled.references)
        for name in block.order if block else ():
            references += self.references[inside(path, name)]
        self.references[path] = list(dict.fromkeys(references))
        return compiled

    def _compensation(
        self, step: Mapping[str, Any], path: str, names: Names, pointer: str
    ) -> None:
        undo = compensation_step(step)
        if undo is None:
            return
        undo_path = path + COMPENSATE
        undo_names = local(names, *COMPENSATION)
        compiled = compile_step(
            step=undo,
            path=undo_path,
            names=undo_names,
            inner=undo_names,
            binding=self.bindings.get(undo_path, {}),
            pointer=f"{pointer}/compensate",
            block=None,
        )
        retry = compiled.plan.retry if "retry" in undo else UNDO_RETRY
        self.steps[undo_path] = compiled.with_edges((), (), retry=retry)


def _edge(way: DocumentEdge, names: Names) -> Edge:
    if way.connection is None:
        is_order = way.kind == "order"
        is_goto = way.kind == "goto"
        return Edge(way.source, way.target, order=is_order, goto=is_goto)
    connection = Connection(way.connection)
    end_names = local(names, "value", "source")
    condition = optional(connection.condition, end_names, f"{way.pointer}/condition")
    transform = None
    if connection.transform is not None:
        pointer = f"{way.pointer}/transform"
        transform = compile_condition(connection.transform, end_names, pointer)
    return Edge(
        way.source,
        way.target,
        condition=condition,
        transform=transform,
        output=split_end(connection.source)[1],
        input=split_end(connection.target)[1],
    )
