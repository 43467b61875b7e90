"""The components and workflows that steps call: whether they are there, and what they are given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from openagents_json.workflow.component_spec import Catalog, ComponentSpec
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.graph import split_end
from openagents_json.workflow.language.problems import Collector, Nearest
from openagents_json.workflow.versions import RANGES, is_range

NO_COMPONENTS = (
    "no components are given at all; name the module or the file that has them"
)

_ALIAS = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")

Carried = Mapping[str, frozenset[str]]
"""The names of the inputs that connections bring to each step of a block."""

NOTHING_CARRIED: Final[Carried] = {}


def carried_in(block: Mapping[str, Any]) -> Carried:
    """Find what connections bring to each step of a block."""
    carried: dict[str, set[str]] = {}
    for connection in array_of(block.get("connections")):
        target, name = _target_of(connection)
        if name is not None:
            carried.setdefault(target, set()).add(name)
    return {target: frozenset(names) for target, names in carried.items()}


def _target_of(connection: Any) -> tuple[str, str | None]:
    end = object_of(connection).get("target")
    return split_end(end) if isinstance(end, str) else ("", None)


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
        arriving = carried.get(step["id"], frozenset())
        _check_arguments(step, spec, pointer, arriving, collector)


def check_target_input(
    connection: Any,
    pointer: str,
    steps: Mapping[str, Mapping[str, Any]],
    catalog: Catalog,
    collector: Collector,
) -> None:
    """Look up the input that a connection of a block brings something to; `steps` are those of the block, by id."""
    target, name = _target_of(connection)
    reference = steps.get(target, {}).get("component")
    if name is None or not isinstance(reference, str):
        return
    spec = catalog.find(reference)
    if spec is None or spec.inputs is None:
        return
    names = [parameter.name for parameter in spec.inputs]
    if name not in names:
        message = f"component {spec.name} has no input {name!r}"
        collector.error(
            "missing_target_input",
            f"{pointer}/target",
            message,
            found=name,
            near=Nearest(name, names),
            step_id=target,
        )


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
    near = None
    other_version = catalog.find(base)
    if other_version:
        code = "version_incompatible"
        hint = f"version {other_version.version} is there"
    else:
        code = "unknown_component"
        is_empty = next(iter(catalog.names()), None) is None
        hint = NO_COMPONENTS if is_empty else ""
        near = None if is_empty else Nearest(base, _Again(catalog.names))
    collector.error(
        code,
        at,
        f"there is no component {reference!r}",
        found=reference,
        suggestion=hint,
        near=near,
        step_id=step["id"],
    )


class _Again:
    """Names that are asked for each time they are gone through: there may be very many."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())


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
    is_no_version = version and not is_range(version) and not _ALIAS.fullmatch(version)
    if is_no_version:
        message = f"{version!r} is neither a range of versions nor an alias"
        _invalid_range(step, version, at, message, collector)
        return
    names = getattr(catalog, "workflow_names", tuple)
    has_other = bool(find(base))
    collector.error(
        "unknown_workflow",
        at,
        f"there is no workflow {reference!r}; publish it first",
        found=reference,
        suggestion="another version is there" if has_other else "",
        near=None if has_other else Nearest(base, _Again(names)),
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
    carried: frozenset[str],
    collector: Collector,
) -> None:
    given = object_of(step.get("inputs"))
    parameters = {parameter.name: parameter for parameter in spec.inputs or ()}
    for name in given:
        if name not in parameters:
            collector.error(
                "unknown_component_input",
                f"{pointer}/inputs/{escape(name)}",
                f"component {spec.name} has no input {name!r}",
                found=name,
                near=Nearest(name, parameters),
                step_id=step["id"],
            )
    for name, parameter in parameters.items():
        is_missing = parameter.required and name not in given and name not in carried
        if is_missing:
            collector.error(
                "missing_component_input",
                f"{pointer}/inputs",
                f"component {spec.name} needs the input {name!r}",
                expected=name,
                step_id=step["id"],
            )
