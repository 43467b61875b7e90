"""In which store events were written that this one has taken in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eventstore.event import Recorded
from openagents_json.workflow.core import events as ev


def origin(item: Recorded) -> str:
    """Name the store that an event was written in, "" for this one, by the mark that it got when it came in.

    A fork has copied the mark with the event. Histories of older versions have none: `origins` finds out without.
    """
    mark = item.metadata.get("imported")
    if mark:
        return str(mark)
    is_copy = isinstance(item.data, Mapping) and item.data.get("copied")
    if is_copy:
        return str(item.data.get("imported") or "")
    return ""


def origins(recorded: Sequence[Recorded]) -> list[str]:
    """Name the store that each event was written in; it is told by the next RunImported behind it, too."""
    stores: list[str] = []
    source = ""
    for item in reversed(recorded):
        stores.append(origin(item) or source)
        if item.type == ev.RunImported.__name__:
            source = str(item.data.get("source", ""))
    stores.reverse()
    return stores
