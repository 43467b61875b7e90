"""Binding: a valid document with what its component references mean now; runs are pinned to the result."""

from __future__ import annotations

from typing import Any

from openagents_json.workflow.component_spec import Catalog, ComponentSpec
from openagents_json.workflow.definition import Definition, define
from openagents_json.workflow.errors import InvalidDefinition
from openagents_json.workflow.language.validate import Checked, check
from openagents_json.workflow.types import Json


def bind(document: Any, catalog: Catalog) -> Definition:
    """Validate a document (parsed, or its text) and bind its component references.

    Raises InvalidDefinition with every problem.
    """
    return bind_checked(check(document, catalog), catalog)


def bind_checked(checked: Checked, catalog: Catalog) -> Definition:
    """Bind the component references of a document that has been looked through.

    Raises InvalidDefinition with every problem.
    """
    if not checked.report.valid:
        raise InvalidDefinition(checked.report)
    bindings: dict[str, Json] = {}
    for location in checked.steps:
        spec = (
            catalog.find(location.step["component"])
            if "component" in location.step
            else None
        )
        if spec is not None:
            bindings[location.path] = _binding(spec)
    return define(checked.report.document, bindings, checked.names, checked.encoded)


def _binding(spec: ComponentSpec) -> dict[str, Json]:
    binding: dict[str, Json] = {
        "component": spec.name,
        "version": spec.version,
        "kind": spec.kind,
        "queue": spec.queue,
        "is_async": spec.is_async,
        "effect": spec.effect,
        "timeout_ms": spec.timeout_ms,
        "lost_limit": spec.lost_limit,
    }
    # Only where there is one: the hashes of all other definitions stay as they were.
    if spec.retry is not None:
        binding["retry"] = dict(spec.retry)
    if spec.timeouts is not None:
        binding["timeouts"] = dict(spec.timeouts)
    return binding
