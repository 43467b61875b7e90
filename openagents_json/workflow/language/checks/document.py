"""The meaning of a document: names, references, components, edges; each part is looked at if its shape allows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.core.parameters import check_value
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.templates import TemplatePart, escape
from openagents_json.workflow.language.checks.calls import check_calls
from openagents_json.workflow.language.checks.edges import check_edges
from openagents_json.workflow.language.checks.kinds import check_kind
from openagents_json.workflow.language.checks.lookups import (
    carried_in,
    check_component,
    check_workflow,
)
from openagents_json.workflow.language.checks.references import compiled
from openagents_json.workflow.language.checks.secrets import check_secrets
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.checks.step import StepCheck
from openagents_json.workflow.language.graph import (
    find_cycle,
    is_sequential,
    split_end,
    ways,
)
from openagents_json.workflow.language.nested_steps import (
    StepLocation,
    all_steps,
    block_of,
    failure_block,
    steps_in,
)
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.scoping import (
    FAILURE,
    inner_names,
    local,
    names_in,
    names_of,
)

RESERVED = frozenset(
    {
        "input",
        "inputs",
        "steps",
        "workflow",
        "item",
        "index",
        "secrets",
        "result",
        "value",
        "error",
    }
)

References = dict[str, list[tuple[str, str]]]
"""The steps that each step of a block refers to, with the place."""


class DocumentAnalysis(NamedTuple):
    """What looking through a document came to: its steps, and its names with the expressions that they compiled."""

    steps: tuple[StepLocation, ...]
    names: Names


def check_meaning(
    document: Mapping[str, Any], catalog: Catalog | None, collector: Collector
) -> DocumentAnalysis:
    """Look through a document whose `steps` are an array; what was found is kept for its plan."""
    locations = tuple(all_steps(document))
    _check_ids(locations, collector)
    names = names_of(document)
    blocks = _Blocks(collector)
    blocks.check(document, names, "")
    failure = failure_block(document)
    if failure is not None:
        block, pointer = failure
        inside = names_in(block, names, *FAILURE, at=pointer)
        blocks.check(block, inside, pointer)
    _check_results(document, names, collector)
    _check_keys(document, names, collector)
    _check_defaults(document, collector)
    check_secrets(document, locations, collector)
    check_calls(document, locations, collector)
    if catalog is not None:
        _check_catalog(document, catalog, blocks, locations, collector)
    if not collector.errors:  # with errors, edges may lead to what is not there
        for block, references, pointer in blocks.seen:
            _check_edges(block, references, pointer, collector)
    return DocumentAnalysis(locations, names)


def _check_catalog(
    document: Mapping[str, Any],
    catalog: Catalog,
    blocks: _Blocks,
    locations: Sequence[StepLocation],
    collector: Collector,
) -> None:
    """Look up the components and workflows that steps call."""
    for block, _, pointer in blocks.seen:
        carried = carried_in(block)
        for index, step in steps_in(block):
            check_component(
                step, f"{pointer}/steps/{index}", catalog, carried, collector
            )
    for location in locations:
        if location.path.endswith(COMPENSATE):
            check_component(location.step, location.pointer, catalog, {}, collector)
        elif "workflow" in location.step:
            check_workflow(
                location.step, location.pointer, catalog, document, collector
            )


def _check_ids(locations: Sequence[StepLocation], collector: Collector) -> None:
    first_pointers: dict[str, str] = {}
    for location in locations:
        if location.path.endswith(COMPENSATE):
            continue
        name, at = location.step["id"], f"{location.pointer}/id"
        first = first_pointers.setdefault(name, location.pointer)
        if first != location.pointer:
            message = f"step {name!r} is there already, at {first}; ids are unique, inside of loops and blocks too"
            collector.error("duplicate_step_id", at, message, found=name, step_id=name)
        if name in RESERVED:
            message = f"{name!r} means something else in templates; refer to the step as steps['{name}']"
            collector.warn("reserved_name", at, message, found=name, step_id=name)


class _Blocks:
    """Looks through the steps of a document, block by block, and notes what refers to what in each."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.seen: list[tuple[Mapping[str, Any], References, str]] = []

    def check(
        self, block: Mapping[str, Any], names: Names, pointer: str
    ) -> list[tuple[str, str]]:
        """Look through a block; gives what its steps refer to outside of it."""
        steps = steps_in(block)
        ids = frozenset(step["id"] for _, step in steps)
        references: References = {}
        self.seen.append((block, references, pointer))
        beyond: list[tuple[str, str]] = []
        for index, step in steps:
            name = step["id"]
            own: list[tuple[str, str]] = []
            for reference in self._step(step, names, ids, f"{pointer}/steps/{index}"):
                source = reference[0]
                if source not in ids:
                    beyond.append(reference)
                elif source != name:
                    own.append(reference)
            references[name] = own
        _check_connections(block, names, ids, pointer, self.collector)
        if pointer and "output" in block:
            at = f"{pointer}/output"
            compiled(block["output"], names, at, self.collector, None)
        return beyond

    def _step(
        self, step: Mapping[str, Any], names: Names, ids: frozenset[str], pointer: str
    ) -> list[tuple[str, str]]:
        """Look through a step and what is inside of it; gives the steps around it that it refers to, with the place."""
        check_kind(step, pointer, self.collector)
        check = StepCheck(step, pointer, names, ids, self.collector)
        parts = check.run()
        inner_block = block_of(step)
        beyond: list[tuple[str, str]] = []
        if inner_block is None:
            check.loop_conditions(check.inner)
        else:
            block, path = inner_block
            at = pointer + path
            inside = names_in(block, names, *inner_names(step), at=at)
            check.loop_conditions(inside)
            beyond = self.check(block, inside, at)
        return [*_step_references(parts, names), *beyond]


