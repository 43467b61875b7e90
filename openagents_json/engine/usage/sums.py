"""Sums of usage: by workflow, step, model or label, and those of one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import starmap
from operator import attrgetter
from typing import Any, Final

from eventstore.event import Recorded
from openagents_json.engine.answers.lists import UsageRow
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.usage import (
    NOTHING,
    Used,
    money,
    total,
    used_of,
)
from projections.errors import InvalidQuery
from projections.reader import Views
from projections.usage.sums import Tally, grouped, labelled

_CHILD: Final = ev.ChildClosed.__name__


def usage_rows(
    views: Views, by: str, workflow: str = "", stale: bool = False
) -> list[UsageRow]:
    """Return sums by workflow, step, model or label, the dearest first, of one workflow if it is named.

    Sums by label are of the runs that are in the store; the others count runs that have left it, too. Raises
    InvalidQuery, ViewBehind and UnknownProjection.
    """
    sums = _SUMS.get(by)
    if sums is None:
        ways = ", ".join(_SUMS)
        raise InvalidQuery(f"usage is not summed up by {by!r}: take {ways}")
    groups = sums(views, workflow, stale)
    rows = list(starmap(_row, groups.items()))
    rows.sort(key=_dearest_first)
    return rows


def _row(name: str, tally: Tally) -> UsageRow:
    tokens_in, tokens_out, cost = _amounts(tally.used)
    return UsageRow(name, tally.attempts, tokens_in, tokens_out, cost)


def _dearest_first(row: UsageRow) -> tuple[Decimal, int, str]:
    tokens = row.input_tokens + row.output_tokens
    return -Decimal(row.cost), -tokens, row.name


def _by_label(views: Views, workflow: str, stale: bool) -> dict[str, Tally]:
    rows = views.documents("usage", stale=stale)
    documents = map(attrgetter("document"), rows)
    return labelled(documents, workflow)


def _by_group(by: str, views: Views, workflow: str, stale: bool) -> dict[str, Tally]:
    tallies = views.tallies("usage", stale=stale)
    return grouped(tallies, by, workflow)


_SUMS: Final[Mapping[str, Callable[[Views, str, bool], dict[str, Tally]]]] = {
    "workflow": partial(_by_group, "workflow"),
    "step": partial(_by_group, "step"),
    "model": partial(_by_group, "model"),
    "label": _by_label,
}
"""What is summed up by -> how."""


def _amounts(used: Used) -> tuple[int, int, str]:
    return used.input_tokens, used.output_tokens, money(used.cost_nanos)


def shown(used: Used) -> dict[str, Any]:
    """Return an amount as JSON for people, nothing where nothing was used."""
    names = ("input_tokens", "output_tokens", "cost")
    if used == NOTHING:
        return {}
    amounts = _amounts(used)
    return dict(zip(names, amounts, strict=True))


def used_by_step(recorded: Sequence[Recorded]) -> dict[str, Used]:
    """Return what the attempts of each step of a run have used, and the children that a step started."""
    by_step: defaultdict[str, Used] = defaultdict(Used)
    reports = [item for item in recorded if _reports(item)]
    for item in reports:
        usage, step = item.data["usage"], str(item.data["step"])
        amount = used_of if item.type == _CHILD else total
        by_step[step] = by_step[step].plus(amount(usage))
    return dict(by_step)


def _reports(item: Recorded) -> bool:
    """Tell whether an event says what was used; what a fork has copied, the other run has used."""
    data: Mapping[str, Any] = item.data if isinstance(item.data, Mapping) else {}
    return "usage" in data and "copied" not in data
