"""One step of a document, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from openagents_json.workflow.core.plan import (
    ENGINE_QUEUE,
    Block,
    Child,
    Edge,
    Fairness,
    StepPlan,
    Timeouts,
)
from openagents_json.workflow.core.retry import RetryPolicy
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.language.step_templates import StepTemplates, ms
from openagents_json.workflow.language.steps import KIND_OPTIONS, Count, Retry, Step
from openagents_json.workflow.language.steps import Timeouts as TimeoutOptions
from openagents_json.workflow.versions import bound_reference


@dataclass(frozen=True, slots=True)
class Compiled:
    """A step plan whose edges are not known yet, and the steps that its templates refer to."""

    plan: StepPlan
    references: tuple[tuple[str, str], ...]

    def with_fairness(self, fairness: Fairness | None) -> Compiled:
        """Return it with the key that the workflow has for it."""
        return Compiled(replace(self.plan, fairness=fairness), self.references)

    def with_edges(
        self, incoming: tuple[Edge, ...], targets: tuple[str, ...], **changes: Any
    ) -> StepPlan:
        """Return the plan with its edges."""
        plan = replace(self.plan, incoming=incoming, targets=targets, **changes)
        may_be_skipped = plan.join != "all" or any(edge.condition for edge in incoming)
        if may_be_skipped:
            return plan
        return replace(plan, sources=frozenset(edge.source for edge in incoming))


def compile_step(
    step: Mapping[str, Any],
    path: str,
    names: Names,
    inner: Names,
    binding: Mapping[str, Any],
    pointer: str,
    block: Block | None,
) -> Compiled:
    """Compile a step; `names` are those around it, `inner` those of its items and iterations too.

    Raises ExpressionError.
    """
    model = Step(step)
    templates = StepTemplates(
        step=model, path=path, names=names, inner=inner, pointer=pointer, block=block
    )
    inputs = templates.inputs()
    condition = templates.condition()
    join, cancel_rest = _join(model.join)
    plan = StepPlan(
        id=step["id"],
        path=path,
        kind=kind_of(step),
        component=model.component,
        bound=bound_reference(model.component or "", str(binding.get("version", ""))),
        queue=_queue(binding),
        priority=int(model.priority),
        join=join,
        cancel_rest=cancel_rest,
        retry=_retry(_retry_of(model, binding)),
        timeouts=_timeouts(model, binding),
        on_error=templates.handlers(),
        effect=model.effect or binding.get("effect") or "idempotent",
        lost_limit=int(binding.get("lost_limit", 3)),
        inputs=inputs,
        outputs=templates.outputs(),
        condition=condition,
        terminate=templates.terminate(),
        secrets=templates.secrets(),
        foreach=templates.foreach(condition),
        block=block,
        loop=templates.loop(),
        sleep=templates.sleep(),
        wait=templates.wait(),
        child=_child(model),
        gates=templates.gates(),
        fairness=templates.fairness(),
        compensated=model.compensate is not None,
        persist=bool((model.state or {}).get("persist")),
    )
    return Compiled(plan, tuple(templates.references))


def kind_of(step: Mapping[str, Any]) -> str:
    """Return the kind of a step; what has `steps` beside something else is that, with the steps inside."""
    kinds = [item.does for item in KIND_OPTIONS if item.name in step]
    for kind in kinds:
        if kind not in ("component", "block"):
            return kind
    return "block" if "steps" in step else "component"


def _queue(binding: Mapping[str, Any]) -> str:
    queue = str(binding.get("queue", ENGINE_QUEUE))
    if binding.get("is_async"):
        return f"{queue}.async"
    return queue


def _child(step: Step) -> Child | None:
    if step.workflow is None:
        return None
    return Child(step.workflow, step.detached)


def _join(value: str | Count) -> tuple[str | int, bool]:
    if isinstance(value, Count):
        return value.n, value.cancel_rest
    if value == "any":
        return 1, False
    return "all", False


def _retry_of(step: Step, binding: Mapping[str, Any]) -> Retry | None:
    """Return what the step says of retries, else what its component has declared; the two are not mixed."""
    declared = binding.get("retry")
    if step.retry is not None or declared is None:
        return step.retry
    return Retry(declared)


def _retry(retry: Retry | None) -> RetryPolicy:
    if retry is None:
        return RetryPolicy()
    longest = retry.max_delay_seconds
    elapsed = retry.max_elapsed_seconds
    return RetryPolicy(
        max_retries=int(retry.max_retries),
        delay_ms=ms(retry.delay_seconds),
        multiplier=float(retry.backoff_multiplier),
        max_delay_ms=None if longest is None else ms(longest),
        jitter=0.1 if retry.jitter is True else float(retry.jitter),
        retry_on=tuple(retry.retry_on or ()),
        no_retry_on=tuple(retry.no_retry_on or ()),
        max_retry_after_ms=ms(retry.max_retry_after_seconds),
        max_elapsed_ms=None if elapsed is None else ms(elapsed),
    )


def _timeouts(step: Step, binding: Mapping[str, Any]) -> Timeouts:
    """Return the time limits of a step: of each, what the step says, else what its component has declared."""
    own = step.timeouts or TimeoutOptions({})
    declared = TimeoutOptions(binding.get("timeouts") or {})

    def limit(name: str) -> int:
        return ms(getattr(own if own.says(name) else declared, name))

    close = step.timeout if own.start_to_close is None else own.start_to_close
    of_component = ms(declared.start_to_close) or int(binding.get("timeout_ms", 0))
    return Timeouts(
        schedule_to_start_ms=limit("schedule_to_start"),
        start_to_close_ms=ms(close) or of_component,
        heartbeat_ms=limit("heartbeat"),
        total_ms=limit("total"),
    )
