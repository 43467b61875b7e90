"""One step of a document, compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from openagents_json.workflow.core.plan import (
    Block,
    Child,
    Edge,
    ErrorHandler,
    Foreach,
    Gate,
    Loop,
    SignalWait,
    StepPlan,
    Timeouts,
    Timer,
    Wait,
)
from openagents_json.workflow.core.retry import RetryPolicy
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.names import SECRETS, Names
from openagents_json.workflow.expressions.secret_places import SecretText, secret_texts
from openagents_json.workflow.expressions.templates import (
    Template,
    compile_condition,
    compile_value,
    literal,
)
from openagents_json.workflow.language.graph import goto_target
from openagents_json.workflow.language.scoping import (
    inner_names,
    item_names,
    local,
    references_of,
)
from openagents_json.workflow.language.steps import (
    KIND_OPTIONS,
    Count,
    Duration,
    Nap,
    Retry,
    Signal,
    Step,
)
from openagents_json.workflow.language.steps import Timeouts as TimeoutOptions
from openagents_json.workflow.types import Json

ENGINE_QUEUE: Final = "engine"
_UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A step plan whose edges are not known yet, and the steps that its templates refer to."""

    plan: StepPlan
    references: tuple[tuple[str, str], ...]

    def with_edges(
        self, incoming: tuple[Edge, ...], targets: tuple[str, ...], **changes: Any
    ) -> StepPlan:
        """Return the plan with its edges."""
        return replace(self.plan, incoming=incoming, targets=targets, **changes)


def ms(seconds: Any) -> int:
    """Return seconds as ms."""
    return round(float(seconds or 0) * 1000)


def optional(value: Json, names: Names, pointer: str) -> Template | None:
    """Compile a condition, if there is one."""
    if value is None:
        return None
    return (
        compile_condition(value, names, pointer)
        if isinstance(value, str)
        else compile_value(value, names, pointer)
    )


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
    maker = _TemplateCompiler(model, path, names, inner, pointer, block)
    join, cancel_rest = _join(model.join)
    queue = binding.get("queue", ENGINE_QUEUE)
    inputs, condition = maker.inputs(), maker.condition()
    plan = StepPlan(
        id=step["id"],
        path=path,
        kind=kind_of(step),
        component=model.component,
        queue=f"{queue}.async" if binding.get("is_async") else queue,
        priority=int(model.priority),
        join=join,
        cancel_rest=cancel_rest,
        retry=_retry(model.retry),
        timeouts=_timeouts(model, binding),
        on_error=maker.handlers(),
        effect=model.effect or binding.get("effect") or "idempotent",
        lost_limit=int(binding.get("lost_limit", 3)),
        inputs=inputs,
        outputs=maker.outputs(),
        condition=condition,
        terminate=maker.terminate(),
        secrets=maker.secrets(),
        foreach=maker.foreach(condition),
        block=block,
        loop=maker.loop(),
        sleep=maker.timer(model.sleep, inner, f"{pointer}/sleep")
        if model.says("sleep")
        else None,
        wait=maker.wait(),
        child=None if model.workflow is None else Child(model.workflow, model.detached),
        gates=maker.gates(),
        compensated=model.compensate is not None,
        persist=bool((model.state or {}).get("persist")),
    )
    return Compiled(plan, tuple(maker.references))


def kind_of(step: Mapping[str, Any]) -> str:
    """Return the kind of a step; what has `steps` beside something else is that, with the steps inside."""
    kinds = [item.does for item in KIND_OPTIONS if item.name in step]
    return next(
        (kind for kind in kinds if kind not in ("component", "block")),
        "block" if "steps" in step else "component",
    )


