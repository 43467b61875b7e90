"""The components and workflows that steps call: whether they are there, and what they are given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from openagents_json.workflow.component_spec import Catalog, ComponentSpec
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.graph import split_end
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.versions import RANGES, is_range

NO_COMPONENTS = (
    "no components are given at all; name the module or the file that has them"
)

_ALIAS = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")

Carried = Mapping[str, Sequence[tuple[str, int]]]
"""The inputs that connections bring to each step of a block, with the numbers of the connections."""


def carried_in(block: Mapping[str, Any]) -> Carried:
    """Find what connections bring to each step of a block."""
    carried: dict[str, list[tuple[str, int]]] = {}
    for index, connection in enumerate(array_of(block.get("connections"))):
        end = object_of(connection).get("target")
        if not isinstance(end, str):
            continue
        target, name = split_end(end)
        if name is not None:
            carried.setdefault(target, []).append((name, index))
    return carried


def check_component(
    step: Mapping[str, Any],
    pointer: str,
    catalog: Catalog,
    carried: Carried,
    collector: Collector,
) -> None:
    """Look the component of a step up, and what it is given; `carried` is what connections bring to each step."""
    reference = step.get("component")
    if not isinstance(reference, str) or not reference:
        return
    spec = catalog.find(reference)
    if spec is None:
        _no_component(step, reference, pointer, catalog, collector)
    elif spec.inputs is not None:
        arriving = carried.get(step["id"], ())
        _check_arguments(step, spec, pointer, arriving, collector)


def _no_component(
    step: Mapping[str, Any],
    reference: str,
    pointer: str,
    catalog: Catalog,
    collector: Collector,
) -> None:
    """Say why a component cannot be had: its range of versions is none, no version is in it, or it is not there."""
    base, _, version_range = reference.partition("@")
    at = f"{pointer}/component"
    if version_range and not is_range(version_range):
        message = f"{version_range!r} is no range of versions"
        _invalid_range(step, version_range, at, message, collector)
        return
    other_version = catalog.find(base)
    if other_version:
        code = "version_incompatible"
        hint = f"version {other_version.version} is there"
    else:
        code = "unknown_component"
        names = iter(catalog.names())
        first = next(names, None)
        if first is None:
            hint = NO_COMPONENTS
        else:
            hint = collector.nearest(base, chain([first], names))
    collector.error(
        code,
        at,
        f"there is no component {reference!r}",
        found=reference,
        suggestion=hint,
        step_id=step["id"],
    )


def check_workflow(
    step: Mapping[str, Any],
    pointer: str,
    catalog: Catalog,
    document: Mapping[str, Any],
    collector: Collector,
) -> None:
    """Look up the workflow that a step calls; it may be its own one, and a catalog may know of none."""
    reference = step["workflow"]
    find = getattr(catalog, "find_workflow", None)
    if find is None or not isinstance(reference, str):
        return
    base, _, version = reference.partition("@")
    if base == document.get("id") or find(reference) is not None:
        return
    at = f"{pointer}/workflow"
    if version and not is_range(version) and not _ALIAS.fullmatch(version):
        message = f"{version!r} is neither a range of versions nor an alias"
        _invalid_range(step, version, at, message, collector)
        return
    names = catalog.workflow_names() if hasattr(catalog, "workflow_names") else ()
    has_other = bool(find(base))
    collector.error(
        "unknown_workflow",
        at,
        f"there is no workflow {reference!r}; add it with `openagents workflows add FILE`",
        found=reference,
        suggestion="another version is there"
        if has_other
        else collector.nearest(base, names),
        step_id=step["id"],
    )


def _invalid_range(
    step: Mapping[str, Any],
    version: str,
    pointer: str,
    message: str,
    collector: Collector,
) -> None:
    collector.error(
        "invalid_range",
        pointer,
        message,
        found=version,
        suggestion=RANGES,
        step_id=step["id"],
    )


def _check_arguments(
    step: Mapping[str, Any],
    spec: ComponentSpec,
    pointer: str,
    arriving: Iterable[tuple[str, int]],
    collector: Collector,
) -> None:
    given = object_of(step.get("inputs"))
    parameters = {parameter.name: parameter for parameter in spec.inputs or ()}

    def unknown(code: str, name: str, at: str) -> None:
        collector.error(
            code,
            at,
            f"component {spec.name} has no input {name!r}",
            found=name,
            suggestion=collector.nearest(name, parameters),
            step_id=step["id"],
        )

    carried = set()
    for name, index in arriving:
        carried.add(name)
        if name not in parameters:
            unknown("missing_target_input", name, f"/connections/{index}/target")
    for name in given:
        if name not in parameters:
            at = f"{pointer}/inputs/{escape(name)}"
            unknown("unknown_component_input", name, at)
    for name, parameter in parameters.items():
        if parameter.required and name not in given and name not in carried:
            collector.error(
                "missing_component_input",
                f"{pointer}/inputs",
                f"component {spec.name} needs the input {name!r}",
                expected=name,
                step_id=step["id"],
            )
