"""The templates of one step, compiled, with what they refer to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from openagents_json.workflow.core.plan import (
    Block,
    ErrorHandler,
    Fairness,
    Foreach,
    Gate,
    Loop,
    SignalWait,
    Timer,
    Wait,
)
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.names import SECRETS, Names
from openagents_json.workflow.expressions.namespace import Lookup
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
from openagents_json.workflow.language.steps import ErrorHandler as HandlerOptions
from openagents_json.workflow.language.steps import Step
from openagents_json.workflow.language.waits import Duration, Nap, Signal
from openagents_json.workflow.types import Json

_UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def ms(seconds: Any) -> int:
    """Return seconds as ms."""
    return round(float(seconds or 0) * 1000)


def optional(value: Json, names: Names, pointer: str) -> Template | None:
    """Compile a condition, if there is one."""
    if value is None:
        return None
    if isinstance(value, str):
        return compile_condition(value, names, pointer)
    return compile_value(value, names, pointer)


class StepTemplates:
    """Compiles the templates of a step and notes what they refer to.

    `names` are those around it, `inner` those of its items and iterations too; `block` holds the steps inside of it.
    """

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
        self.inner_steps = block.order if block else ()
        self.references: list[tuple[str, str]] = []

    def _note(self, template: Template, names: Names) -> None:
        self.references += references_of(template.parts, names, self.step.id)

    def _value(self, value: Json, names: Names, at: str) -> Template:
        template = compile_value(value, names, f"{self.pointer}/{at}")
        self._note(template, names)
        return template

    def _value_if_any(self, value: Json, names: Names, at: str) -> Template | None:
        if value is None:
            return None
        return self._value(value, names, at)

    def _condition(self, value: Json, names: Names, at: str) -> Template | None:
        template = optional(value, names, f"{self.pointer}/{at}")
        if template is not None:
            self._note(template, names)
        return template

    # -- what goes in and comes out ----------------------------------------------------------------------

    def inputs(self) -> dict[str, Template]:
        names = local(self.own, SECRETS)
        given = self.step.inputs or {}
        return {
            name: self._value(value, names, f"inputs/{name}")
            for name, value in given.items()
        }

    def secrets(self) -> tuple[SecretText, ...]:
        if SECRETS in self.own.local:
            return ()  # an item of a foreach has the name: then it is data
        names = local(self.own, SECRETS)
        return tuple(secret_texts(self.step.inputs or {}, names, ()))

    def outputs(self) -> dict[str, Template | str]:
        names = local(self.names, "result", "output")
        outputs: dict[str, Template | str] = {}
        for name, value in (self.step.outputs or {}).items():
            pointer = f"{self.pointer}/outputs/{name}"
            template = compile_value(value, names, pointer)
            is_name = isinstance(value, str) and not template.parts
            outputs[name] = value if is_name else template
        return outputs

    def terminate(self) -> tuple[str, Template | None] | None:
        spec = self.step.terminate
        if spec is None:
            return None
        output = self._value_if_any(spec.output, self.own, "terminate/output")
        fails = spec.status in ("failure", "failed")
        return "failed" if fails else "completed", output

    def handlers(self) -> tuple[ErrorHandler, ...]:
        handlers = self.step.on_error or ()
        return tuple(
            self._handler(handler, f"on_error/{index}")
            for index, handler in enumerate(handlers)
        )

    def _handler(self, handler: HandlerOptions, at: str) -> ErrorHandler:
        goto = goto_target(handler.json)
        output = None
        if handler.output is not None:
            names = local(self.own, "error")
            pointer = f"{self.pointer}/{at}/output"
            output = compile_value(handler.output, names, pointer)
        then = "goto" if goto else str(handler.then)
        return ErrorHandler(tuple(handler.errors or ()), then, goto, output)

    # -- whether and how often it runs -------------------------------------------------------------------

    def condition(self) -> Template | None:
        names = self.own if self.step.says("foreach") else self.names
        return self._condition(self.step.condition, names, "condition")

    def foreach(self, condition: Template | None) -> Foreach | None:
        step = self.step
        if not step.says("foreach"):
            return None
        item, index = item_names(step.json)
        enough = step.enough
        return Foreach(
            items=self._value(step.foreach, self.names, "foreach"),
            item=item,
            index=index,
            window=int(step.max_concurrency or 0),
            tolerated=step.tolerated_failures,
            min_success=step.min_success,
            per_item_condition=_looks_at(condition, (item, index)),
            enough=None if enough is None else enough.n,
            cancel_rest=enough is not None and enough.cancel_rest,
        )

    def loop(self) -> Loop | None:
        spec = self.step.loop
        if spec is None:
            return None
        condition = self._condition(spec.while_, self.inside, "loop/while")
        return Loop(
            condition=condition,
            until=self._condition(spec.until, self.inside, "loop/until"),
            limit=int(spec.max_iterations),
            fails_at_limit=spec.at_limit == "fail",
            looks_inside=self._refers_inside(condition),
        )

    def _refers_inside(self, condition: Template | None) -> bool:
        """Tell whether a condition looks at steps of the loop, which have not run before the first iteration."""
        if condition is None:
            return False
        steps = {step for part in condition.parts for step in part.steps}
        return not steps.isdisjoint(self.inner_steps)

    def gates(self) -> tuple[Gate, ...]:
        gates = []
        rate = self.step.rate_limit
        if rate is not None:
            per_ms = ms(rate.per_seconds)
            gates.append(
                Gate(
                    kind="rate",
                    key=self._rate_key(rate.key),
                    limit=int(rate.limit),
                    per_ms=per_ms,
                )
            )
        mutex = self.step.mutex
        if mutex is not None:
            key = self._value(mutex.key, self.inside, "mutex")
            gates.append(Gate("mutex", key, int(mutex.limit)))
        return tuple(gates)

    def fairness(self) -> Fairness | None:
        spec = self.step.fairness
        if spec is None:
            return None
        key = self._value(spec.key, self.inside, "fairness/key")
        return Fairness(key, int(spec.weight))

    def _rate_key(self, key: Json) -> Template:
        if key is not None:
            return self._value(key, self.inside, "rate_limit/key")
        component = self.step.component
        return literal(self.path if component is None else component)

    # -- what it waits for -------------------------------------------------------------------------------

    def sleep(self) -> Timer | None:
        if not self.step.says("sleep"):
            return None
        return self._timer(self.step.sleep, "sleep")

    def _timer(self, spec: Duration | Json, at: str) -> Timer:
        names = self.inside
        if not isinstance(spec, Duration):
            return Timer(seconds=self._value(spec, names, at))
        if spec.says("until"):
            return Timer(until=self._value(spec.until, names, f"{at}/until"))
        amounts = {
            unit: self._value(spec.json[unit], names, f"{at}/{unit}")
            for unit in _UNITS
            if spec.says(unit)
        }
        return Timer(seconds=_sum(amounts))

    def wait(self) -> Wait | None:
        spec = self.step.wait_for
        if spec is None:
            return None
        timeout = spec.timeout if spec.says("timeout") else self.step.timeout
        limit = None
        if timeout:
            limit = self._value(timeout, self.inside, "wait_for/timeout")
        if isinstance(spec, Signal):
            return Wait((self._signal(spec, "wait_for"),), timeout=limit)
        signals: list[SignalWait] = []
        timers: list[Timer] = []
        for index, branch in enumerate(spec.any):
            at = f"wait_for/any/{index}"
            if isinstance(branch, Signal):
                signals.append(self._signal(branch, at))
            elif isinstance(branch, Nap):
                timers.append(self._timer(branch.sleep, f"{at}/sleep"))
            else:
                timers.append(self._timer(branch, at))
        first_timer = timers[0] if timers else None
        return Wait(tuple(signals), first_timer, limit, any=True)

    def _signal(self, spec: Signal, at: str) -> SignalWait:
        name = self._value(spec.signal, self.inside, f"{at}/signal")
        key = self._value_if_any(spec.key, self.inside, f"{at}/key")
        return SignalWait(name, key, spec.schema)


def _looks_at(condition: Template | None, names: Collection[str]) -> bool:
    """Tell whether a condition looks at one of some names."""
    if condition is None:
        return False
    return any(path[0] in names for part in condition.parts for path in part.paths)


def _sum(amounts: Mapping[str, Template]) -> Template:
    """Return the seconds of a duration in units."""

    def evaluate(lookup: Lookup) -> Json:
        total = 0.0
        for unit, template in amounts.items():
            value = template.evaluate(lookup)
            try:
                total += float(value) * _UNITS[unit]
            except (TypeError, ValueError, OverflowError):
                reason = f"{value!r:.60} is not a number of {unit}"
                raise ExpressionFailed(unit, reason) from None
        return total

    parts = [part for template in amounts.values() for part in template.parts]
    return Template(tuple(parts), evaluate)
