"""What a claim finds in a queue in memory: steps for this worker, steps for others, and steps that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from itertools import islice
from typing import Final

from eventstore.memory.fair_queue import UNKEYED, Round
from eventstore.memory.work import StepKey, WorkIndex
from eventstore.run_model import Ability
from openagents_json.statuses import CLAIMED_RUN

PAGES: Final = 20
"""How many pages of a queue a claim looks at, where all that stands in front is for others."""


class Verdict(Enum):
    """What is to be done with a step that a claim looks at."""

    TAKE = auto()
    SET_ASIDE = auto()
    DROP = auto()
    LEAVE = auto()


class Look:
    """One look of a worker at a queue, by what it is known to be `able` to run; nothing is changed until `settle`.

    `takers` are the steps that it takes, `aside` those that were found to be for others, `unknown` components of which
    nobody has told yet.
    """

    def __init__(
        self,
        work: WorkIndex,
        queue: str,
        able: Mapping[str, Ability],
        weights: Mapping[str, int],
    ) -> None:
        self._work = work
        self._queue = queue
        self._able = able
        self._weights = weights
        self.takers: list[StepKey] = []
        self.aside: list[StepKey] = []
        self.unknown: list[str] = []
        self._gone: list[tuple[StepKey, str, str]] = []
        self._fair = work.fair.of(queue)
        self._round: Round | None = None
        self._weight = 1
        self._unkeyed = {Verdict.TAKE: 0, Verdict.SET_ASIDE: 0}
        able_aside = filter(self._can, work.aside(queue))
        self._sets = {name: work.queue(queue, name) for name in ("", *able_aside)}
        self._waiting = sum(map(len, self._sets.values())) + len(self._fair)

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
        unkeyed = self._steps_without_keys(size)
        if self._fair.ring:
            self._look_in_turn(at_most, PAGES * size, unkeyed)
            return
        while len(self.takers) < at_most and next(unkeyed, None) is not None:
            pass

    def _look_in_turn(
        self, at_most: int, looks: int, unkeyed: Iterator[Verdict]
    ) -> None:
        """Take steps in the turns of their keys."""
        has_unkeyed = any(map(len, self._sets.values()))
        self._round = turns = Round(self._fair, unkeyed=has_unkeyed)
        lines = {key: self._steps_of(key) for key in self._fair.lines}
        lines[UNKEYED] = unkeyed
        while turns.first is not None and len(self.takers) < at_most and looks > 0:
            looks -= self._take_turn(turns, lines[turns.first], at_most, looks)

    def _take_turn(
        self, turns: Round, line: Iterator[Verdict], at_most: int, looks: int
    ) -> int:
        """Let the first key have its turn; gives at how many steps was looked."""
        may, looked_at = turns.begin(), 0
        while len(self.takers) < at_most and looked_at < looks:
            verdict = next(line, None)
            looked_at += 1
            if verdict is None:
                turns.spend()
                return looked_at
            if may is None:
                may = self._weights.get(turns.first or UNKEYED, self._weight)
            may -= verdict is Verdict.TAKE
            if may == 0:
                turns.end()
                return looked_at
        turns.stay(may or 0)
        return looked_at

    def _steps_of(self, key: str) -> Iterator[Verdict]:
        """Look at the steps of a key, one by one."""
        for step, _ in list(self._fair.lines[key]):
            yield self._judge(step, "", key)

    def _steps_without_keys(self, size: int) -> Iterator[Verdict]:
        """Look at steps without keys, one by one: on, where all that stood in front is for others."""
        seen = self._unkeyed
        for page in range(PAGES):
            others = seen[Verdict.SET_ASIDE]
            for step, component in list(self._page(page * size, size)):
                verdict = self._judge(step, component, UNKEYED)
                seen[verdict] = seen.get(verdict, 0) + 1
                yield verdict
            if seen[Verdict.TAKE] or seen[Verdict.SET_ASIDE] == others:
                return

    def _page(self, first: int, size: int) -> Iterator[tuple[StepKey, str]]:
        """Yield the steps of a page of each set, by priority and age, with the component that the set is for."""
        page: list[tuple[StepKey, int, str]] = []
        for component, steps in self._sets.items():
            scored = islice(steps, first, first + size)
            page += [(key, score, component) for key, score in scored]
        page.sort(key=lambda step: step[1])
        yield from ((key, component) for key, _, component in page)

    def _judge(self, step: StepKey, found_for: str, key: str) -> Verdict:
        run, name = step
        head = self._work.heads.get(run)
        record = head.steps.get(name) if head is not None else None
        self._weight = record.weight if key and record is not None else 1
        if head is not None and head.status not in CLAIMED_RUN:
            record = None
        # A step that is held is no more to be claimed: its place in the set is what an older claim left. One that
        # stands in the queue and is set aside as well is taken once.
        if record is None or record.fence or step in self.takers:
            self._gone.append((step, found_for, key))
            return Verdict.DROP
        can = self._can(record.component)
        if can:
            self.takers.append(step)
            return Verdict.TAKE
        if can is None:
            return Verdict.LEAVE
        self.aside.append(step)
        return Verdict.SET_ASIDE

    def settle(self) -> None:
        """Set aside what is for others, take out what nobody needs, and let the next claim go on in the round."""
        if self._round is not None:
            self._round.settle()
        for run, step in self.aside:
            self._work.set_aside((run, step))
        for step_key, component, key in self._gone:
            if key:
                self._fair.discard(key, step_key)
            else:
                self._work.drop(step_key, self._queue, component)

    def close(self) -> None:
        """Forget what the steps that were taken have left of the round."""
        self._fair.close()
