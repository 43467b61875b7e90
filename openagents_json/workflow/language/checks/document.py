"""The meaning of a document: names, references, components, edges; each part is looked at if its shape allows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.core.parameters import check_value
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.expressions.templates import Names, escape
from openagents_json.workflow.language.checks.calls import check_calls
from openagents_json.workflow.language.checks.edges import check_edges
from openagents_json.workflow.language.checks.secrets import check_secrets
from openagents_json.workflow.language.checks.step import (
    StepCheck,
    carried_in,
    check_component,
    check_kind,
    compiled,
)
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
from openagents_json.workflow.versions import RANGES, is_range

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

_ALIAS = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")

References = dict[str, list[tuple[str, str]]]
"""The steps that each step of a block refers to, with the place."""


class DocumentAnalysis(NamedTuple):
    """What looking through a document came to: its steps, and its names with the expressions that they compiled."""

    steps: tuple[StepLocation, ...]
    names: Names


def check_meaning(
    document: Mapping[str, Any], catalog: Catalog | None, found: Collector
) -> DocumentAnalysis:
    """Look through a document whose `steps` are an array; what was found is kept for its plan."""
    places = tuple(all_steps(document))
    _check_ids(
        [(p.pointer, p.step) for p in places if not p.path.endswith(COMPENSATE)], found
    )
    names = names_of(document)
    blocks = _Blocks(found)
    blocks.check(document, names, "")
    failure = failure_block(document)
    if failure is not None:
        blocks.check(
            failure[0], names_in(failure[0], names, *FAILURE, at=failure[1]), failure[1]
        )
    _check_results(document, names, found)
    _check_keys(document, names, found)
    _check_defaults(document, found)
    check_secrets(document, places, found)
    check_calls(document, places, found)
    if catalog is not None:
        _check_catalog(document, catalog, blocks, places, found)
    if not _errors(found):
        for block, references, pointer in blocks.seen:
            _check_cycles(block, references, pointer, found)
    return DocumentAnalysis(places, names)


def _check_catalog(
    document: Mapping[str, Any],
    catalog: Catalog,
    blocks: _Blocks,
    places: Sequence[StepLocation],
    found: Collector,
) -> None:
    """Look up the components and workflows that steps call."""
    for block, _, pointer in blocks.seen:
        carried = carried_in(block)
        for index, step in steps_in(block):
            check_component(step, f"{pointer}/steps/{index}", catalog, carried, found)
    for place in places:
        if place.path.endswith(COMPENSATE):
            check_component(place.step, place.pointer, catalog, {}, found)
        elif "workflow" in place.step:
            _check_workflow(place.step, place.pointer, catalog, document, found)


def _errors(found: Collector) -> bool:
    return bool(found.errors)


def _check_ids(steps: list[tuple[str, Mapping[str, Any]]], found: Collector) -> None:
    seen: dict[str, str] = {}
    for pointer, step in steps:
        name = step["id"]
        if name in seen:
            message = f"step {name!r} is there already, at {seen[name]}; ids are unique, inside of loops and blocks too"
            found.error(
                "duplicate_step_id", f"{pointer}/id", message, found=name, step_id=name
            )
        seen.setdefault(name, pointer)
        if name in RESERVED:
            message = f"{name!r} means something else in templates; refer to the step as steps['{name}']"
            found.warn(
                "reserved_name", f"{pointer}/id", message, found=name, step_id=name
            )


class _Blocks:
    """Looks through the steps of a document, block by block, and notes what refers to what in each."""

    def __init__(self, found: Collector) -> None:
        self.found = found
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
            all_of_it = self._step(step, names, ids, f"{pointer}/steps/{index}")
            references[step["id"]] = [
                (s, at) for s, at in all_of_it if s in ids and s != step["id"]
            ]
            beyond += [(s, at) for s, at in all_of_it if s not in ids]
        _check_connections(block, names, ids, pointer, self.found)
        if pointer and "output" in block:
            compiled(block["output"], names, f"{pointer}/output", self.found, None)
        return beyond

    def _step(
        self, step: Mapping[str, Any], names: Names, ids: frozenset[str], pointer: str
    ) -> list[tuple[str, str]]:
        check_kind(step, pointer, self.found)
        check = StepCheck(step, pointer, names, ids, self.found)
        parts = check.run()
        held, beyond = block_of(step), []
        if held is not None:
            at = pointer + held[1]
            inside = names_in(held[0], names, *inner_names(step), at=at)
            check.loop_conditions(inside)
            beyond = self.check(held[0], inside, at)
        else:
            check.loop_conditions(check.inner)
        return [
            (s, p.pointer)
            for p in parts
            for s in p.steps
            if s in names.steps and s not in names.local
        ] + beyond


def _check_workflow(
    step: Mapping[str, Any],
    pointer: str,
    catalog: Catalog,
    document: Mapping[str, Any],
    found: Collector,
) -> None:
    reference = step["workflow"]
    look_up = getattr(catalog, "find_workflow", None)
    if (
        look_up is None
        or not isinstance(reference, str)
        or reference.partition("@")[0] == document.get("id")
    ):
        return
    at = f"{pointer}/workflow"
    if look_up(reference) is None:
        base, _, wanted = reference.partition("@")
        if wanted and not is_range(wanted) and not _ALIAS.fullmatch(wanted):
            message = f"{wanted!r} is neither a range of versions nor an alias"
            found.error(
                "invalid_range",
                at,
                message,
                found=wanted,
                suggestion=RANGES,
                step_id=step["id"],
            )
            return
        known = catalog.workflow_names() if hasattr(catalog, "workflow_names") else ()
        hint = (
            "another version is there" if look_up(base) else found.nearest(base, known)
        )
        message = f"there is no workflow {reference!r}; add it with `openagents workflows add FILE`"
        found.error(
            "unknown_workflow",
            at,
            message,
            found=reference,
            suggestion=hint,
            step_id=step["id"],
        )


def _check_connections(
    block: Mapping[str, Any],
    names: Names,
    ids: frozenset[str],
    base: str,
    found: Collector,
) -> None:
    connections = block.get("connections")
    here = local(names, "value", "source")
    for index, connection in enumerate(
        connections if isinstance(connections, list | tuple) else ()
    ):
        if not isinstance(connection, Mapping):
            continue
        pointer = f"{base}/connections/{index}"
        for end in ("source", "target"):
            _check_end(connection.get(end), end, f"{pointer}/{end}", names, ids, found)
        for key in ("condition", "transform"):
            if isinstance(connection.get(key), str):
                compiled(
                    connection[key],
                    here,
                    f"{pointer}/{key}",
                    found,
                    None,
                    condition=True,
                )


def _check_end(
    text: Any,
    end: str,
    pointer: str,
    names: Names,
    ids: frozenset[str],
    found: Collector,
) -> None:
    if not isinstance(text, str):
        return
    step, name = split_end(text)
    if not step or name == "" or (name is not None and "." in name):
        message = f"{text!r} is neither a step nor step.{'output' if end == 'source' else 'input'}"
        found.error(f"invalid_{end}_format", pointer, message, found=text)
    elif step not in ids:
        message = f"there is no step {step!r}"
        found.error(
            f"missing_{end}_step",
            pointer,
            message,
            found=step,
            suggestion=found.nearest(step, ids),
        )
    elif (
        end == "source"
        and name not in (None, "output")
        and step in names.outputs
        and name not in names.outputs[step]
    ):
        message = f"step {step!r} declares no output {name!r}"
        hint = found.nearest(str(name), names.outputs[step])
        found.error(
            "missing_source_output", pointer, message, found=name, suggestion=hint
        )


def _check_results(document: Mapping[str, Any], names: Names, found: Collector) -> None:
    if "output" in document:
        compiled(document["output"], names, "/output", found, None)
    outputs = document.get("outputs")
    for name, spec in (outputs if isinstance(outputs, Mapping) else {}).items():
        if isinstance(spec, Mapping) and isinstance(spec.get("source"), str):
            compiled(
                spec["source"], names, f"/outputs/{escape(name)}/source", found, None
            )


def _check_defaults(document: Mapping[str, Any], found: Collector) -> None:
    inputs = document.get("inputs")
    if any(p.pointer.startswith("/inputs/") for p in found.problems):
        return
    for name, spec in (inputs if isinstance(inputs, Mapping) else {}).items():
        if isinstance(spec, Mapping) and spec.get("default") is not None:
            for reason in check_value(spec, spec["default"]):
                found.error(
                    "invalid_default",
                    f"/inputs/{escape(name)}/default",
                    f"the default {reason}",
                )


def _check_keys(document: Mapping[str, Any], names: Names, found: Collector) -> None:
    """Look at the keys of limits, which see the inputs of the run."""
    for name in ("concurrency", "debounce"):
        spec = document.get(name)
        if isinstance(spec, Mapping) and isinstance(spec.get("key"), str):
            for part in compiled(spec["key"], names, f"/{name}/key", found, None):
                if any(True for _ in part.steps):
                    message = f"a run is let in before its first step: {part.source!r} cannot be known"
                    found.error(
                        "misplaced_reference",
                        f"/{name}/key",
                        message,
                        found=part.source,
                    )


def _check_cycles(
    block: Mapping[str, Any], references: References, pointer: str, found: Collector
) -> None:
    order = [step["id"] for _, step in steps_in(block)]
    edges = ways(block, references, pointer)
    check_edges(block, edges, pointer, found)
    cycle = find_cycle(order, edges)
    if cycle is not None:
        message = f"the steps {' -> '.join(cycle)} wait for each other"
        at = f"{pointer}/steps/{order.index(cycle[0])}"
        found.error("cycle_detected", at, message, found=cycle, step_id=cycle[0])
        return
    if not is_sequential(block):
        return
    place = {name: index for index, name in enumerate(order)}
    for name, used in references.items():
        for source, at in used:
            if place[source] > place[name]:
                message = f"step {name!r} refers to {source!r}, which runs after it"
                found.error(
                    "cycle_detected",
                    at,
                    message,
                    found=[name, source, name],
                    step_id=name,
                )
