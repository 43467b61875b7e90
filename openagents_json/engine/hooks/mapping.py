"""The expressions of a hook: whether a delivery is let in, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from openagents_json.engine.hooks.errors import HookNotMapped, InvalidHook
from openagents_json.engine.hooks.spec import HookSpec, SignalAction, StartAction
from openagents_json.workflow.core.evaluate import holds, value_of
from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.expressions.budget import Together
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.templates import (
    Template,
    compile_condition,
    compile_value,
)
from openagents_json.workflow.types import Json

VISIBLE: Final = frozenset({"body", "headers", "delivery"})
"""The names that expressions of a hook may use."""

LONGEST_KEY: Final = 200

Decision = dict[str, Any]
"""What a delivery comes to, as it is kept with it: `start` or `signal` with their values."""


@dataclass(frozen=True, slots=True)
class _DeliveryScope:
    """What expressions see beside the names of a delivery: there is no run."""

    inputs: Mapping[str, Json] = field(default_factory=dict)
    workflow: Mapping[str, Json] = field(default_factory=dict)
    local: Mapping[str, Json] = field(default_factory=dict)
    together: Together = field(default_factory=Together)

    def step(self, step_id: str) -> None:
        """Return that there is no step."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The compiled expressions of a hook."""

    condition: Template | None
    values: Template
    kind: str

    def decide(self, seen: Mapping[str, Json]) -> Decision | None:
        """Return what a delivery comes to, None for one that is not let in.

        Raises HookNotMapped.
        """
        scope = _DeliveryScope()
        try:
            if not holds(self.condition, scope, seen):
                return None
            values: Any = value_of(self.values, scope, seen)
        except ExpressionFailed as error:
            raise HookNotMapped(error.pointer or "filter", error.reason) from None
        _check(self.kind, values)
        return {self.kind: values}


def mapped(spec: HookSpec) -> Mapped:
    """Compile the expressions of a hook.

    Raises InvalidHook.
    """
    names = Names(frozenset(), local=VISIBLE)
    action: StartAction | SignalAction | None = spec.start or spec.signal
    kind = "start" if spec.start else "signal"
    try:
        condition = None
        if spec.filter is not None:
            condition = compile_condition(spec.filter, names, "/filter")
        asked = {} if action is None else _asked(action)
        values = compile_value(asked, names, f"/{kind}")
        for template in (condition, values):
            _check_names(template)
        return Mapped(condition, values, kind)
    except ExpressionError as error:
        raise InvalidHook(f"{error.pointer}: {error.reason}") from None


def _asked(action: StartAction | SignalAction) -> dict[str, Any]:
    """Return what an action is asked with; a key that is left out is told from one that comes to nothing."""
    asked = action.model_dump()
    debounce = asked.get("debounce") or {}
    if debounce.get("key", "") is None:
        del debounce["key"]
    return asked


def _check_names(template: Template | None) -> None:
    """Refuse names that mean nothing here: there is no run yet.

    Raises InvalidHook.
    """
    for part in template.parts if template else ():
        for path in part.paths:
            if path[0] not in VISIBLE:
                raise InvalidHook(
                    f"{part.pointer}: there is no {path[0]!r} here",
                    remedy=f"use {', '.join(sorted(VISIBLE))}",
                )


def _check(kind: str, values: Any) -> None:
    """Refuse values that are not what the action takes.

    Raises HookNotMapped.
    """
    if kind == "start":
        if not isinstance(values["inputs"], Mapping):
            raise HookNotMapped("/start/inputs", "it is no object")
        labels = values["labels"] or {}
        if not all(isinstance(value, str) for value in labels.values()):
            raise HookNotMapped("/start/labels", "a label is no text")
        _check_key(values["debounce"])
        return
    if not isinstance(values["run"], str) or not values["run"]:
        raise HookNotMapped("/signal/run", "it is no id of a run")
    if not isinstance(values["name"], str):
        raise HookNotMapped("/signal/name", "it is no text")
    if not isinstance(values["key"], str | None):
        raise HookNotMapped("/signal/key", "it is no text")


def _check_key(debounce: Mapping[str, Any] | None) -> None:
    """Refuse what is no key to debounce by.

    Raises HookNotMapped.
    """
    if not debounce or "key" not in debounce:
        return
    key = debounce["key"]
    if isinstance(key, int) and not isinstance(key, bool):
        return
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
        reason = f"it is no whole number, and no text of 1 to {LONGEST_KEY} characters"
        raise HookNotMapped("/start/debounce/key", reason)
