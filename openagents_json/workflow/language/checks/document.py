"""What a document says beside its steps and connections, and what only all of them together tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from openagents_json.workflow.core.parameters import check_value
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.references import compiled
from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.problems import Collector

RESERVED: Final = frozenset(
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


def check_reserved(locations: Iterable[StepLocation], collector: Collector) -> None:
    """Warn of ids that mean something else in templates."""
    for location in locations:
        name = location.step["id"]
        if name in RESERVED and not location.path.endswith(COMPENSATE):
            message = f"{name!r} means something else in templates; refer to the step as steps['{name}']"
            at = f"{location.pointer}/id"
            collector.warn("reserved_name", at, message, found=name, step_id=name)


def check_unique(locations: Iterable[StepLocation], collector: Collector) -> None:
    """Refuse an id that stands at more than one step."""
    first_pointers: dict[str, str] = {}
    for location in locations:
        if location.path.endswith(COMPENSATE):
            continue
        name = location.step["id"]
        at = f"{location.pointer}/id"
        first = first_pointers.setdefault(name, location.pointer)
        if first != location.pointer:
            message = f"step {name!r} is there already, at {first}; ids are unique, inside of loops and blocks too"
            collector.error("duplicate_step_id", at, message, found=name, step_id=name)


def check_results(
    document: Mapping[str, Any], names: Names, collector: Collector
) -> None:
    """Look at the templates of what a document gives."""
    if "output" in document:
        compiled(
            value=document["output"],
            names=names,
            pointer="/output",
            collector=collector,
            step_id=None,
        )
    for name, spec in object_of(document.get("outputs")).items():
        source = object_of(spec).get("source")
        if isinstance(source, str):
            pointer = f"/outputs/{escape(name)}/source"
            compiled(source, names, pointer, collector, None)


def check_defaults(document: Mapping[str, Any], collector: Collector) -> None:
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


def check_limit_keys(
    document: Mapping[str, Any], names: Names, collector: Collector
) -> None:
    """Look at the keys of limits, which see the inputs of the run."""
    for name in ("concurrency", "debounce", "fairness"):
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
