"""The names of the catalog: requests carried out as events, and entries read through a cache that follows its log.

What is cached is looked at again against the position of the catalog every `LOOK_MS`: so a process may know for that
long what another one has changed, and no longer. What it has changed itself, it knows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from eventstore import codec
from eventstore.event import Recorded
from eventstore.redis.coordination.catalog import (
    AT_ONCE,
    CatalogStore,
    NameChange,
    StoredName,
)
from eventstore.redis.driver.forking import ForkSafeLock
from openagents_json.catalog.errors import EntryUnreadable
from openagents_json.catalog.log.decisions import Request
from openagents_json.catalog.log.entries import (
    NOTHING,
    CatalogEvent,
    Entry,
    decoded,
    encoded,
    folded,
)
from openagents_json.catalog.log.words import described, words
from openagents_json.errors import OpenAgentsError
from openagents_json.statuses import EVENTS

LOOK_MS: Final = 500
"""For how long what is cached is taken to be so, before the position of the catalog is looked at."""

CAPACITY: Final = 20_000
"""So many names are remembered at most."""

KEYS_PAGE: Final = 1000
"""So many keys are read in a round trip."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: the events that it led to, none when all was so already, or why it was refused."""

    request: Request
    events: tuple[CatalogEvent, ...] = ()
    error: OpenAgentsError | None = None


def entry_of(key: str, stored: StoredName) -> Entry:
    """Return what a stored name says.

    Raises EntryUnreadable.
    """
    try:
        return decoded(stored.entry)
    except msgspec.DecodeError:
        raise EntryUnreadable(key) from None


@dataclass(slots=True)
class _Draft:
    """A name while requests are decided on it."""

    stored: StoredName
    entry: Entry
    events: list[CatalogEvent] = field(default_factory=list)

    @classmethod
    def of(cls, key: str, stored: StoredName) -> _Draft:
        return cls(stored, entry_of(key, stored))