class _TemplateCompiler:
    """Compiles the templates of a step and notes what they refer to."""

    def __init__(
        self,
        step: Step,
        path: str,
        names: Names,
        inner: Names,
        pointer: str,
        block: Block | None,
    ) -> None:
        self.step = step
        self.path = path
        self.names = names
        self.inside = inner
        self.pointer = pointer
        # What a step says of itself does not see the steps inside of it; validation has looked at it in the same way.
        self.own = local(names, *inner_names(step.json))
        self.block = block.order if block else ()
        self.references: list[tuple[str, str]] = []

    def _note(self, template: Template | None, names: Names) -> None:
        if template is not None:
            self.references += references_of(template.parts, names, self.step.id)

    def _value(self, value: Json, names: Names, pointer: str) -> Template:
        template = compile_value(value, names, pointer)
        self._note(template, names)
        return template

    def _optional(self, value: Json, names: Names, pointer: str) -> Template | None:
        template = optional(value, names, pointer)
        self._note(template, names)
        return template

    def inputs(self) -> dict[str, Template]:
        here = local(self.own, SECRETS)
        given = self.step.inputs or {}
        return {
            name: self._value(value, here, f"{self.pointer}/inputs/{name}")
            for name, value in given.items()
        }

    def secrets(self) -> tuple[SecretText, ...]:
        if (
            SECRETS in self.own.local
        ):  # an item of a foreach has the name: then it is data
            return ()
        return tuple(secret_texts(self.step.inputs or {}, local(self.own, SECRETS), ()))

    def condition(self) -> Template | None:
        names = self.own if self.step.says("foreach") else self.names
        return self._optional(self.step.condition, names, f"{self.pointer}/condition")

    def terminate(self) -> tuple[str, Template | None] | None:
        spec = self.step.terminate
        if spec is None:
            return None
        output = spec.output
        template = (
            None
            if output is None
            else self._value(output, self.own, f"{self.pointer}/terminate/output")
        )
        return (
            "failed" if spec.status in ("failure", "failed") else "completed"
        ), template

    def handlers(self) -> tuple[ErrorHandler, ...]:
        handlers = []
        for index, handler in enumerate(self.step.on_error or ()):
            goto = goto_target(handler.json)
            then = "goto" if goto else str(handler.then)
            at = f"{self.pointer}/on_error/{index}/output"
            template = (
                None
                if handler.output is None
                else compile_value(handler.output, local(self.own, "error"), at)
            )
            handlers.append(
                ErrorHandler(tuple(handler.errors or ()), then, goto, template)
            )
        return tuple(handlers)

    def outputs(self) -> dict[str, Template | str]:
        here, outputs = local(self.names, "result", "output"), {}
        for name, value in (self.step.outputs or {}).items():
            template = compile_value(value, here, f"{self.pointer}/outputs/{name}")
            outputs[name] = (
                value if isinstance(value, str) and not template.parts else template
            )
        return outputs

    def foreach(self, condition: Template | None) -> Foreach | None:
        if not self.step.says("foreach"):
            return None
        step = self.step
        item, index = item_names(step.json)
        enough = step.enough
        looks = condition is not None and any(
            path[0] in (item, index) for p in condition.parts for path in p.paths
        )
        return Foreach(
            items=self._value(step.foreach, self.names, f"{self.pointer}/foreach"),
            item=item,
            index=index,
            window=int(step.max_concurrency or 0),
            tolerated=step.tolerated_failures,
            min_success=step.min_success,
            per_item_condition=looks,
            enough=None if enough is None else enough.n,
            cancel_rest=enough is not None and enough.cancel_rest,
        )

    def loop(self) -> Loop | None:
        spec = self.step.loop
        if spec is None:
            return None
        at = f"{self.pointer}/loop"
        condition = self._optional(spec.while_, self.inside, f"{at}/while")
        return Loop(
            condition,
            self._optional(spec.until, self.inside, f"{at}/until"),
            int(spec.max_iterations),
            spec.at_limit == "fail",
            condition is not None
            and any(s in self.block for part in condition.parts for s in part.steps),
        )

    def timer(self, spec: Duration | Json, names: Names, pointer: str) -> Timer:
        if not isinstance(spec, Duration):
            return Timer(seconds=self._value(spec, names, pointer))
        if spec.says("until"):
            return Timer(until=self._value(spec.until, names, f"{pointer}/until"))
        units = {unit: spec.json[unit] for unit in _UNITS if spec.says(unit)}
        return Timer(
            seconds=_sum(
                {
                    unit: self._value(n, names, f"{pointer}/{unit}")
                    for unit, n in units.items()
                }
            )
        )

    def wait(self) -> Wait | None:
        spec = self.step.wait_for
        if spec is None:
            return None
        at = f"{self.pointer}/wait_for"
        timeout = spec.timeout if spec.says("timeout") else self.step.timeout
        limit = (
            None if not timeout else self._value(timeout, self.inside, f"{at}/timeout")
        )
        if isinstance(spec, Signal):
            return Wait((self._signal(spec, at),), timeout=limit)
        signals, timers = [], []
        for index, branch in enumerate(spec.any):
            if isinstance(branch, Signal):
                signals.append(self._signal(branch, f"{at}/any/{index}"))
            else:
                timers.append(self._branch_timer(branch, f"{at}/any/{index}"))
        return Wait(tuple(signals), timers[0] if timers else None, limit, any=True)

    def _branch_timer(self, branch: Nap | Duration, pointer: str) -> Timer:
        if isinstance(branch, Nap):
            return self.timer(branch.sleep, self.inside, f"{pointer}/sleep")
        return self.timer(branch, self.inside, pointer)

    def _signal(self, spec: Signal, pointer: str) -> SignalWait:
        key = spec.key
        return SignalWait(
            self._value(spec.signal, self.inside, f"{pointer}/signal"),
            None if key is None else self._value(key, self.inside, f"{pointer}/key"),
            spec.schema,
        )

    def gates(self) -> tuple[Gate, ...]:
        gates = []
        rate = self.step.rate_limit
        if rate is not None:
            if rate.key is None:
                key = literal(
                    self.path if self.step.component is None else self.step.component
                )
            else:
                key = self._value(
                    rate.key, self.inside, f"{self.pointer}/rate_limit/key"
                )
            gates.append(Gate("rate", key, int(rate.limit), ms(rate.per_seconds)))
        mutex = self.step.mutex
        if mutex is not None:
            template = self._value(mutex.key, self.inside, f"{self.pointer}/mutex")
            gates.append(Gate("mutex", template, int(mutex.limit)))
        return tuple(gates)


