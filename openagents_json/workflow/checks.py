"""The meaning of a document: names, references, components, edges; each part is looked at if its shape allows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openagents_json.workflow.catalog import Catalog, ComponentSpec
from openagents_json.workflow.compile import compile_plan, local, names_of
from openagents_json.workflow.errors import ExpressionError
from openagents_json.workflow.graph import find_cycle, goto_target, split_end, ways
from openagents_json.workflow.parameters import check_value
from openagents_json.workflow.problems import Collector, nearest
from openagents_json.workflow.templates import (
    ROOTS,
    SECRET,
    SECRETS,
    Names,
    Part,
    compile_condition,
    compile_value,
    escape,
)

RESERVED = frozenset({"input", "inputs", "steps", "workflow", "item", "index", "secrets", "result", "value", "error"})
KINDS = ("component", "workflow", "wait_for", "sleep", "loop", "terminate")


def check_meaning(document: Mapping[str, Any], catalog: Catalog | None, found: Collector) -> None:
    """Look through a document whose `steps` are an array."""
    steps = [(i, s) for i, s in enumerate(document["steps"]) if isinstance(s, Mapping) and isinstance(s.get("id"), str)]
    names = names_of({**document, "steps": [step for _, step in steps]})
    _check_ids(steps, found)
    references: dict[str, list[tuple[str, str]]] = {}
    for index, step in steps:
        _check_kind(step, f"/steps/{index}", found)
        parts = _check_step(step, f"/steps/{index}", names, found)
        references[step["id"]] = [
            (name, part.pointer) for part in parts for name in part.steps if name in names.steps and name != step["id"]
        ]
    _check_connections(document, names, found)
    _check_results(document, names, found)
    _check_defaults(document, found)
    if catalog is not None:
        for index, step in steps:
            _check_component(step, f"/steps/{index}", catalog, document, found)
    if not [p for p in found.problems if p.severity == "error"]:
        _check_cycles(document, references, found)
    if not [p for p in found.problems if p.severity == "error"]:
        compile_plan({"document": document, "bindings": {}})


def _check_ids(steps: list[tuple[int, Mapping[str, Any]]], found: Collector) -> None:
    seen: dict[str, int] = {}
    for index, step in steps:
        name = step["id"]
        if name in seen:
            message = f"step {name!r} is there already, as number {seen[name] + 1}"
            found.error("duplicate_step_id", f"/steps/{index}/id", message, found=name, step_id=name)
        seen.setdefault(name, index)
        if name in RESERVED:
            message = f"{name!r} means something else in templates; refer to the step as steps['{name}']"
            found.warn("reserved_name", f"/steps/{index}/id", message, found=name, step_id=name)


def _check_kind(step: Mapping[str, Any], pointer: str, found: Collector) -> None:
    kinds = [kind for kind in KINDS if kind in step]
    if len(kinds) != 1:
        message = f"a step needs one of {', '.join(KINDS)}; this one has {' and '.join(kinds) or 'none'}"
        code = "schema_error.required" if not kinds else "ambiguous_step"
        found.error(code, pointer, message, found=kinds, expected=list(KINDS), step_id=step["id"])


def _compiled(
    value: Any, names: Names, pointer: str, found: Collector, step_id: str | None, *, condition: bool = False
) -> tuple[Part, ...]:
    """Compile a value and check what it refers to; problems are collected."""
    try:
        text = condition and isinstance(value, str)
        template = compile_condition(value, names, pointer) if text else compile_value(value, names, pointer)
    except ExpressionError as error:
        place = getattr(error, "pointer", pointer)
        found.error("expression_error", place, str(error), found=error.expression, step_id=step_id)
        return ()
    except RecursionError:
        found.error("expression_error", pointer, "it is nested too deeply", step_id=step_id)
        return ()
    for part in template.parts:
        _check_part(part, names, found, step_id)
    return template.parts


def _check_part(part: Part, names: Names, found: Collector, step_id: str | None) -> None:
    for path in part.paths:
        root = path[0]
        if root == SECRETS and root not in names.steps:
            _check_secret(part, names, found, step_id)
        elif root in ("input", "inputs"):
            if len(path) > 1 and names.inputs and path[1] not in names.inputs:
                message = f"the document declares no input {path[1]!r}"
                _missing("missing_workflow_input", part, message, path[1], names.inputs, found, step_id)
        elif root == "steps" or (root in names.steps and root not in names.local):
            rest = path[1:] if root == "steps" else path
            _check_step_path(rest, part, names, found, step_id)
        elif not names.known(root):
            message = f"there is no step, input or value named {root!r}"
            code = "missing_referenced_step" if len(path) > 1 else "unknown_reference"
            _missing(code, part, message, root, names.steps | ROOTS | names.local, found, step_id)


def _check_secret(part: Part, names: Names, found: Collector, step_id: str | None) -> None:
    if SECRETS not in names.local or not SECRET.match(part.source):
        message = f"{part.source!r}: a secret can be used in the inputs of a step only, as {{{{secrets.NAME}}}}"
        found.error("misplaced_secret", part.pointer, message, found=part.source, step_id=step_id)


def _check_step_path(path: tuple[str, ...], part: Part, names: Names, found: Collector, step_id: str | None) -> None:
    if path and path[0] not in names.steps:
        message = f"there is no step {path[0]!r}"
        _missing("missing_referenced_step", part, message, path[0], names.steps, found, step_id)
    elif path and path[0] == step_id:
        found.error("self_reference", part.pointer, "a step cannot refer to itself", found=part.source, step_id=step_id)
    elif len(path) > 2 and path[1] == "outputs" and path[0] in names.outputs and path[2] not in names.outputs[path[0]]:
        message = f"step {path[0]!r} declares no output {path[2]!r}"
        _missing("missing_step_output", part, message, path[2], names.outputs[path[0]], found, step_id)


def _missing(
    code: str, part: Part, message: str, name: str, known: Iterable[str], found: Collector, step_id: str | None
) -> None:
    found.error(
        code,
        part.pointer,
        f"{message} (in {part.source!r})",
        found=name,
        expected=sorted(known)[:50],
        suggestion=nearest(name, known),
        step_id=step_id,
    )


def _check_step(step: Mapping[str, Any], pointer: str, names: Names, found: Collector) -> list[Part]:
    name = step["id"]
    parts: list[Part] = []
    inputs, outputs = step.get("inputs"), step.get("outputs")
    for key, value in (inputs if isinstance(inputs, Mapping) else {}).items():
        parts += _compiled(value, local(names, SECRETS), f"{pointer}/inputs/{escape(key)}", found, name)
    if isinstance(step.get("condition"), str):
        parts += _compiled(step["condition"], names, f"{pointer}/condition", found, name, condition=True)
    terminate = step.get("terminate")
    if isinstance(terminate, Mapping) and "output" in terminate:
        parts += _compiled(terminate["output"], names, f"{pointer}/terminate/output", found, name)
    for key, value in (outputs if isinstance(outputs, Mapping) else {}).items():
        _compiled(value, local(names, "result", "output"), f"{pointer}/outputs/{escape(key)}", found, name)
    _check_depends(step, pointer, names, found)
    handlers = step.get("on_error")
    for index, handler in enumerate(handlers if isinstance(handlers, list | tuple) else ()):
        _check_handler(handler, f"{pointer}/on_error/{index}", names, found, name)
    return parts


def _check_depends(step: Mapping[str, Any], pointer: str, names: Names, found: Collector) -> None:
    depends = step.get("depends_on")
    for index, source in enumerate(depends if isinstance(depends, list | tuple) else ()):
        if isinstance(source, str) and source not in names.steps:
            at, hint = f"{pointer}/depends_on/{index}", nearest(source, names.steps)
            message = f"there is no step {source!r}"
            found.error("missing_referenced_step", at, message, found=source, suggestion=hint, step_id=step["id"])


def _check_handler(handler: Any, pointer: str, names: Names, found: Collector, step_id: str) -> None:
    if not isinstance(handler, Mapping):
        return
    then, target = handler.get("then"), goto_target(handler)
    if isinstance(target, str):
        if target not in names.steps:
            hint = nearest(target, names.steps)
            message = f"there is no step {target!r} to go to"
            found.error("missing_referenced_step", pointer, message, found=target, suggestion=hint, step_id=step_id)
    elif isinstance(then, str) and then.startswith("goto"):
        found.error("missing_referenced_step", pointer, "goto needs the step to go to", found=then, step_id=step_id)
    if "output" in handler:
        _compiled(handler["output"], local(names, "error"), f"{pointer}/output", found, step_id)


def _check_connections(document: Mapping[str, Any], names: Names, found: Collector) -> None:
    connections = document.get("connections")
    here = local(names, "value", "source")
    for index, connection in enumerate(connections if isinstance(connections, list | tuple) else ()):
        if not isinstance(connection, Mapping):
            continue
        pointer = f"/connections/{index}"
        for end in ("source", "target"):
            _check_end(connection.get(end), end, f"{pointer}/{end}", names, found)
        for key in ("condition", "transform"):
            if isinstance(connection.get(key), str):
                _compiled(connection[key], here, f"{pointer}/{key}", found, None, condition=True)


def _check_end(text: Any, end: str, pointer: str, names: Names, found: Collector) -> None:
    if not isinstance(text, str):
        return
    step, name = split_end(text)
    if not step or name == "" or (name is not None and "." in name):
        message = f"{text!r} is neither a step nor step.{'output' if end == 'source' else 'input'}"
        found.error(f"invalid_{end}_format", pointer, message, found=text)
    elif step not in names.steps:
        message = f"there is no step {step!r}"
        found.error(f"missing_{end}_step", pointer, message, found=step, suggestion=nearest(step, names.steps))
    elif end == "source" and name not in (None, "output") and step in names.outputs and name not in names.outputs[step]:
        message = f"step {step!r} declares no output {name!r}"
        hint = nearest(str(name), names.outputs[step])
        found.error("missing_source_output", pointer, message, found=name, suggestion=hint)


def _check_results(document: Mapping[str, Any], names: Names, found: Collector) -> None:
    if "output" in document:
        _compiled(document["output"], names, "/output", found, None)
    outputs = document.get("outputs")
    for name, spec in (outputs if isinstance(outputs, Mapping) else {}).items():
        if isinstance(spec, Mapping) and isinstance(spec.get("source"), str):
            _compiled(spec["source"], names, f"/outputs/{escape(name)}/source", found, None)


def _check_defaults(document: Mapping[str, Any], found: Collector) -> None:
    inputs = document.get("inputs")
    if [p for p in found.problems if p.pointer.startswith("/inputs/")]:
        return
    for name, spec in (inputs if isinstance(inputs, Mapping) else {}).items():
        if isinstance(spec, Mapping) and spec.get("default") is not None:
            for reason in check_value(spec, spec["default"]):
                found.error("invalid_default", f"/inputs/{escape(name)}/default", f"the default {reason}")


def _check_component(
    step: Mapping[str, Any], pointer: str, catalog: Catalog, document: Mapping[str, Any], found: Collector
) -> None:
    reference, name = step.get("component"), step["id"]
    if not isinstance(reference, str) or not reference:
        return
    spec = catalog.find(reference)
    if spec is None:
        base = reference.partition("@")[0]
        versions = catalog.find(base)
        hint = f"version {versions.version} is there" if versions else nearest(base, catalog.names())
        code = "version_incompatible" if versions else "unknown_component"
        message = f"there is no component {reference!r}"
        found.error(code, f"{pointer}/component", message, found=reference, suggestion=hint, step_id=name)
    elif spec.inputs is not None:
        _check_arguments(step, spec, pointer, document, found)


def _check_arguments(
    step: Mapping[str, Any], spec: ComponentSpec, pointer: str, document: Mapping[str, Any], found: Collector
) -> None:
    given = step.get("inputs") if isinstance(step.get("inputs"), Mapping) else {}
    known = {parameter.name: parameter for parameter in spec.inputs or ()}
    carried = set()
    for index, connection in enumerate(document.get("connections") or ()):
        target, name = (
            split_end(connection["target"])
            if isinstance(connection, Mapping) and isinstance(connection.get("target"), str)
            else ("", None)
        )
        if target == step["id"] and name is not None:
            carried.add(name)
            if name not in known:
                at, hint = f"/connections/{index}/target", nearest(name, known)
                message = f"component {spec.name} has no input {name!r}"
                found.error("missing_target_input", at, message, found=name, suggestion=hint, step_id=step["id"])
    for name in given or ():
        if name not in known:
            at, hint = f"{pointer}/inputs/{escape(name)}", nearest(name, known)
            message = f"component {spec.name} has no input {name!r}"
            found.error("unknown_component_input", at, message, found=name, suggestion=hint, step_id=step["id"])
    for name, parameter in known.items():
        if parameter.required and name not in (given or ()) and name not in carried:
            message = f"component {spec.name} needs the input {name!r}"
            found.error("missing_component_input", f"{pointer}/inputs", message, expected=name, step_id=step["id"])


def _check_cycles(
    document: Mapping[str, Any], references: Mapping[str, list[tuple[str, str]]], found: Collector
) -> None:
    order = [step["id"] for step in document["steps"]]
    edges = ways(document, references)
    cycle = find_cycle(order, edges)
    if cycle is not None:
        message = f"the steps {' -> '.join(cycle)} wait for each other"
        found.error("cycle_detected", f"/steps/{order.index(cycle[0])}", message, found=cycle, step_id=cycle[0])
        return
    place = {name: index for index, name in enumerate(order)}
    if any(way.kind == "order" for way in edges):
        for name, used in references.items():
            for source, pointer in used:
                if place[source] > place[name]:
                    message = f"step {name!r} refers to {source!r}, which runs after it"
                    found.error("cycle_detected", pointer, message, found=[name, source, name], step_id=name)
