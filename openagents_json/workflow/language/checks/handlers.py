"""The error handlers of a step: where they go, and what they give instead of a result."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.language.checks.references import compiled
from openagents_json.workflow.language.checks.shapes import array_of
from openagents_json.workflow.language.graph import goto_target
from openagents_json.workflow.language.problems import Collector, Nearest
from openagents_json.workflow.language.scoping import local


def check_handlers(
    step: Mapping[str, Any],
    pointer: str,
    inner: Names,
    siblings: Set[str],
    collector: Collector,
) -> None:
    """Look at the error handlers of a step; `siblings` are the ids of the steps of its block."""
    for index, handler in enumerate(array_of(step.get("on_error"))):
        if not isinstance(handler, Mapping):
            continue
        at = f"{pointer}/on_error/{index}"
        _check_target(handler, step, at, siblings, collector)
        if "output" in handler:
            names = local(inner, "error")
            compiled(
                value=handler["output"],
                names=names,
                pointer=f"{at}/output",
                collector=collector,
                step_id=step["id"],
            )


def _check_target(
    handler: Mapping[str, Any],
    step: Mapping[str, Any],
    pointer: str,
    siblings: Set[str],
    collector: Collector,
) -> None:
    """Look up the step that a handler goes to, if it goes to one."""
    then = handler.get("then")
    target = goto_target(handler)
    if not isinstance(target, str):
        if isinstance(then, str) and then.startswith("goto"):
            collector.error(
                "missing_referenced_step",
                pointer,
                "goto needs the step to go to",
                found=then,
                step_id=step["id"],
            )
    elif target not in siblings:
        collector.error(
            "missing_referenced_step",
            pointer,
            f"there is no step {target!r} to go to",
            found=target,
            near=Nearest(target, siblings),
            step_id=step["id"],
        )
    elif "foreach" in step:
        collector.error(
            "unsupported_combination",
            pointer,
            "an item of a foreach cannot go to another step; say continue, or fail",
            found=target,
            step_id=step["id"],
        )
