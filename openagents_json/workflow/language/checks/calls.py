"""Calls of a workflow by itself that can never come to anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openagents_json.workflow.language.nested_steps import StepLocation, steps_in
from openagents_json.workflow.language.problems import Collector

STOPS = ("condition", "foreach", "on_error")
"""What may keep a step from running, or its failure from ending the run."""


def check_calls(
    document: Mapping[str, Any], locations: Iterable[StepLocation], collector: Collector
) -> None:
    """Warn of a run that starts itself without end, and of one that leaves no place to those that it starts."""
    stops = _may_stop(document)
    for location in locations:
        reference = location.step.get("workflow")
        name = location.step["id"]
        if not isinstance(reference, str) or reference.partition("@")[
            0
        ] != document.get("id"):
            continue
        if location.step.get("detached") is True:
            _check_detached(document, location, collector)
        elif "." not in location.path and not (
            stops or any(key in location.step for key in STOPS)
        ):
            message = (
                "the workflow calls itself each time, until the depth of runs "
                f"is too great: give {name!r} a condition"
            )
            collector.warn(
                "endless_call",
                f"{location.pointer}/workflow",
                message,
                found=reference,
                step_id=name,
            )


def _may_stop(document: Mapping[str, Any]) -> bool:
    """Tell whether something may keep any step from running: in doubt, it does."""
    steps = [other for _, other in steps_in(document)]
    ends = any(
        "terminate" in other or "condition" in other or "on_error" in other
        for other in steps
    )
    return ends or bool(document.get("connections"))


def _check_detached(
    document: Mapping[str, Any], location: StepLocation, collector: Collector
) -> None:
    spec = document.get("concurrency")
    if not isinstance(spec, Mapping):
        return
    admits_one = spec.get("on_limit") == "reject" and spec.get("limit") == 1
    if not admits_one:
        return
    if "{" in str(spec.get("key", "")):  # another run may have another key
        return
    message = f"the run has the only place, so each run that {location.path!r} starts is refused; let it queue"
    collector.warn(
        "refused_by_itself",
        f"{location.pointer}/workflow",
        message,
        found="reject",
        step_id=location.step["id"],
    )
