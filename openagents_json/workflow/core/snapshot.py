"""A run's state as JSON and back: a cache of a fold, thrown away whenever the shape of the state changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from immutables import Map
from msgspec.structs import asdict, astuple

from openagents_json.workflow.core.state import (
    SCHEDULED,
    Group,
    RunState,
    Signal,
    StepState,
)
from openagents_json.workflow.core.usage import Used
from openagents_json.workflow.errors import UnreadableSnapshot
from openagents_json.workflow.types import Json

_DEFAULTS: Final = asdict(StepState(SCHEDULED, {}))
_FIELDS: Final = StepState.__struct_fields__
_INDEXES: Final = {name: index for index, name in enumerate(_FIELDS)}
_PLAIN: Final = tuple(_DEFAULTS.values())
_MAPS: Final = frozenset(
    {"steps", "open_steps", "heard", "past", "memo", "unsettled", "lives"}
)

FORMAT: Final = hashlib.sha256(
    repr(
        (1, *(cls.__struct_fields__ for cls in (RunState, StepState, Group, Signal)))
    ).encode()
).hexdigest()[:12]
"""Names the shape of the state: a snapshot of another one is not read."""


def dump(state: RunState) -> Json:
    """Return the state of a run that has begun as JSON; of a step, what holds its default is left out."""
    data: dict[str, Any] = asdict(state)
    for name in _MAPS:
        del data[name]
    data["signals"] = [astuple(signal) for signal in state.signals]
    data["sets"] = dict(state.sets)
    data["heard"] = sorted(state.heard)
    data["past"] = dict(state.past)
    data["lives"] = dict(state.lives)
    data["steps"] = {path: _step(step) for path, step in state.steps.items()}
    data["memo"] = {path: _step(step) for path, step in state.memo.items()}
    data["open"] = sorted(state.open_steps)
    data["unsettled"] = sorted(state.unsettled)
    return data


def _step(step: StepState) -> list[Any]:
    flat: list[Any] = [step.status, step.inputs]
    values = astuple(step)
    for index in range(len(flat), len(values)):
        value = values[index]
        default = _PLAIN[index]
        if value is default:  # which is nearly always so, and quicker to see
            continue
        if value != default or type(value) is not type(default):
            flat += (index, _plain(value))
    return flat


def _plain(value: object) -> Json:
    if isinstance(value, Group):
        return list(astuple(value))
    return value


def load(data: Mapping[str, Any]) -> RunState:
    """Read a state back.

    Raises UnreadableSnapshot.
    """
    try:
        return _load(dict(data))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableSnapshot(f"{type(error).__name__}: {error}") from error


def _load(data: dict[str, Any]) -> RunState:
    data["signals"] = tuple([Signal(*values) for values in data["signals"]])
    data["queue"] = tuple(data["queue"])
    data["pending"] = tuple([(path, sequence) for path, sequence in data["pending"]])
    data["sets"] = data["sets"] or Map()
    data["steps"] = _loaded_steps(data["steps"])
    data["memo"] = _loaded_steps(data["memo"])
    data["open_steps"] = _loaded_set(data.pop("open"))
    data["unsettled"] = _loaded_set(data["unsettled"])
    data["heard"] = _loaded_set(data["heard"])
    data["lives"] = Map(data["lives"])
    data["past"] = _loaded_past(data["past"])
    data["used"] = Used(*data["used"])
    data["granted_at"] = Used(*data["granted_at"])
    return RunState(**data)


def _loaded_steps(steps: Mapping[str, list[Any]]) -> Map[str, StepState]:
    return Map({path: _loaded(flat) for path, flat in steps.items()})


def _loaded_set(members: Iterable[str]) -> Map[str, bool]:
    return Map(dict.fromkeys(members, True))


def _loaded_past(past: Mapping[str, Any]) -> Map[str, tuple[int, int, Any]]:
    counted = {}
    for path, (attempts, children, waits) in past.items():
        counted[path] = (attempts, children, tuple(waits))
    return Map(counted)


_GROUP: Final = _INDEXES["group"]
_WAITS: Final = _INDEXES["waits"]


def _loaded(flat: list[Any]) -> StepState:
    values = list(_PLAIN)
    values[0], values[1] = flat[0], flat[1]
    for i in range(2, len(flat), 2):
        values[flat[i]] = flat[i + 1]
    if values[_GROUP] is not None:
        group = dict(zip(Group.__struct_fields__, values[_GROUP], strict=True))
        group["missing"] = tuple(group["missing"])
        values[_GROUP] = Group(**group)
    values[_WAITS] = tuple(values[_WAITS])
    return StepState(*values)
