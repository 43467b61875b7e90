"""What a step gives to the workflow that it calls, against the inputs that the document of that one declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.lookups import carried_in
from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.problems import Collector, Nearest


def check_called_inputs(
    step: Mapping[str, Any],
    pointer: str,
    called: Mapping[str, Any],
    carried: Set[str],
    collector: Collector,
) -> None:
    """Warn of inputs that a called workflow does not take, and of those that it needs and is not given.

    `carried` are the inputs that connections bring. A run may go on behind a step that fails, so neither is an error.
    """
    declared = object_of(called.get("inputs"))
    given = object_of(step.get("inputs")).keys()
    for name in sorted(_unknown(given, declared)):
        collector.warn(
            "unknown_called_input",
            f"{pointer}/inputs/{escape(name)}",
            f"workflow {step['workflow']} has no input {name!r}",
            found=name,
            near=Nearest(name, declared),
            step_id=step["id"],
        )
    for name in sorted(_needed(declared) - given - carried):
        collector.warn(
            "missing_called_input",
            f"{pointer}/inputs",
            f"workflow {step['workflow']} needs the input {name!r}",
            expected=name,
            suggestion=f"add {name!r} to the inputs of the step",
            step_id=step["id"],
        )


def check_carried_input(
    step: Mapping[str, Any],
    name: str,
    pointer: str,
    called: Mapping[str, Any],
    collector: Collector,
) -> None:
    """Warn of a connection to an input that a called workflow does not take; `pointer` is that of its target."""
    declared = object_of(called.get("inputs"))
    if _unknown({name}, declared):
        collector.warn(
            "missing_target_input",
            pointer,
            f"workflow {step['workflow']} has no input {name!r}",
            found=name,
            near=Nearest(name, declared),
            step_id=step["id"],
        )


def check_own_calls(
    document: Mapping[str, Any],
    locations: Iterable[StepLocation],
    collector: Collector,
) -> None:
    """Look at the calls of a document by itself, but for those in blocks: what connections bring there is not known."""
    carried = carried_in(document)
    own = document.get("id")
    for location in locations:
        step = location.step
        called = str(step.get("workflow")).partition("@")[0]
        if (called, location.path) == (own, step["id"]):
            arriving = carried.get(step["id"], frozenset())
            pointer = location.pointer
            check_called_inputs(step, pointer, document, arriving, collector)


def _unknown(given: Set[str], declared: Mapping[str, Any]) -> Set[str]:
    """Return the names that are given and not declared; a workflow that declares none takes anything."""
    return given - declared.keys() if declared else frozenset()


def _needed(declared: Mapping[str, Any]) -> Set[str]:
    """Return the inputs that have to be given."""
    return {name for name, spec in declared.items() if _is_needed(object_of(spec))}


def _is_needed(spec: Mapping[str, Any]) -> bool:
    return spec.get("required") is True and "default" not in spec
