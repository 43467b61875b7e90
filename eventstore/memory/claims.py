"""What a claim finds in a queue in memory: steps for this worker, steps for others, and steps that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from eventstore.memory.work import PAGES, StepKey, WorkIndex
from eventstore.run_model import Ability
from openagents_json.statuses import CLAIMED_RUN


class Look:
    """One look of a worker at a queue, by what it is known to be `able` to run; nothing is changed until `settle`.

    `takers` are the steps that it takes, `aside` those that were found to be for others, `unknown` components of which
    nobody has told yet.
    """

    def __init__(
        self, work: WorkIndex, queue: str, able: Mapping[str, Ability]
    ) -> None:
        self._work = work
        self._queue = queue
        self._able = able
        self.takers: list[StepKey] = []
        self.aside: list[StepKey] = []
        self.unknown: list[str] = []
        self._gone: list[tuple[StepKey, str]] = []
        able_aside = filter(self._can, work.aside(queue))
        self._sets = {name: work.queue(queue, name) for name in ("", *able_aside)}
        self._waiting = sum(map(len, self._sets.values()))

    @property
    def left(self) -> int:
        """Return how many steps of those that the worker can run are left behind this look."""
        looked_at = len(self.takers) + len(self.aside) + len(self._gone)
        return self._waiting - looked_at

    def _can(self, component: str) -> Ability | None:
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
            for key, component in list(self._page(page * size, size)):
                if len(self.takers) >= at_most:
                    break
                self._judge(key, component)
            if len(self.takers) > takers or len(self.aside) == others:
                return

    def _page(self, first: int, size: int) -> Iterator[tuple[StepKey, str]]:
        """Yield the steps of a page of each set, by priority and age, with the component that the set is for."""
        page: list[tuple[StepKey, int, str]] = []
        for component, steps in self._sets.items():
            scored = islice(steps, first, first + size)
            page += [(key, score, component) for key, score in scored]
        page.sort(key=lambda step: step[1])
        yield from ((key, component) for key, _, component in page)

    def _judge(self, key: StepKey, found_for: str) -> None:
        run, step = key
        head = self._work.heads.get(run)
        goes_on = head is not None and head.status in CLAIMED_RUN
        record = head.steps.get(step) if head is not None and goes_on else None
        # A step that is held is no more to be claimed: its place in the set is what an older claim left. One that
        # stands in the queue and is set aside as well is taken once.
        if record is None or record.fence or key in self.takers:
            self._gone.append((key, found_for))
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
        for key, component in self._gone:
            self._work.drop(key, self._queue, component)
