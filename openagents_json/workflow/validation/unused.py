"""Inputs of a document, and outputs of its steps, that nothing refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.problems import Collector, Use

_WORKFLOW_OUTPUT = "workflow."


def check_unused(
    document: Mapping[str, Any],
    locations: Iterable[StepLocation],
    uses: Set[Use],
    collector: Collector,
) -> None:
    """Warn of inputs and outputs that nothing refers to; what is handed on as a whole is used as a whole."""
    if ("inputs",) not in uses:
        _check_inputs(document, uses, collector)
    # Without a result of its own, a run gives what its last steps give.
    has_result = "output" in document or "outputs" in document
    if has_result and ("steps",) not in uses:
        for location in locations:
            _check_outputs(location, uses, collector)


def _check_inputs(
    document: Mapping[str, Any], uses: Set[Use], collector: Collector
) -> None:
    for name in object_of(document.get("inputs")):
        if ("inputs", name) not in uses:
            message = f"nothing refers to the input {name!r}"
            pointer = f"/inputs/{escape(name)}"
            collector.warn("unused_input", pointer, message, found=name)


def _check_outputs(
    location: StepLocation, uses: Set[Use], collector: Collector
) -> None:
    step = location.step["id"]
    if ("steps", step) in uses:
        return
    for name in _outputs_of(location.step):
        if ("steps", step, name) not in uses:
            collector.warn(
                "unused_output",
                f"{location.pointer}/outputs/{escape(name)}",
                f"nothing refers to the output {name!r} of step {step!r}",
                found=name,
                step_id=step,
            )


def _outputs_of(step: Mapping[str, Any]) -> Iterator[str]:
    outputs = object_of(step.get("outputs"))
    return (name for name in outputs if not name.startswith(_WORKFLOW_OUTPUT))
