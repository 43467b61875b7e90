"""Inputs of a document, and outputs of its steps, that nothing refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain
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
    declare_outputs = [*locations]
    if has_result and ("steps",) not in uses:
        for location in declare_outputs:
            _check_outputs(location, uses, collector)
    if "output" not in document:
        _check_unset(document, declare_outputs, collector)


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


def _check_unset(
    document: Mapping[str, Any],
    locations: Iterable[StepLocation],
    collector: Collector,
) -> None:
    """Warn of declared outputs that have no source, and that no step sets."""
    every = [object_of(location.step.get("outputs")) for location in locations]
    values = {*filter(_sets_output, chain(*map(dict.values, map(dict, every))))}
    for name, declared in object_of(document.get("outputs")).items():
        is_set = f"{_WORKFLOW_OUTPUT}{name}" in values
        if "source" not in object_of(declared) and not is_set:
            collector.warn(
                "unset_output",
                f"/outputs/{escape(name)}",
                f"nothing sets the output {name!r}, so it is always null",
                found=name,
                suggestion=f'give it a source, or set it by "workflow.{name}" in the outputs of a step',
            )


def _outputs_of(step: Mapping[str, Any]) -> Iterator[str]:
    outputs = object_of(step.get("outputs"))
    return (name for name, value in outputs.items() if not _sets_output(value))


def _sets_output(value: Any) -> bool:
    """Tell whether a value of `outputs` of a step names an output of the workflow."""
    return isinstance(value, str) and value.startswith(_WORKFLOW_OUTPUT)
