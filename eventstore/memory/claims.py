"""What a claim finds in a queue in memory: steps for this worker, steps for others, and steps that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from eventstore.memory.records import ScoredSet
from eventstore.memory.work import PAGES, StepKey, WorkIndex
from openagents_json.statuses import CLAIMED_RUN


class Look:
    """One look of a worker at a queue, by what it is known to be `able` to run; nothing is changed until `settle`.

    `takers` are the steps that it takes, `aside` those that were found to be for others, `unknown` components of which
    nobody has told yet.
    """

    def __init__(self, work: WorkIndex, queue: str, able: Mapping[str, bool]) -> None:
        self._work, self._queue, self._able = work, queue, able
        self.takers: list[StepKey] = []
        self.aside: list[StepKey] = []
        self.unknown: list[str] = []
        self._gone: list[StepKey] = []
        mine = [component for component in work.aside(queue) if self._can(component)]
        self._sets = [
            work.queue(queue),
            *(work.queue(queue, component) for component in mine),
        ]
        self._there = sum(map(len, self._sets))

    @property
    def left(self) -> int:
        """Return how many steps of those that the worker can run are left behind this look."""
        return self._there - len(self.takers) - len(self.aside) - len(self._gone)

    def _can(self, component: str) -> bool | None:
        """Tell whether the worker can run a component; None when it has to be asked."""
        if not component:
            return True
        if component not in self._able and component not in self.unknown:
            self.unknown.append(component)
        return self._able.get(component)

    def look(self, at_most: int) -> None:
        """Look on as long as all that stands in front is for others, and not too far."""
        size = 2 * at_most + 9
        for page in range(PAGES):
            takers, others = len(self.takers), len(self.aside)
            for key in list(self._page(page * size, size)):
                if len(self.takers) >= at_most:
                    break
                self._judge(key)
            if len(self.takers) > takers or len(self.aside) == others:
                return

    def _page(self, first: int, size: int) -> Iterator[StepKey]:
        """Yield the steps of a page of each set, by priority and age."""
        page = [item for steps in self._sets for item in _part(steps, first, size)]
        yield from (key for key, _ in sorted(page, key=lambda item: item[1]))

    def _judge(self, key: StepKey) -> None:
        run, step = key
        head = self._work.heads.get(run)
        record = (
            head.steps.get(step)
            if head is not None and head.status in CLAIMED_RUN
            else None
        )
        if record is None or record.fence:
            self._gone.append(key)
            return
        can = self._can(record.component)
        if can:
            self.takers.append(key)
        elif can is not None:
            self.aside.append(key)

    def settle(self) -> None:
        """Set aside what is for others, and take out what nobody needs."""
        for run, step in self.aside:
            self._work.set_aside((run, step))
        for run, step in self._gone:
            self._work.unwait((run, step), self._queue, "")


def _part(
    steps: ScoredSet[StepKey], first: int, size: int
) -> list[tuple[StepKey, int]]:
    return list(islice(steps, first, first + size))
