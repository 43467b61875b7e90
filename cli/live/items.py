"""Items of a foreach, counted from the events of a run, so that thousands of them need not have a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openagents_json.engine.inspection.foreach_items import ForeachItems
from openagents_json.engine.inspection.live_words import (
    BEGINS,
    GOES_ON,
    ITEM_ENDS,
    SCHEDULED,
    TROUBLE,
)
from openagents_json.errors import OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.engine import HistoryEvent

LookUp = Callable[[str], ForeachItems | None]
"""Gives the items of the foreach at a path as they stand in the run."""

NO_ITEMS: Final = ForeachItems(0)

MANY: Final = 10
"""Up to so many items have lines of their own."""

FAILURES: Final = 5
"""So many failures among many items have a line each; the others are counted."""

FAILED: Final = "failed"


@dataclass(slots=True)
class ItemGroup:
    """The items of one foreach: how many there are, and how each has ended that has."""

    path: str
    total: int
    ends: dict[str, str] = field(default_factory=dict)
    shown_failures: int = 0
    is_over: bool = False

    def lines(self, most: int) -> int:
        """Return how many lines it may have: one in an iteration or in an item, as there may be many such."""
        return 1 if "[" in self.path else most

    @property
    def done(self) -> int:
        """Return how many have ended."""
        return len(self.ends)

    @property
    def failed(self) -> int:
        """Return how many have failed for good."""
        return sum(end == FAILED for end in self.ends.values())

    def take(self, event: HistoryEvent) -> None:
        """Count what an event says of an item; one that is tried again has not ended."""
        step = event.step or ""
        is_item = step.endswith("]") and step.rpartition("[")[0] == self.path
        if not is_item:
            return
        end = _end_of(event)
        if end is not None:
            self.ends[step] = end
        elif event.type in BEGINS:  # once more, maybe
            self.ends.pop(step, None)

    def wants_line(self, event: HistoryEvent) -> bool:
        """Tell whether an event of an item has a line all the same: the first failures do."""
        if event.type not in TROUBLE or self.shown_failures >= FAILURES:
            return False
        self.shown_failures += 1
        return True


class ItemFolding:
    """The foreach steps of one run with many items; `look_up` gives the items of one that began before."""

    def __init__(self, look_up: LookUp = lambda _: None) -> None:
        self._look_up = look_up
        self._groups: dict[str, ItemGroup] = {}
        self._small: set[str] = set()

    def take(self, event: HistoryEvent) -> ItemGroup | None:
        """Take in an event; gives the group that it is folded into, None where it stands for itself."""
        if event.type in GOES_ON:
            # Some items are done again, and others keep their ends: the run knows which.
            self._groups.clear()
            self._small.clear()
        group = self._group_around(event.step or "")
        if group is not None:
            group.take(event)
        elif event.type == SCHEDULED and event.data.get("kind") == "foreach":
            self._begin_with(str(event.step), event.data)
        return group

    def ended_by(self, event: HistoryEvent) -> ItemGroup | None:
        """Return the group whose foreach an event ends, None where it ends none."""
        group = self._groups.get(event.step or "")
        if group is None or _end_of(event) is None:
            return None
        group.is_over = True
        return group

    def _group_around(self, path: str) -> ItemGroup | None:
        at = path.find("[")
        while at >= 0:
            container = path[:at]
            if container not in self._groups and container not in self._small:
                # It began before the first event that was taken in, as when a run goes on from a failure.
                self._go_on(container)
            group = self._groups.get(container)
            if group is not None:
                return group
            at = path.find("[", at + 1)
        return None

    def _go_on(self, path: str) -> None:
        """Begin with what a foreach has by now: items that are not done again count as they ended."""
        items = self._items_now(path)
        self._begin(path, items.total, items.ends)

    def _begin_with(self, path: str, data: Mapping[str, Any]) -> None:
        items: Any = (data.get("inputs") or {}).get("items")
        if isinstance(items, list | dict):
            self._begin(path, len(items), {})
        else:  # what is too large for its event stands beside it
            self._begin(path, self._items_now(path).total, {})

    def _items_now(self, path: str) -> ForeachItems:
        """Return the items of a foreach; where they cannot be had, more is shown than need be, and nothing is lost."""
        try:
            return self._look_up(path) or NO_ITEMS
        except OpenAgentsError:
            return NO_ITEMS

    def _begin(self, path: str, total: int, ends: Mapping[str, str]) -> None:
        self._groups.pop(path, None)
        self._small.discard(path)
        if total > MANY:
            self._groups[path] = ItemGroup(path, total, dict(ends))
        else:
            self._small.add(path)


def _end_of(event: HistoryEvent) -> str | None:
    """Return how a step has ended by an event, None where it has not, or is tried again."""
    end = ITEM_ENDS.get(event.type)
    is_tried_again = end == FAILED and event.data.get("retry_ms") is not None
    return None if is_tried_again else end
