"""Runs by the beginning of their ids."""

from __future__ import annotations

from typing import Final

from openagents_json.engine.errors import AmbiguousRun
from projections.reader import Views

CANDIDATES: Final = 5
"""How many runs are named where the beginning of an id is that of several."""


def run_beginning_with(beginning: str, views: Views) -> str:
    """Return the run whose id begins like that, in the store or in its archive; what begins none is given back.

    Raises ViewBehind and AmbiguousRun.
    """
    # An id begins with the number of its partition, so no other one has to be looked into.
    partition = int(beginning.partition("-")[0])
    matching = sorted(
        {
            row.key
            for view in ("runs", "archive")
            for row in views.documents(view, partition=partition)
            if row.key.startswith(beginning)
        }
    )
    if len(matching) > 1:
        shown = tuple(matching[:CANDIDATES])
        raise AmbiguousRun(beginning, shown, len(matching) - len(shown))
    if matching:
        return matching[0]
    return beginning
