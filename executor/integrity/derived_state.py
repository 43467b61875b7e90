"""What is believed of runs without reading their events, against the events: heads, and definitions by their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from eventstore import codec
from eventstore.errors import HeadUnreadable
from eventstore.redis.ledger import Stored
from eventstore.redis.raw import read_raw
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import RunHead
from openagents_json.statuses import CLOSED_RUN
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import CLOSED_AS, OPENING

PAGE: Final = 200
TRIES: Final = 5
STARTED: Final = ev.RunStarted.__name__


@dataclass(frozen=True, slots=True, order=True)
class DerivedStateFault:
    """What is not as the events of a run say: `kind` is head or definition."""

    run: str
    kind: str
    what: str


@dataclass(slots=True)
class FoldedHead:
    """What the events of a run come to, as far as heads say it; `closed` is the status of one that has ended."""

    version: int = 0
    commit: str = ""
    closed: str = ""
    definition: str = ""

    def note(self, event: Stored) -> None:
        """Take the next event in."""
        self.version, self.commit = event.version, event.commit
        self.closed = CLOSED_AS.get(event.type, self.closed)
        if event.type in OPENING:
            self.closed = ""
            self.definition = str(
                codec.members_of(event.data).get("definition") or self.definition
            )


class DerivedStateCheck:
    """Notes where runs stand while somebody else reads their events, and compares that with what the store says."""

    def __init__(self, store: RedisRunStore) -> None:
        self._store = store
        self._known: dict[str, FoldedHead] = {}
        self._definitions: dict[str, str] = {}

    def over(self, events: Iterable[Stored]) -> Iterator[Stored]:
        """Return events as they are, and note them; nothing of them is kept but names and numbers."""
        for event in events:
            self._note(event)
            yield event

    def _note(self, event: Stored) -> None:
        if event.version == 1 and event.type == STARTED:
            self._known[event.stream] = FoldedHead()
        standing = self._known.get(event.stream)
        if standing is not None:  # else it is a stream of something else
            standing.note(event)
            if standing.definition:
                self._definitions.setdefault(standing.definition, event.stream)

    def faults(self) -> Iterator[DerivedStateFault]:
        """Return what the store says otherwise, and forget what was noted."""
        runs = sorted(self._known)
        for start in range(0, len(runs), PAGE):
            page = runs[start : start + PAGE]
            for run, head in zip(page, self._heads(page), strict=True):
                what = self._fault(run, head)
                if what:
                    yield DerivedStateFault(run, "head", what)
        names = sorted(self._definitions)
        for start in range(0, len(names), PAGE):
            for name, what in definition_faults(
                self._store, names[start : start + PAGE]
            ):
                yield DerivedStateFault(self._definitions[name], "definition", what)
        self._known, self._definitions = {}, {}

    def _heads(self, runs: Sequence[str]) -> list[RunHead | HeadUnreadable | None]:
        try:
            return [*self._store.heads(runs)]
        except HeadUnreadable as error:  # one of them holds what no commit has written
            return (
                [error]
                if len(runs) == 1
                else [found for run in runs for found in self._heads([run])]
            )

    def _fault(self, run: str, head: RunHead | HeadUnreadable | None) -> str:
        """Say how a head differs; one that is ahead of what was noted may belong to a run that has moved on."""
        standing = self._known[run]
        for _ in range(TRIES):
            if isinstance(head, HeadUnreadable):
                return f"the head cannot be read: {head.reason}"
            if head is not None and head.version <= standing.version:
                return difference(head, standing)
            standing = self._again(run)
            if not standing.version:
                return ""  # it has left the store since
            if head is None:
                return "the run has events but no head"
            if standing.version < head.version:
                return f"the head says version {head.version}, the run has {standing.version} events"
            [head] = self._heads([run])
        return ""

    def _again(self, run: str) -> FoldedHead:
        standing = FoldedHead()
        for event in read_raw(self._store, run):
            standing.note(event.stored(run))
        return standing


def difference(head: RunHead, standing: FoldedHead) -> str:
    """Say in what a head differs from the events of its run, "" when it does not."""
    pairs = (
        ("version", head.version, standing.version),
        ("commit", head.last_commit, standing.commit),
        ("definition", head.definition, standing.definition),
    )
    for name, said, noted in pairs:
        if said != noted:
            return f"the head says {name} {said or 'none'}, the events say {noted or 'none'}"
    closed = head.status if head.status in CLOSED_RUN else ""
    if closed != standing.closed:
        return f"the head says {head.status}, the events say {standing.closed or 'that it is open'}"
    return ""


def definition_faults(
    store: RedisRunStore, names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Return the definitions that are not there, or not what their hash says."""
    for name, raw in zip(names, store.definitions(names), strict=True):
        if raw is None:
            yield name, f"definition {name} is gone"
        elif hashlib.sha256(raw).hexdigest() != name:
            yield name, f"definition {name} is not what its hash says"
