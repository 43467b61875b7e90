"""Sums of usage, by workflow, step, model or label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from eventstore.event import Json
from openagents_json.workflow.core.usage import NANOS, NOTHING, Used

NO_LABEL: Final = "(none)"


@dataclass(frozen=True, slots=True)
class Tally:
    """What so many attempts have used together."""

    attempts: int = 0
    used: Used = NOTHING

    def plus(self, other: Tally) -> Tally:
        """Return the sum of two."""
        attempts = self.attempts + other.attempts
        used = self.used.plus(other.used)
        return Tally(attempts, used)


_MEASURES: Final[Mapping[str, Callable[[int], Tally]]] = {
    "n": lambda count: Tally(count),
    "i": lambda count: Tally(used=Used(input_tokens=count)),
    "o": lambda count: Tally(used=Used(output_tokens=count)),
    "u": lambda count: Tally(used=Used(cost_nanos=count * NANOS)),
    "r": lambda count: Tally(used=Used(cost_nanos=count)),
}
"""What a count is of: attempts, tokens in and out, whole units of money, and billionths."""

GROUPS: Final[Mapping[str, Callable[[str, str, str], str]]] = {
    "workflow": lambda workflow, _step, _model: workflow,
    "step": lambda workflow, step, _model: f"{workflow}/{step}",
    "model": lambda _workflow, _step, model: model,
}
"""What sums are grouped by -> the name of a group, of a workflow, a step and a model."""


def grouped(
    tallies: Iterable[Mapping[str, Json]], by: str, workflow: str = ""
) -> dict[str, Tally]:
    """Sum up the counts of all partitions by workflow, step or model, of one workflow if it is named."""
    groups: defaultdict[str, Tally] = defaultdict(Tally)
    prefix = f"{workflow}|".lstrip("|")
    counts = chain.from_iterable(tally.items() for tally in tallies)
    for key, value in counts:
        if not key.startswith(prefix):
            continue
        of, step, measure, model = key.split("|", 3)
        name_of = GROUPS[by]
        name = name_of(of, step, model)
        tally_of = _MEASURES[measure]
        counted = tally_of(value)
        groups[name] = groups[name].plus(counted)
    return dict(groups)


def labelled(rows: Iterable[Mapping[str, Any]], workflow: str = "") -> dict[str, Tally]:
    """Sum up the rows of runs by label, `name=value`; a run with several labels counts for each of them."""
    groups: defaultdict[str, Tally] = defaultdict(Tally)
    for row in rows:
        if workflow not in ("", row["workflow"]):
            continue
        used = _of_run(row)
        labels = row["labels"].items()
        names = list(map("=".join, labels))
        for name in names or [NO_LABEL]:
            groups[name] = groups[name].plus(used)
    return dict(groups)


def _of_run(row: Mapping[str, Any]) -> Tally:
    tally = Tally()
    for attempts, *used in row["models"].values():
        of_model = Tally(attempts, Used(*used))
        tally = tally.plus(of_model)
    return tally
