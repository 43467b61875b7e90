"""What stands for components in a test: values, functions, errors, one after the other, or the real thing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.catalog.component import Component
from openagents_json.catalog.registry import Registry
from openagents_json.components.binding import plain
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.copies import own_copy
from openagents_json.components.errors import (
    UnknownComponent,
    describe_error,
    describe_output,
)
from openagents_json.components.usage import UsageMeter
from openagents_json.simulation.errors import NoMock
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a component: which step of which run made it, with what."""

    component: str
    step: str
    attempt: int
    inputs: Mapping[str, Json]
    run: str
    idempotency_key: str = ""


class _Outcomes:
    """Results one after the other; the last one stays."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = list(values)

    def next(self) -> Any:
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def outcomes(*values: Any) -> Any:
    """Return a stand-in whose calls end in these one after the other: values are returned, exceptions raised.

    The last one stays.
    """
    return _Outcomes(values)


@dataclass(slots=True)
class Stubs:
    """The components of a test: stand-ins by name first, then real ones."""

    standins: Mapping[str, Any]
    real: Registry
    calls: list[Call] = field(default_factory=list)

    def perform(self, call: Call, context: Context) -> cmd.Outcome:
        """Run one attempt of a step."""
        self.calls.append(replace(call, inputs=own_copy(call.inputs)))
        meter = UsageMeter()
        context = replace(context, on_usage=meter.add)
        try:
            output = self._output(call, context)
        except Exception as error:
            described = describe_error(error)
            described.pop("traceback", None)
            return cmd.Failed(call.step, call.attempt, described, meter.take())
        try:
            kept = codec.normalise(plain(output))
        except NotJson as error:
            described = describe_output(call.step, call.component, error)
            return cmd.Failed(call.step, call.attempt, described, meter.take())
        return cmd.Completed(call.step, call.attempt, kept, meter.take())

    def _output(self, call: Call, context: Context) -> Any:
        name = call.component.partition("@")[0]
        if name not in self.standins:
            return _result_of(self._real(call).invoke(call.inputs, context))
        value = self.standins[name]
        if isinstance(value, _Outcomes):
            value = value.next()
        if _is_exception(value):
            raise value
        if not callable(value):
            return value
        return _result_of(value(**_arguments(value, call.inputs, context)))

    def _real(self, call: Call) -> Component:
        try:
            return self.real.resolve(call.component)
        except UnknownComponent:
            raise NoMock(call.component) from None


def _is_exception(value: Any) -> bool:
    is_class = isinstance(value, type) and issubclass(value, BaseException)
    return is_class or isinstance(value, BaseException)


def _result_of(returned: Any) -> Any:
    """Return what a component returned, waited for where it is asynchronous."""
    return (
        asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned
    )


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _arguments(
    function: Callable[..., Any], inputs: Mapping[str, Json], context: Context
) -> dict[str, Any]:
    given: dict[str, Any] = own_copy(inputs)
    if "context" in _parameters(function) and "context" not in given:
        given["context"] = context
    return given


def _parameters(function: Callable[..., Any]) -> Iterator[str]:
    try:
        return iter(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return iter(())


def context_of(
    call: Call, workflow: str, now_ms: Callable[[], int], emit: Callable[[Any], None]
) -> Context:
    """Return what a component may know about its attempt."""
    return Context(
        run_id=call.run,
        step_id=call.step,
        workflow_id=workflow,
        attempt=call.attempt,
        idempotency_key=call.idempotency_key or f"{call.run}/{call.step}",
        deadline_ms=None,
        token=CancelToken(),
        now_ms=now_ms,
        on_heartbeat=lambda _details: None,
        on_emit=emit,
    )