def _step_references(
    parts: Iterable[TemplatePart], names: Names
) -> Iterator[tuple[str, str]]:
    for part in parts:
        for step in part.steps:
            if step in names.steps and step not in names.local:
                yield step, part.pointer


def _check_connections(
    block: Mapping[str, Any],
    names: Names,
    ids: frozenset[str],
    base: str,
    collector: Collector,
) -> None:
    inside = local(names, "value", "source")
    for index, connection in enumerate(array_of(block.get("connections"))):
        if not isinstance(connection, Mapping):
            continue
        pointer = f"{base}/connections/{index}"
        for end in ("source", "target"):
            at = f"{pointer}/{end}"
            _check_end(connection.get(end), end, at, names, ids, collector)
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
        collector.error(
            f"missing_{end}_step",
            pointer,
            f"there is no step {step!r}",
            found=step,
            suggestion=collector.nearest(step, ids),
        )
    elif end == "source" and step in names.outputs:
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
        suggestion=collector.nearest(str(name), declared),
    )


def _check_results(
    document: Mapping[str, Any], names: Names, collector: Collector
) -> None:
    if "output" in document:
        compiled(document["output"], names, "/output", collector, None)
    for name, spec in object_of(document.get("outputs")).items():
        source = object_of(spec).get("source")
        if isinstance(source, str):
            pointer = f"/outputs/{escape(name)}/source"
            compiled(source, names, pointer, collector, None)


def _check_defaults(document: Mapping[str, Any], collector: Collector) -> None:
    """Check defaults against their types, once these are said in the right way."""
    if any(p.pointer.startswith("/inputs/") for p in collector.problems):
        return
    for name, spec in object_of(document.get("inputs")).items():
        default = object_of(spec).get("default")
        if default is None:
            continue
        pointer = f"/inputs/{escape(name)}/default"
        for reason in check_value(spec, default):
            collector.error("invalid_default", pointer, f"the default {reason}")


def _check_keys(
    document: Mapping[str, Any], names: Names, collector: Collector
) -> None:
    """Look at the keys of limits, which see the inputs of the run."""
    for name in ("concurrency", "debounce"):
        key = object_of(document.get(name)).get("key")
        if not isinstance(key, str):
            continue
        pointer = f"/{name}/key"
        for part in compiled(key, names, pointer, collector, None):
            if next(part.steps, None) is not None:
                source = part.source
                message = (
                    f"a run is let in before its first step: {source!r} cannot be known"
                )
                collector.error("misplaced_reference", pointer, message, found=source)


def _check_edges(
    block: Mapping[str, Any],
    references: References,
    pointer: str,
    collector: Collector,
) -> None:
    """Look at where the edges of a block lead, and whether any order of its steps fits them."""
    order = [step["id"] for _, step in steps_in(block)]
    edges = ways(block, references, pointer)
    check_edges(block, edges, pointer, collector)
    cycle = find_cycle(order, edges)
    if cycle is not None:
        message = f"the steps {' -> '.join(cycle)} wait for each other"
        at = f"{pointer}/steps/{order.index(cycle[0])}"
        collector.error("cycle_detected", at, message, found=cycle, step_id=cycle[0])
    elif is_sequential(block):
        _check_order(order, references, collector)


def _check_order(
    order: Sequence[str], references: References, collector: Collector
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
