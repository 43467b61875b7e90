"""Ids of runs as people give them: whole, or the beginning of one as lists show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from cli.completion.types import Completed, propose_runs

if TYPE_CHECKING:
    from openagents_json.engine.inspection.queries import Queries

SHORT: Final = 12
"""How much of an id lists show behind its partition: the time of its start, and a little more."""

_BEGINNING: Final = re.compile(r"\d{1,5}-[0-9a-z]{1,25}")
"""The beginning of an id that is no whole one; these have 26 signs behind the partition."""


class RunId(Completed):
    """The id of a run, or its beginning where only one run begins like that: `full_ids` tells which."""


RUN: Final = RunId("run", propose_runs)


def full_ids(
    values: Mapping[str, Any], open_views: Callable[[], AbstractContextManager[Queries]]
) -> dict[str, Any]:
    """Return the arguments of a command with whole ids in the place of beginnings.

    Raises AmbiguousRun; what begins no run is left as it is, for the command to say so.
    """
    names = [
        str(param.name)
        for param in click.get_current_context().command.params
        if isinstance(param.type, RunId)
    ]
    given = {name: values[name] for name in names if values.get(name)}
    beginnings = {
        run
        for value in given.values()
        for run in _each(value)
        if _BEGINNING.fullmatch(run)
    }
    if not beginnings:
        return dict(values)
    from openagents_json.engine import NoStore

    whole: dict[str, str] = {}
    # Where there is no store, the command says so itself, after what it has to say of its other arguments.
    with suppress(NoStore), open_views() as views:
        whole = {beginning: views.run_of(beginning) for beginning in beginnings}
    changed = {name: _replaced(value, whole) for name, value in given.items()}
    return {**values, **changed}


def full_id(run: str, views: Queries) -> str:
    """Return the whole id of a run in the place of its beginning; what begins none is given back.

    Raises AmbiguousRun.
    """
    if _BEGINNING.fullmatch(run):
        return views.run_of(run)
    return run


def _each(value: str | Iterable[str]) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return value


def _replaced(value: Any, whole: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return whole.get(value, value)
    return tuple(whole.get(run, run) for run in value)


def short_ids(runs: Iterable[str]) -> dict[str, str]:
    """Return ids as short as they may be to tell these runs apart."""
    whole = sorted(set(runs))
    short: dict[str, str] = {}
    for at, run in enumerate(whole):
        # In this order, those with the longest beginning in common stand beside each other.
        beside = whole[max(0, at - 1) : at] + whole[at + 1 : at + 2]
        shared = max((_shared(run, other) for other in beside), default=0)
        length = max(run.find("-") + 1 + SHORT, shared + 1)
        short[run] = run[:length]
    return short


def _shared(one: str, other: str) -> int:
    for at, (here, there) in enumerate(zip(one, other, strict=False)):
        if here != there:
            return at
    return min(len(one), len(other))
