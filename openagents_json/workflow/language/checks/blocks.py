"""The steps and connections of a block: what each means among the others, and what refers to what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.templates import TemplatePart
from openagents_json.workflow.language.checks.edges import check_edges
from openagents_json.workflow.language.checks.kinds import check_kind
from openagents_json.workflow.language.checks.references import compiled
from openagents_json.workflow.language.checks.shapes import array_of
from openagents_json.workflow.language.checks.step import StepCheck
from openagents_json.workflow.language.graph import (
    find_cycle,
    is_sequential,
    split_end,
    ways,
)
from openagents_json.workflow.language.nested_steps import block_of, steps_in
from openagents_json.workflow.language.problems import Collector, Nearest
from openagents_json.workflow.language.scoping import inner_names, local, names_in
from openagents_json.workflow.validation.dead import check_dead_steps

Reference = tuple[str, str]
"""A step that something refers to, with the place."""

References = Mapping[str, list[Reference]]
"""What each step of a block refers to in it."""


class Block(NamedTuple):
    """A block that has been looked through: its steps, what they refer to, and where it is."""

    content: Mapping[str, Any]
    references: References
    pointer: str


class Blocks:
    """Looks through steps, block by block, and notes what refers to what in each block inside of them."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.inner: list[Block] = []

    def check(
        self, block: Mapping[str, Any], names: Names, pointer: str
    ) -> list[Reference]:
        """Look through a block; gives what its steps refer to outside of it."""
        steps = steps_in(block)
        ids = frozenset(step["id"] for _, step in steps)
        references: dict[str, list[Reference]] = {}
        self.inner.append(Block(block, references, pointer))
        beyond: list[Reference] = []
        for index, step in steps:
            every = self.step(step, names, ids, f"{pointer}/steps/{index}")
            references[step["id"]] = inside_of(every, step["id"], ids)
            beyond += [reference for reference in every if reference[0] not in ids]
        for index, connection in enumerate(array_of(block.get("connections"))):
            at = f"{pointer}/connections/{index}"
            check_connection(connection, at, names, ids, self.collector)
        if pointer and "output" in block:
            at = f"{pointer}/output"
            compiled(block["output"], names, at, self.collector, None)
        return beyond

    def step(
        self, step: Mapping[str, Any], names: Names, ids: frozenset[str], pointer: str
    ) -> list[Reference]:
        """Look through a step and what is inside of it; gives the steps around it that it refers to, with the place."""
        check_kind(step, pointer, self.collector)
        check = StepCheck(step, pointer, names, ids, self.collector)
        parts = check.run()
        inner_block = block_of(step)
        beyond: list[Reference] = []
        if inner_block is None:
            check.loop_conditions(check.inner)
        else:
            block, path = inner_block
            at = pointer + path
            inside = names_in(block, names, *inner_names(step), at=at)
            check.loop_conditions(inside)
            beyond = self.check(block, inside, at)
        return [*_step_references(parts, names), *beyond]


def inside_of(
    references: Iterable[Reference], own: str, ids: Set[str]
) -> list[Reference]:
    """Return those of a step's references that lead to other steps of its block."""
    return [item for item in references if item[0] in ids and item[0] != own]


def _step_references(
    parts: Iterable[TemplatePart], names: Names
) -> Iterator[Reference]:
    for part in parts:
        for step in part.steps:
            if step in names.steps and step not in names.local:
                yield step, part.pointer


def check_connection(
    connection: Any,
    pointer: str,
    names: Names,
    ids: frozenset[str],
    collector: Collector,
) -> None:
    """Look at the ends of a connection, and at its expressions."""
    if not isinstance(connection, Mapping):
        return
    for end in ("source", "target"):
        at = f"{pointer}/{end}"
        _check_end(connection.get(end), end, at, names, ids, collector)
    inside = local(names, "value", "source")
    for key in ("condition", "transform"):
        text = connection.get(key)
        if isinstance(text, str):
            at = f"{pointer}/{key}"
            compiled(text, inside, at, collector, None, condition=True)


def _check_end(
    text: Any,
    end: str,
    pointer: str,
    names: Names,
    ids: frozenset[str],
    collector: Collector,
) -> None:
    if not isinstance(text, str):
        return
    step, name = split_end(text)
    if not step or name == "" or (name is not None and "." in name):
        message = f"{text!r} is neither a step nor step.{'output' if end == 'source' else 'input'}"
        collector.error(f"invalid_{end}_format", pointer, message, found=text)
    elif step not in ids:
        message = f"there is no step {step!r}"
        near = Nearest(step, ids)
        code = f"missing_{end}_step"
        collector.error(code, pointer, message, found=step, near=near)
    elif end == "source" and step in names.outputs:
        collector.uses.add(("steps", step, *([] if name is None else [name])))
        _check_source_output(step, name, pointer, names.outputs[step], collector)


def _check_source_output(
    step: str,
    name: str | None,
    pointer: str,
    declared: Set[str],
    collector: Collector,
) -> None:
    if name in (None, "output") or name in declared:
        return
    collector.error(
        "missing_source_output",
        pointer,
        f"step {step!r} declares no output {name!r}",
        found=name,
        near=Nearest(str(name), declared),
    )


def check_order_of(block: Block, collector: Collector) -> None:
    """Look at where the edges of a block lead, and whether any order of its steps fits them."""
    content, references, pointer = block
    order = [step["id"] for _, step in steps_in(content)]
    edges = ways(content, references, pointer)
    check_edges(content, edges, pointer, collector)
    check_dead_steps(content, edges, pointer, collector)
    cycle = find_cycle(order, edges)
    if cycle is not None:
        message = f"the steps {' -> '.join(cycle)} wait for each other"
        at = f"{pointer}/steps/{order.index(cycle[0])}"
        collector.error("cycle_detected", at, message, found=cycle, step_id=cycle[0])
    elif is_sequential(content):
        _check_order(order, references, collector)


def _check_order(
    order: list[str],
    references: References,
    collector: Collector,
) -> None:
    """Refuse references to steps that run later, where steps run one after the other."""
    position = {name: index for index, name in enumerate(order)}
    for name, sources in references.items():
        for source, pointer in sources:
            if position[source] > position[name]:
                collector.error(
                    "cycle_detected",
                    pointer,
                    f"step {name!r} refers to {source!r}, which runs after it",
                    found=[name, source, name],
                    step_id=name,
                )