class Names:
    """The names of a store's catalog; safe for threads."""

    def __init__(
        self,
        store: CatalogStore,
        steady_ms: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self.store = store
        self._steady_ms = steady_ms
        self._new_id = new_id
        self._position = 0
        self._entries: dict[str, Entry] = {}
        self.fresh_until = 0.0
        self._lock = ForkSafeLock()
        self.when_changed: list[Callable[[Iterable[str] | None], None]] = []

    # -- reading -----------------------------------------------------------------------------------------

    def entry(self, key: str) -> Entry:
        """Return what is known under a key, "kind:name"."""
        return self.entries([key])[key]

    def entries(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """Return what is known under keys, in one round trip at most."""
        with self._lock:
            asked = [key for key in keys if key not in self._entries]
            if self._steady_ms() >= self.fresh_until:
                asked = list(keys)  # one that is cached may be among what has changed
            if asked:
                self._look(asked)
            return {key: self._entries.get(key, NOTHING) for key in keys}

    def fresh(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """Return what is known under keys at this moment, past the cache."""
        return {key: entry_of(key, x) for key, x in self._read(keys).items()}

    def all_beginning(self, prefix: str) -> list[str]:
        """Return all keys that begin with something, a page in a round trip."""
        keys: list[str] = []
        while True:
            page = self.store.beginning(prefix, KEYS_PAGE, keys[-1] if keys else "")
            keys += page
            if len(page) < KEYS_PAGE:
                return keys

    def _look(self, keys: Sequence[str]) -> None:
        """Read keys, and forget what has changed since the last look."""
        # From before the question on: what changes while it is on its way may not be in the answer.
        begun = self._steady_ms()
        since = self._position if self._entries else 0
        look = self.store.look(keys, since)
        changed = None if look.since is None else _changed(look.since)
        if look.position < self._position or (
            changed is None and look.position != self._position
        ):
            changed = None
            self._entries.clear()
            self._tell(None)
        elif changed:
            self._forget(changed)
        if len(self._entries) + len(keys) > CAPACITY:
            self._entries.clear()
            self._tell(None)
        for key, stored in zip(keys, look.names, strict=True):
            self._entries[key] = entry_of(key, stored)
        self._position, self.fresh_until = look.position, begun + LOOK_MS

    def look_again(self) -> None:
        """Look at the position of the catalog before the next answer, however lately that was done."""
        with self._lock:
            self.fresh_until = 0.0

    def forget_all(self) -> None:
        """Read all names anew when they are asked for next."""
        with self._lock:
            self._entries.clear()
            self.fresh_until = 0.0
            self._tell(None)

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._entries.pop(key, None)
        self._tell(keys)

    def _tell(self, keys: Iterable[str] | None) -> None:
        for hear in self.when_changed:
            hear(keys)

    def history(self, key: str) -> list[Recorded]:
        """Return the events of a name, oldest first; two round trips."""
        [stored] = self.store.look([key], 0).names
        return self.store.read([event.version for event in stored.positions])

    # -- changing ----------------------------------------------------------------------------------------

    def carry_out(
        self, requests: Sequence[Request], *, actor: str, cause: str = ""
    ) -> list[Answer]:
        """Decide requests and put the events of all of them on the log; each is refused for itself.

        Where others were first with a name, what is asked of it is decided again on what they left: of several who
        register one version, one does, and the others are told what differs.
        """
        answers: dict[int, Answer] = {}
        todo = list(range(len(requests)))
        stored = self._read({_key(request) for request in requests})
        while todo:
            keys = dict.fromkeys(_key(requests[i]) for i in todo)
            drafts = {key: _Draft.of(key, stored[key]) for key in keys}
            for index in todo:
                answers[index] = _decided(requests[index], drafts)
            others = self._write(drafts, actor, cause)
            stored.update(others)
            todo = [i for i in todo if _key(requests[i]) in others]
        return [answers[index] for index in range(len(requests))]

    def _read(self, keys: Iterable[str]) -> dict[str, StoredName]:
        names = sorted(keys)
        entries: dict[str, StoredName] = {}
        for start in range(0, len(names), 1000):
            part = names[start : start + 1000]
            entries.update(zip(part, self.store.look(part, 0).names, strict=True))
        return entries

    def _write(
        self, drafts: Mapping[str, _Draft], actor: str, cause: str
    ) -> dict[str, StoredName]:
        """Write what was decided; gives the names that have to be decided again, as they are now."""
        changes = [_change(key, draft) for key, draft in drafts.items() if draft.events]
        if not changes:
            return {}
        conflicts = self.store.commit(
            changes, commit_id=self._new_id(), actor=actor, cause=cause
        )
        again: dict[str, StoredName] = {}
        for number, others in enumerate(conflicts):
            if not others:
                continue
            # Of a part in which one name has moved on nothing is written: the others are as they were.
            part = changes[number * AT_ONCE : (number + 1) * AT_ONCE]
            again.update({x.name: drafts[x.name].stored for x in part})
            again.update(others)
        with self._lock:
            self._forget([change.name for change in changes])
        return again


def _changed(events: Iterable[Recorded]) -> set[str] | None:
    """Return the keys that events are about; None where a later version has written what nobody knows here."""
    keys: set[str] = set()
    for event in events:
        if event.type not in EVENTS:
            return None
        kind, _ = EVENTS[event.type]
        keys.add(f"{kind}:{event.data['name']}")
    return keys


def _key(request: Request) -> str:
    return f"{request.kind}:{request.name}"


def _decided(request: Request, drafts: Mapping[str, _Draft]) -> Answer:
    draft = drafts[_key(request)]
    try:
        events = request.decide(draft.entry)
    except OpenAgentsError as error:
        return Answer(request, error=error)
    for event in events:
        draft.entry = folded(draft.entry, event)
        draft.events.append(event)
    return Answer(request, tuple(events))


def _change(key: str, draft: _Draft) -> NameChange:
    return NameChange(
        key,
        draft.stored.revision,
        encoded(draft.entry),
        [(event.type, codec.encode(dict(event.data))) for event in draft.events],
        " ".join(searched_words(key, draft.events)),
    )


def searched_words(key: str, events: Iterable[CatalogEvent]) -> list[str]:
    """Return the words by which a name is found after some events."""
    specs = [event.data["spec"] for event in events if "spec" in event.data]
    found_by = words(key.partition(":")[2]) if specs else []
    for spec in specs:
        found_by += described(cast("Mapping[str, Any]", spec))
    return list(dict.fromkeys(found_by))
