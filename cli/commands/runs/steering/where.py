"""Which runs are meant, as `--where NAME=VALUE` says it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from cli.run_ids import full_id
from cli.times import duration_ms, time_ms

if TYPE_CHECKING:
    from openagents_json.engine import RunFilter
    from openagents_json.engine.inspection.queries import Queries

_OF_A_RUN: Final = ("workflow", "version", "fingerprint", "error", "parent", "source")
_TIMES: Final = {
    "started_after": "started_from",
    "started_before": "started_to",
    "ended_after": "ended_from",
    "ended_before": "ended_to",
}
_DURATIONS: Final = {"took_over": "took_from", "took_under": "took_to"}
_FLAGS: Final = ("reopened", "held", "redacted", "imported")
_LABEL: Final = "label."

FAILED_RUNS: Final = ", ".join((*_OF_A_RUN, "label.NAME", *_TIMES))
"""What failed runs are chosen by."""

RUNS: Final = ", ".join(
    (
        "status",
        *_OF_A_RUN,
        "label.NAME",
        *_TIMES,
        *_DURATIONS,
        *(f"{x}=yes" for x in _FLAGS),
    )
)
"""What runs are chosen by."""


def chosen_by(
    pairs: Iterable[str], now_ms: int, *, names: str = FAILED_RUNS
) -> RunFilter:
    """Read which runs are meant: several values of a name mean any of them; `names` are those that can be said.

    Raises click.BadParameter.
    """
    from openagents_json.engine import RunFilter

    fields: dict[str, Any] = {}
    labels: dict[str, str] = {}
    for pair in pairs:
        name, value = _split(pair)
        if name.startswith(_LABEL) and name != _LABEL:
            labels[name.removeprefix(_LABEL)] = value
        elif name in _OF_A_RUN:
            fields[name] = (*fields.get(name, ()), value)
        elif name in _TIMES:
            fields[_TIMES[name]] = _moment(value, now_ms)
        elif names is RUNS and name in ("status", *_DURATIONS, *_FLAGS):
            fields |= _of_all_runs(name, value, fields)
        else:
            raise _refused(f"{name!r} is none of {names}")
    return RunFilter(**fields, labels=labels)


def with_full_ids(chosen: RunFilter, views: Queries) -> RunFilter:
    """Return a filter with whole ids in the place of their beginnings, as lists show them.

    Raises AmbiguousRun.
    """
    parent, source = (
        tuple(full_id(run, views) for run in runs)
        for runs in (chosen.parent, chosen.source)
    )
    return replace(chosen, parent=parent, source=source)


def _split(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not value:
        raise _refused(f"{pair!r} is not NAME=VALUE")
    return name, value


def _of_all_runs(name: str, value: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Read what says nothing of failed runs alone."""
    from openagents_json.engine import STATUSES

    if name in _DURATIONS:
        return {_DURATIONS[name]: _duration(value)}
    if name in _FLAGS:
        if value != "yes":
            raise _refused(f"{name} can be yes only, not {value!r}")
        return {name: True}
    if value not in STATUSES:
        raise _refused(f"status {value!r} is none of {', '.join(STATUSES)}")
    return {"status": (*fields.get("status", ()), value)}


def _moment(value: str, now_ms: int) -> int:
    moment_ms = time_ms(value, now_ms)
    if moment_ms is None:
        raise _refused(f"{value!r} is no time; write 2026-11-23T08:00 or 2h")
    return moment_ms


def _duration(value: str) -> int:
    duration = duration_ms(value)
    if duration is None:
        raise _refused(f"{value!r} is no duration; write 250ms, 90s, 15m, 2h or 7d")
    return duration


def _refused(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="--where")
