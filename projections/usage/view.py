"""The view of usage: what the attempts of each run have used, and sums by workflow, step and model.

Counts are whole numbers: money is counted in units and billionths apart, so that neither outgrows what a server adds.
What a run's children use stands in their own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from eventstore.event import Recorded
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.paths import static
from openagents_json.workflow.core.usage import NANOS, NOTHING, OTHERS, Used, used_of
from projections.projection import Counted, counted_before
from projections.runs import LEFT

MOST_MODELS: Final = 100
"""So many models are told apart in one run."""

_REDACTED: Final = ev.RunRedacted.__name__
BeginOf = Callable[[str], Mapping[str, Any]]
"""Run -> the data of its first event."""


def key_of(event: Recorded) -> str | None:
    """Return the run of an event that says something of usage, None for what does not."""
    if event.type in LEFT:
        return str(event.data["run"])
    # What a fork has copied of its past, the other run has used.
    used_here = event.data.get("usage") and not event.data.get("copied")
    if used_here or event.type == _REDACTED:
        return event.stream
    return None


def apply(
    row: dict[str, Any] | None, event: Recorded, begin_of: BeginOf
) -> dict[str, Any] | Counted | None:
    """Fold an event; `begin_of` must depend on its argument alone."""
    if event.type in LEFT:  # what was counted of it stays
        return None
    if event.type == _REDACTED:
        return _redacted(row, event)
    row = row or _begun(begin_of(event.stream))
    usage: Mapping[str, Mapping[str, int]] = event.data["usage"]
    row = {**row, "models": _added(row["models"], usage)}
    if counted_before(event):
        return row
    step = static(str(event.data["step"]))
    prefix = f"{row['workflow']}|{step}"
    counts = _counts(prefix, usage)
    return Counted(row, counts)


def _begun(begin: Mapping[str, Any]) -> dict[str, Any]:
    labels = begin.get("labels")
    return {
        "workflow": begin["workflow"],
        "labels": dict(labels or {}),
        "models": {},
    }


def _redacted(row: dict[str, Any] | None, event: Recorded) -> dict[str, Any] | None:
    erases_labels = bool(event.data.get("labels"))
    if row is None or not erases_labels:
        return row
    without = dict(row)
    without["labels"] = {}
    return without


def _added(
    models: Mapping[str, Any], usage: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """Return what a run has used by model, [attempts, tokens in, tokens out, billionths] each, with one report more."""
    added = dict(models)
    for model, amounts in usage.items():
        if model not in added and len(added) >= MOST_MODELS:
            model = OTHERS
        attempts, *before = added.get(model, [0, *NOTHING])
        used = used_of(amounts)
        after = Used(*before).plus(used)
        added[model] = [attempts + 1, *after]
    return added


def _counts(prefix: str, usage: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for model, amounts in usage.items():
        used = used_of(amounts)
        units, rest = divmod(used.cost_nanos, NANOS)
        counts[f"{prefix}|n|{model}"] = 1
        counts[f"{prefix}|i|{model}"] = used.input_tokens
        counts[f"{prefix}|o|{model}"] = used.output_tokens
        counts[f"{prefix}|u|{model}"] = units
        counts[f"{prefix}|r|{model}"] = rest
    return counts
