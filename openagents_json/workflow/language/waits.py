"""The model of what a step waits for: times, signals, or the first of several; said here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.language.options import (
    SECONDS,
    SECONDS_OR_TEMPLATE,
    WORDS,
    Kind,
    Object,
    array,
    either,
    of,
    option,
    plain,
    same,
)

SLEEP: Final[Kind[Any]] = Kind(
    {"$ref": "#/$defs/sleep"}, lambda value: duration_of(value)
)


class Duration(Object, least=1):
    """A duration in units, which are added up, or a time."""

    seconds = option(SECONDS_OR_TEMPLATE, "seconds")
    minutes = option(SECONDS_OR_TEMPLATE, "minutes")
    hours = option(SECONDS_OR_TEMPLATE, "hours")
    days = option(SECONDS_OR_TEMPLATE, "days")
    until = option(
        either(SECONDS, WORDS, read=same), "a time: ISO 8601, or seconds since 1970"
    )


def duration_of(value: Any) -> Any:
    """Read a duration: units by name, or else seconds, a number or a template."""
    if isinstance(value, Mapping):
        return Duration(value)
    return value


DURATION: Final[Kind[Any]] = either(SECONDS, WORDS, of(Duration), read=duration_of)


class Signal(Object):
    """A signal that a step waits for."""

    signal = option(WORDS, "its name", required=True)
    key = option(
        plain("string", "number", "boolean"),
        "which one of that name; without it, any fits",
    )
    schema = option(
        plain("object", "boolean"), "JSON Schema that its payload has to fit"
    )
    timeout = option(
        SECONDS_OR_TEMPLATE, "seconds; then the step fails with `TimeoutError`"
    )


class Nap(Object):
    """A timer among the things that a step waits for."""

    sleep = option(SLEEP, "as the step of that name", required=True)


def branch_of(value: Any) -> Signal | Nap | Duration:
    """Read one of the things that a step waits for."""
    if isinstance(value, str):
        return Signal({"signal": value})
    if "signal" in value:
        return Signal(value)
    if "sleep" in value:
        return Nap(value)
    return Duration(value)


BRANCH: Final = either(WORDS, of(Signal), of(Nap), of(Duration), read=branch_of)


class FirstOf(Object):
    """The first of several signals, or a timer."""

    any = option(
        array(BRANCH, least=1),
        "signals, and one timer at most",
        required=True,
    )
    timeout = option(
        SECONDS_OR_TEMPLATE, "seconds; then the step fails with `TimeoutError`"
    )


def wait_of(value: Any) -> Signal | FirstOf:
    """Read what a step waits for: a signal, whose name may stand alone, or the first of several."""
    if not isinstance(value, Mapping):
        return Signal({"signal": value})
    if "any" in value:
        return FirstOf(value)
    return Signal(value)
