"""What a step waits for: the texts of its times, and the schemas of its signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openagents_json.workflow.errors import InvalidTime
from openagents_json.workflow.expressions.payload_schema import why_no_schema
from openagents_json.workflow.language.checks.shapes import (
    array_of,
    is_templated,
    object_of,
)
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.times import delay_of, moment_of

UNITS = ("seconds", "minutes", "hours", "days")


def check_waits(step: Mapping[str, Any], pointer: str, collector: Collector) -> None:
    """Look at the times and the signals that a step waits for."""
    if "sleep" not in step and "wait_for" not in step:
        return
    check = _WaitCheck(step, pointer, collector)
    for timer, at in _timers(step):
        check.timer(timer, at)
    check.schemas()
    check.timers_at_most_one()


def without_schemas(value: Any) -> Any:
    """Return what a step waits for without the schemas of payloads, which are no templates."""
    if isinstance(value, Mapping):
        others = [(key, item) for key, item in value.items() if key != "schema"]
        return {key: without_schemas(item) for key, item in others}
    if isinstance(value, list | tuple):
        return [without_schemas(item) for item in value]
    return value


def _branches(step: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Return each of several things that a step waits for, with its place in the step."""
    wait = object_of(step.get("wait_for"))
    for number, branch in enumerate(array_of(wait.get("any"))):
        yield branch, f"wait_for/any/{number}"


def _timers(step: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    yield step.get("sleep"), "sleep"
    for branch, at in _branches(step):
        yield object_of(branch), at  # a text is the name of a signal
        yield object_of(branch).get("sleep"), f"{at}/sleep"


@dataclass(frozen=True, slots=True)
class _WaitCheck:
    step: Mapping[str, Any]
    pointer: str
    collector: Collector

    def timer(self, timer: Any, at: str) -> None:
        """Look at the texts of a timer: each is a time, unless a template makes it."""
        if isinstance(timer, str):
            self._time(delay_of, timer, at)
        options = object_of(timer)
        for unit in UNITS:
            self._time(delay_of, options.get(unit), f"{at}/{unit}")
        self._time(moment_of, options.get("until"), f"{at}/until")

    def _time(self, read: Callable[[Any], int], text: Any, at: str) -> None:
        if not isinstance(text, str) or is_templated(text):
            return
        try:
            read(text)
        except InvalidTime as error:
            self._error("invalid_time", at, str(error), found=text)

    def schemas(self) -> None:
        """Look at the schemas of the payloads of signals."""
        wait = (object_of(self.step.get("wait_for")), "wait_for")
        for branch, at in (wait, *_branches(self.step)):
            schema = object_of(branch).get("schema")
            reason = "" if schema is None else why_no_schema(schema)
            if reason:
                message = f"it is not a JSON Schema: {reason}"
                self._error("invalid_schema", f"{at}/schema", message)

    def timers_at_most_one(self) -> None:
        """Refuse a second timer among the things that a step waits for."""
        branches = [branch for branch, _ in _branches(self.step)]
        objects = [branch for branch in branches if isinstance(branch, Mapping)]
        timers = [branch for branch in objects if "signal" not in branch]
        if len(timers) > 1:
            message = "wait_for/any takes one timer: the earliest wins anyway"
            self._error("too_many_timers", "wait_for/any", message)

    def _error(self, code: str, at: str, message: str, **more: Any) -> None:
        pointer = f"{self.pointer}/{at}"
        self.collector.error(code, pointer, message, **more, step_id=self.step["id"])
