"""A run's state as JSON and back: a cache of a fold, thrown away whenever the shape of the state changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
from openagents_json.workflow.errors import UnreadableSnapshot
from openagents_json.workflow.types import Json

_DEFAULTS: Final = asdict(StepState(SCHEDULED, {}))
_FIELDS: Final = StepState.__struct_fields__
_INDEXES: Final = {name: index for index, name in enumerate(_FIELDS)}
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
    data: dict[str, Any] = {
        name: value for name, value in asdict(state).items() if name not in _MAPS
    }
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
    out: list[Any] = [step.status, step.inputs]
    for index, (value, default) in enumerate(
        zip(astuple(step), _DEFAULTS.values(), strict=True)
    ):
        if index > 1 and (
            value is not default
            and (value != default or type(value) is not type(default))
        ):
            out += (index, list(astuple(value)) if isinstance(value, Group) else value)
    return out


def load(data: Mapping[str, Any]) -> RunState:
    """Read a state back.

    Raises UnreadableSnapshot.
    """
    try:
        return _load(dict(data))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableSnapshot(f"{type(error).__name__}: {error}") from error


def _load(data: dict[str, Any]) -> RunState:
    steps = {path: _loaded(flat) for path, flat in data.pop("steps").items()}
    open_steps = data.pop("open")
    data["signals"] = tuple(Signal(*values) for values in data["signals"])
    data["queue"] = tuple(data["queue"])
    data["pending"] = tuple((path, sequence) for path, sequence in data["pending"])
    data["sets"] = data["sets"] or Map()
    return RunState(
        **{
            **data,
            "steps": Map(steps),
            "memo": Map({path: _loaded(flat) for path, flat in data["memo"].items()}),
            "open_steps": Map(dict.fromkeys(open_steps, True)),
            "unsettled": Map(dict.fromkeys(data["unsettled"], True)),
            "heard": Map(dict.fromkeys(data["heard"], True)),
            "lives": Map(data["lives"]),
            "past": Map(
                {path: (a, b, tuple(c)) for path, (a, b, c) in data["past"].items()}
            ),
        }
    )


_GROUP: Final = _INDEXES["group"]
_WAITS: Final = _INDEXES["waits"]
_PLAIN: Final = tuple(_DEFAULTS.values())


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