def gate(
    kind: str,
    key: Json,
    limit: int,
    per_ms: int,
    policy: str,
    names: Names,
    pointer: str,
) -> Gate:
    """Return the gate of a run."""
    return Gate(kind, compile_value(key, names, pointer), limit, per_ms, policy)


def _sum(templates: Mapping[str, Template]) -> Template:
    """Return the seconds of a duration in units."""

    def evaluate(lookup: Any) -> Json:
        total = 0.0
        for unit, template in templates.items():
            value = template.evaluate(lookup)
            try:
                total += float(value) * _UNITS[unit]
            except (TypeError, ValueError, OverflowError):
                raise ExpressionFailed(
                    unit, f"{value!r:.60} is not a number of {unit}"
                ) from None
        return total

    return Template(tuple(_parts(templates.values())), evaluate)


def _parts(templates: Iterable[Template]) -> list[Any]:
    return [part for template in templates for part in template.parts]


def _join(value: str | Count) -> tuple[str | int, bool]:
    if isinstance(value, Count):
        return value.n, value.cancel_rest
    return (1 if value == "any" else "all"), False


def _retry(retry: Retry | None) -> RetryPolicy:
    if retry is None:
        return RetryPolicy()
    longest, elapsed = retry.max_delay_seconds, retry.max_elapsed_seconds
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
    given = step.timeouts or TimeoutOptions({})
    close = step.timeout if given.start_to_close is None else given.start_to_close
    return Timeouts(
        schedule_to_start_ms=ms(given.schedule_to_start),
        start_to_close_ms=ms(close) or int(binding.get("timeout_ms", 0)),
        heartbeat_ms=ms(given.heartbeat),
        total_ms=ms(given.total),
    )
