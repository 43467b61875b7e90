"""What kind of step a step is, and which options do not go with that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.steps import KIND_OPTIONS

KINDS = tuple(item.name for item in KIND_OPTIONS)
NOT_RETRIED = ("loop", "steps", "sleep", "wait_for", "terminate")
NOT_REPEATED = ("loop", "terminate")
OF_COMPONENTS = ("mutex", "rate_limit", "fairness")
OF_FOREACH = ("max_concurrency", "tolerated_failures", "min_success", "enough")


def check_kind(step: Mapping[str, Any], pointer: str, collector: Collector) -> None:
    """Look at what kind of step it is, and which options do not go with that."""
    kinds = [kind for kind in KINDS if kind in step]
    if "loop" in step and "steps" in step:
        kinds.remove("steps")
    if len(kinds) != 1:
        _refuse_kinds(step, kinds, pointer, collector)
        return
    _check_loop(step, pointer, collector)
    _check_combinations(step, kinds[0], pointer, collector)
    _check_ignored(step, kinds[0], pointer, collector)


def _refuse_kinds(
    step: Mapping[str, Any], kinds: list[str], pointer: str, collector: Collector
) -> None:
    has = " and ".join(kinds) or "none"
    collector.error(
        "ambiguous_step" if kinds else "schema_error.required",
        pointer,
        f"a step needs one of {', '.join(KINDS)}; this one has {has}",
        found=kinds,
        expected=list(KINDS),
        step_id=step["id"],
    )


def _check_loop(step: Mapping[str, Any], pointer: str, collector: Collector) -> None:
    loop = step.get("loop")
    if isinstance(loop, Mapping) and ("steps" in loop) == ("steps" in step):
        collector.error(
            "missing_loop_steps",
            f"{pointer}/loop",
            "a loop needs its steps, in one place: under loop/steps",
            expected="steps",
            step_id=step["id"],
        )


def _check_combinations(
    step: Mapping[str, Any], kind: str, pointer: str, collector: Collector
) -> None:
    """Refuse options that a step of a kind cannot have."""

    def refuse(key: str, message: str) -> None:
        collector.error(
            "unsupported_combination",
            f"{pointer}/{key}",
            message,
            found=kind,
            step_id=step["id"],
        )

    if "foreach" in step and kind in NOT_REPEATED:
        refuse(
            "foreach",
            f"foreach does not go with {kind}; put the {kind} step into a block: steps",
        )
    if kind == "component":
        return
    for key in OF_COMPONENTS:
        if key in step:
            refuse(key, f"{key} goes with component only; put it on the steps inside")


def _check_ignored(
    step: Mapping[str, Any], kind: str, pointer: str, collector: Collector
) -> None:
    """Warn of options that mean nothing in a step of a kind."""
    if "retry" in step and kind in NOT_RETRIED:
        collector.warn(
            "ignored_option",
            f"{pointer}/retry",
            f"a step with {kind} is not tried again; give retry to the steps inside",
            found="retry",
            step_id=step["id"],
        )
    if "foreach" in step:
        return
    for key in OF_FOREACH:
        if key in step:
            collector.warn(
                "ignored_option",
                f"{pointer}/{key}",
                f"{key} means something with foreach only",
                step_id=step["id"],
            )
