"""Binding: a valid document with what its component references mean now; runs are pinned to the result."""

from __future__ import annotations

from typing import Any

from openagents_json.workflow.catalog import Catalog, ComponentSpec
from openagents_json.workflow.errors import InvalidDefinition
from openagents_json.workflow.nested import all_steps
from openagents_json.workflow.types import Json
from openagents_json.workflow.validation import validate


def bind(document: Any, catalog: Catalog) -> Json:
    """Validate a document (parsed, or its text) and bind its component references.

    Raises InvalidDefinition with every problem.
    """
    report = validate(document, catalog)
    if not report.valid:
        raise InvalidDefinition(report)
    bindings = {}
    for place in all_steps(report.document):
        spec = catalog.find(place.step["component"]) if "component" in place.step else None
        if spec is not None:
            bindings[place.path] = _binding(spec)
    return {"document": report.document, "bindings": bindings}


def _binding(spec: ComponentSpec) -> dict[str, Json]:
    return {
        "component": spec.name,
        "version": spec.version,
        "kind": spec.kind,
        "queue": spec.queue,
        "is_async": spec.is_async,
        "effect": spec.effect,
        "timeout_ms": spec.timeout_ms,
        "lost_limit": spec.lost_limit,
    }
