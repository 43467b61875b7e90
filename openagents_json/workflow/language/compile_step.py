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
from openagents_json.workflow.core.retry import DAY_MS, RetryPolicy
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.secret_places import SecretText, secret_texts
from openagents_json.workflow.expressions.templates import (
    SECRETS,
    Names,
    Template,
    compile_condition,
    compile_value,
    literal,
)
from openagents_json.workflow.language.graph import goto_target
from openagents_json.workflow.language.scoping import inner_names, item_names, local, references_of
from openagents_json.workflow.types import Json

ENGINE_QUEUE: Final = "engine"
_UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A step plan whose edges are not known yet, and the steps that its templates refer to."""

    plan: StepPlan
    references: tuple[tuple[str, str], ...]

    def with_edges(self, incoming: tuple[Edge, ...], targets: tuple[str, ...], **changes: Any) -> StepPlan:
        """Give the plan with its edges."""
        return replace(self.plan, incoming=incoming, targets=targets, **changes)


def ms(seconds: Any) -> int:
    """Give seconds as ms."""
    return round(float(seconds or 0) * 1000)


def optional(value: Json, names: Names, pointer: str) -> Template | None:
    """Compile a condition, if there is one."""
    if value is None:
        return None
    return compile_condition(value, names, pointer) if isinstance(value, str) else compile_value(value, names, pointer)


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
    maker = _Maker(step, path, names, inner, pointer, block)
    join, cancel_rest = _join(step.get("join", "all"))
    queue = binding.get("queue", ENGINE_QUEUE)
    inputs, condition = maker.inputs(), maker.condition()
    plan = StepPlan(
        id=step["id"],
        path=path,
        kind=kind_of(step),
        component=step.get("component"),
        queue=f"{queue}.async" if binding.get("is_async") else queue,
        priority=int(step.get("priority", 0)),
        join=join,
        cancel_rest=cancel_rest,
        retry=_retry(step.get("retry")),
        timeouts=_timeouts(step, binding),
        on_error=maker.handlers(),
        effect=step.get("effect") or binding.get("effect") or "idempotent",
        lost_limit=int(binding.get("lost_limit", 3)),
        inputs=inputs,
        outputs=maker.outputs(),
        condition=condition,
        terminate=maker.terminate(),
        secrets=maker.secrets(),
        foreach=maker.foreach(condition),
        block=block,
        loop=maker.loop(),
        sleep=maker.timer(step["sleep"], inner, f"{pointer}/sleep") if "sleep" in step else None,
        wait=maker.wait(),
        child=_child(step),
        gates=maker.gates(),
        compensated=step.get("compensate") is not None,
        persist=bool((step.get("state") or {}).get("persist")),
    )
    return Compiled(plan, tuple(maker.references))


def kind_of(step: Mapping[str, Any]) -> str:
    """Give the kind of a step: component, terminate, sleep, wait, workflow, loop or block."""
    kinds = {"wait_for": "wait", "sleep": "sleep", "workflow": "workflow", "loop": "loop", "terminate": "terminate"}
    for key, kind in kinds.items():
        if key in step:
            return kind
    return "block" if "steps" in step else "component"


def _child(step: Mapping[str, Any]) -> Child | None:
    return Child(step["workflow"], bool(step.get("detached"))) if "workflow" in step else None


class _Maker:
    """Compiles the templates of a step and notes what they refer to."""

    def __init__(
        self, step: Mapping[str, Any], path: str, names: Names, inner: Names, pointer: str, block: Block | None
    ) -> None:
        self.step, self.path, self.names, self.inside, self.pointer = step, path, names, inner, pointer
        # What a step says of itself does not see the steps inside of it; validation has looked at it in the same way.
        self.own = local(names, *inner_names(step))
        self.block = block.order if block else ()
        self.references: list[tuple[str, str]] = []

    def _note(self, template: Template | None, names: Names) -> None:
        if template is not None:
            self.references += references_of(template.parts, names, self.step["id"])

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
        given = self.step.get("inputs") or {}
        return {name: self._value(value, here, f"{self.pointer}/inputs/{name}") for name, value in given.items()}

    def secrets(self) -> tuple[SecretText, ...]:
        if SECRETS in self.own.local:  # an item of a foreach has the name: then it is data
            return ()
        return tuple(secret_texts(self.step.get("inputs") or {}, local(self.own, SECRETS), ()))

    def condition(self) -> Template | None:
        names = self.own if "foreach" in self.step else self.names
        return self._optional(self.step.get("condition"), names, f"{self.pointer}/condition")

    def terminate(self) -> tuple[str, Template | None] | None:
        spec = self.step.get("terminate")
        if spec is None:
            return None
        status, output = (spec, None) if isinstance(spec, str) else (spec.get("status", "success"), spec.get("output"))
        template = None if output is None else self._value(output, self.own, f"{self.pointer}/terminate/output")
        return ("failed" if status in ("failure", "failed") else "completed"), template

    def handlers(self) -> tuple[ErrorHandler, ...]:
        found = []
        for index, value in enumerate(self.step.get("on_error") or ()):
            goto, output = goto_target(value), value.get("output")
            then = "goto" if goto else str(value.get("then", "fail"))
            at = f"{self.pointer}/on_error/{index}/output"
            template = None if output is None else compile_value(output, local(self.own, "error"), at)
            found.append(ErrorHandler(tuple(value.get("errors") or ()), then, goto, template))
        return tuple(found)

    def outputs(self) -> dict[str, Template | str]:
        here, made = local(self.names, "result", "output"), {}
        for name, value in (self.step.get("outputs") or {}).items():
            template = compile_value(value, here, f"{self.pointer}/outputs/{name}")
            made[name] = value if isinstance(value, str) and not template.parts else template
        return made

    def foreach(self, condition: Template | None) -> Foreach | None:
        if "foreach" not in self.step:
            return None
        step, (item, index) = self.step, item_names(self.step)
        enough = step.get("enough")
        looks = condition is not None and any(path[0] in (item, index) for p in condition.parts for path in p.paths)
        return Foreach(
            items=self._value(step["foreach"], self.names, f"{self.pointer}/foreach"),
            item=item,
            index=index,
            window=int(step.get("max_concurrency") or 0),
            tolerated=step.get("tolerated_failures"),
            min_success=step.get("min_success"),
            per_item_condition=looks,
            enough=enough.get("n") if isinstance(enough, Mapping) else enough,
            cancel_rest=isinstance(enough, Mapping) and bool(enough.get("cancel_rest")),
        )

    def loop(self) -> Loop | None:
        spec = self.step.get("loop")
        if not isinstance(spec, Mapping):
            return None
        at = f"{self.pointer}/loop"
        condition = self._optional(spec.get("while"), self.inside, f"{at}/while")
        return Loop(
            condition,
            self._optional(spec.get("until"), self.inside, f"{at}/until"),
            int(spec["max_iterations"]),
            spec.get("at_limit") == "fail",
            condition is not None and any(s in self.block for part in condition.parts for s in part.steps),
        )

    def timer(self, spec: Json, names: Names, pointer: str) -> Timer:
        if not isinstance(spec, Mapping):
            return Timer(seconds=self._value(spec, names, pointer))
        if "until" in spec:
            return Timer(until=self._value(spec["until"], names, f"{pointer}/until"))
        sums = {unit: self._value(spec[unit], names, f"{pointer}/{unit}") for unit in _UNITS if unit in spec}
        return Timer(seconds=_sum(sums))

    def wait(self) -> Wait | None:
        spec = self.step.get("wait_for")
        if spec is None:
            return None
        at = f"{self.pointer}/wait_for"
        if not isinstance(spec, Mapping):
            spec = {"signal": spec}
        timeout = spec.get("timeout", self.step.get("timeout"))
        limit = None if not timeout else self._value(timeout, self.inside, f"{at}/timeout")
        if "any" not in spec:
            return Wait((self._signal(spec, at),), timeout=limit)
        branches = [(b, f"{at}/any/{i}") for i, b in enumerate(spec["any"])]
        signals = [self._signal({"signal": b} if isinstance(b, str) else b, p) for b, p in branches if _is_signal(b)]
        timers = [self._branch_timer(b, p) for b, p in branches if not _is_signal(b)]
        return Wait(tuple(signals), timers[0] if timers else None, limit, any=True)

    def _branch_timer(self, branch: Mapping[str, Any], pointer: str) -> Timer:
        if "sleep" in branch:
            return self.timer(branch["sleep"], self.inside, f"{pointer}/sleep")
        return self.timer(branch, self.inside, pointer)

    def _signal(self, spec: Mapping[str, Any], pointer: str) -> SignalWait:
        key = spec.get("key")
        return SignalWait(
            self._value(spec["signal"], self.inside, f"{pointer}/signal"),
            None if key is None else self._value(key, self.inside, f"{pointer}/key"),
            spec.get("schema"),
        )

    def gates(self) -> tuple[Gate, ...]:
        found, mutex, rate = [], self.step.get("mutex"), self.step.get("rate_limit")
        if rate is not None:
            if "key" in rate:
                key = self._value(rate["key"], self.inside, f"{self.pointer}/rate_limit/key")
            else:
                key = literal(self.step.get("component", self.path))
            found.append(Gate("rate", key, int(rate["limit"]), ms(rate.get("per_seconds", 1))))
        if mutex is not None:
            spec = mutex if isinstance(mutex, Mapping) else {"key": mutex}
            template = self._value(spec["key"], self.inside, f"{self.pointer}/mutex")
            found.append(Gate("mutex", template, int(spec.get("limit", 1))))
        return tuple(found)


def gate(kind: str, key: Json, limit: int, per_ms: int, policy: str, names: Names, pointer: str) -> Gate:
    """Give the gate of a run."""
    return Gate(kind, compile_value(key, names, pointer), limit, per_ms, policy)


def _is_signal(branch: Json) -> bool:
    return isinstance(branch, str) or "signal" in branch


def _sum(templates: Mapping[str, Template]) -> Template:
    """Give the seconds of a duration in units."""

    def evaluate(lookup: Any) -> Json:
        total = 0.0
        for unit, template in templates.items():
            value = template.evaluate(lookup)
            try:
                total += float(value) * _UNITS[unit]
            except (TypeError, ValueError, OverflowError):
                raise ExpressionFailed(unit, f"{value!r:.60} is not a number of {unit}") from None
        return total

    return Template(tuple(_parts(templates.values())), evaluate)


def _parts(templates: Iterable[Template]) -> list[Any]:
    return [part for template in templates for part in template.parts]


def _join(value: Json) -> tuple[str | int, bool]:
    if isinstance(value, Mapping):
        return value.get("n", "all"), bool(value.get("cancel_rest"))
    return (1 if value == "any" else "all"), False


def _retry(value: Json) -> RetryPolicy:
    if value is None:
        return RetryPolicy()
    jitter = value.get("jitter", 0)
    longest, asked = value.get("max_delay_seconds"), value.get("max_retry_after_seconds")
    return RetryPolicy(
        max_retries=int(value.get("max_retries", value.get("max_attempts", 3))),
        delay_ms=ms(value.get("delay_seconds", 5)),
        multiplier=float(value.get("backoff_multiplier", 1.0)),
        max_delay_ms=None if longest is None else ms(longest),
        jitter=0.1 if jitter is True else float(jitter),
        retry_on=tuple(value.get("retry_on", ())),
        no_retry_on=tuple(value.get("no_retry_on", ())),
        max_retry_after_ms=DAY_MS if asked is None else ms(asked),
    )


def _timeouts(step: Mapping[str, Any], binding: Mapping[str, Any]) -> Timeouts:
    given = step.get("timeouts") or {}
    close = ms(given.get("start_to_close", step.get("timeout", 0))) or int(binding.get("timeout_ms", 0))
    return Timeouts(
        ms(given.get("schedule_to_start", 0)), close, ms(given.get("heartbeat", 0)), ms(given.get("total", 0))
    )
