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
"""How many heads or definitions are read in one round trip."""

TRIES: Final = 5
"""How often a run that moves on is looked at again."""

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
        self.version = event.version
        self.commit = event.commit
        self.closed = CLOSED_AS.get(event.type, self.closed)
        if event.type in OPENING:
            definition = codec.members_of(event.data).get("definition")
            self.closed = ""
            self.definition = str(definition or self.definition)


class DerivedStateCheck:
    """Notes where runs stand while somebody else reads their events, and compares that with what the store says."""

    def __init__(self, store: RedisRunStore) -> None:
        self._store = store
        self._folded: dict[str, FoldedHead] = {}
        self._definitions: dict[str, str] = {}

    def over(self, events: Iterable[Stored]) -> Iterator[Stored]:
        """Return events as they are, and note them; nothing of them is kept but names and numbers."""
        for event in events:
            self._note(event)
            yield event

    def _note(self, event: Stored) -> None:
        if event.version == 1 and event.type == STARTED:
            self._folded[event.stream] = FoldedHead()
        folded = self._folded.get(event.stream)
        if folded is None:
            return  # a stream of something else than a run
        folded.note(event)
        if folded.definition:
            self._definitions.setdefault(folded.definition, event.stream)

    def faults(self) -> Iterator[DerivedStateFault]:
        """Return what the store says otherwise, and forget what was noted."""
        yield from self._head_faults()
        yield from self._definition_faults()
        self._folded = {}
        self._definitions = {}

    def _head_faults(self) -> Iterator[DerivedStateFault]:
        for runs in _pages(self._folded):
            heads = self._heads(runs)
            for run, head in zip(runs, heads, strict=True):
                fault = self._head_fault(run, head)
                if fault:
                    yield DerivedStateFault(run, "head", fault)

    def _definition_faults(self) -> Iterator[DerivedStateFault]:
        for names in _pages(self._definitions):
            for name, fault in definition_faults(self._store, names):
                yield DerivedStateFault(self._definitions[name], "definition", fault)

    def _heads(self, runs: Sequence[str]) -> list[RunHead | HeadUnreadable | None]:
        try:
            return [*self._store.heads(runs)]
        except HeadUnreadable as error:
            if len(runs) == 1:
                return [error]
        # One of them holds what no commit has written: the others are read without it.
        heads: list[RunHead | HeadUnreadable | None] = []
        for run in runs:
            heads += self._heads([run])
        return heads

    def _head_fault(self, run: str, head: RunHead | HeadUnreadable | None) -> str:
        """Say how a head differs; one that is ahead of what was noted may belong to a run that has moved on."""
        folded = self._folded[run]
        # The head is read after the events, so a live run may be ahead of them each time: after some looks, it is
        # left for the next check, because a run that moves has a head that commits can go by.
        for _ in range(TRIES):
            if isinstance(head, HeadUnreadable):
                return f"the head cannot be read: {head.reason}"
            if head is not None and head.version <= folded.version:
                return difference(head, folded)
            # First the head, then the events once more: then they can only be ahead of it, never behind.
            folded = self._folded_again(run)
            fault = _behind(head, folded)
            if (
                fault or not folded.version
            ):  # without events, it has left the store since
                return fault
            [head] = self._heads([run])
        return ""

    def _folded_again(self, run: str) -> FoldedHead:
        folded = FoldedHead()
        for event in read_raw(self._store, run):
            folded.note(event.stored(run))
        return folded


def _behind(head: RunHead | None, folded: FoldedHead) -> str:
    """Say how a head differs from events that were read after it and are not many enough, "" when they are."""
    if not folded.version:
        return ""
    if head is None:
        return "the run has events but no head"
    if folded.version < head.version:
        return (
            f"the head says version {head.version}, the run has {folded.version} events"
        )
    return ""


def _pages(names: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(names)
    for start in range(0, len(ordered), PAGE):
        yield ordered[start : start + PAGE]


def difference(head: RunHead, folded: FoldedHead) -> str:
    """Say in what a head differs from the events of its run, "" when it does not."""
    says_of_head = {
        "version": head.version,
        "commit": head.last_commit,
        "definition": head.definition,
    }
    for name, of_head in says_of_head.items():
        of_events = getattr(folded, name)
        if of_head != of_events:
            return f"the head says {name} {of_head or 'none'}, the events say {of_events or 'none'}"
    closed = head.status if head.status in CLOSED_RUN else ""
    if closed != folded.closed:
        return f"the head says {head.status}, the events say {folded.closed or 'that it is open'}"
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
