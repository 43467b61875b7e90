"""The state of one agent as a stream of events: folded here, changed by appends that say what they expect.

A lock is an event in the same stream, and its version there is its fence. Who writes under a lock appends behind the
version at which it was still theirs; the store refuses the append when anything came in between, a new holder above
all. So a holder that slept beyond its lease cannot write, whatever its own clock says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from eventstore import (
    Event,
    PayloadTooLarge,
    Recorded,
    StreamStore,
    WrongExpectedVersion,
)
from openagents_json.core.errors import StateLockError

CHANGED: Final = "StateChanged"
WHOLE: Final = "StateWhole"
LOCKED: Final = "StateLocked"
UNLOCKED: Final = "StateUnlocked"

WHOLE_EVERY: Final = 200
"""So often the whole state is written beside a change, so that nobody has to read further back."""


class TimedStore(StreamStore, Protocol):
    """A store of streams that knows the time by which it dates events."""

    def now_ms(self) -> int:
        """Return the time since the epoch in ms."""
        ...


class Lock(Struct, frozen=True, gc=False):
    """Who may write until when, by the store's clock; `fence` only rises."""

    owner: str
    fence: int
    until_ms: int


class AgentState(Struct, frozen=True, gc=False):
    """The values of an agent as they are written, by key, and the lock on them, at a version of its stream.

    At version `whole`, all of it was written; 0 stands for the beginning.
    """

    version: int = 0
    whole: int = 0
    values: Map[str, str] = Map()
    lock: Lock | None = None


class Change(Struct, frozen=True, gc=False):
    """What is to become of values: all of them are forgotten first if it `clears`, then some are set, None deletes."""

    values: Mapping[str, str | None]
    clears: bool = False


def fold(state: AgentState, events: Iterable[Recorded]) -> AgentState:
    """Return the state after some events; those of kinds that are not known change nothing."""
    for event in events:
        folds = _FOLDS.get(event.type)
        after = state if folds is None else folds(state, event)
        state = replace(after, version=event.version)
    return state


def _changed(state: AgentState, event: Recorded) -> AgentState:
    change = Change(event.data["values"], bool(event.data.get("clears")))
    return replace(state, values=changed(state.values, change))


def changed(values: Map[str, str], change: Change) -> Map[str, str]:
    """Return values after a change."""
    if change.clears:
        values = Map()
    for key, text in change.values.items():
        if text is not None:
            values = values.set(key, text)
        elif key in values:
            values = values.delete(key)
    return values


def _whole(state: AgentState, event: Recorded) -> AgentState:
    lock = event.data.get("lock")
    return replace(
        state,
        whole=event.version,
        values=Map(event.data["values"]),
        lock=Lock(*lock) if lock else None,
    )


def _locked(state: AgentState, event: Recorded) -> AgentState:
    until_ms = event.time_ms + int(event.data["for_ms"])
    lock = Lock(event.data["owner"], event.version, until_ms)
    return replace(state, lock=lock)


def _unlocked(state: AgentState, _: Recorded) -> AgentState:
    return replace(state, lock=None)


_FOLDS: Final[Mapping[str, Callable[[AgentState, Recorded], AgentState]]] = {
    CHANGED: _changed,
    WHOLE: _whole,
    LOCKED: _locked,
    UNLOCKED: _unlocked,
}


class AgentLog:
    """Reads and writes the states of agents in a store; safe for threads and processes, as the store is."""

    def __init__(self, store: TimedStore, commit_id: Callable[[], str]) -> None:
        self._store = store
        self._commit_id = commit_id
        self._states: dict[str, AgentState] = {}

    def read(self, agent: str) -> AgentState:
        """Return the state as it is now: what is known here, and what others have written since."""
        cached = self._states.get(agent)
        if cached is None:
            state = self._read_anew(agent)
        else:
            state = fold(cached, self._store.read(_stream(agent), after=cached.version))
        self._states[agent] = state
        return state

    def read_at(self, agent: str, version: int) -> AgentState:
        """Return the state as it was at a version."""
        events = self._store.read(_stream(agent), before=version + 1)
        return fold(AgentState(), events)

    def _read_anew(self, agent: str) -> AgentState:
        stream = _stream(agent)
        latest = self._store.read(stream, backward=True, limit=2 * WHOLE_EVERY)
        latest.reverse()
        wholes = [index for index, event in enumerate(latest) if event.type == WHOLE]
        if wholes:
            return fold(AgentState(), latest[wholes[-1] :])
        if not latest or latest[0].version == 1:
            return fold(AgentState(), latest)
        return fold(AgentState(), self._store.read(stream))

    def write(
        self,
        agent: str,
        change: Change,
        *,
        fence: int | None = None,
        expected: int | None = None,
    ) -> None:
        """Append a change; under a `fence` only as long as its lock is held, with `expected` only at that version.

        Raises StateLockError and WrongExpectedVersion.
        """
        while True:
            state = self.read(agent)
            if expected is not None and state.version != expected:
                raise WrongExpectedVersion(_stream(agent), expected, state.version)
            if fence is not None:
                self._refuse_lost(agent, state, fence)
            try:
                self._append(agent, state, change)
            except WrongExpectedVersion:
                continue  # somebody wrote in between: look again whether it may be written still
            return

    def _append(self, agent: str, state: AgentState, change: Change) -> None:
        data: dict[str, Any] = {"values": dict(change.values)}
        if change.clears:
            data["clears"] = True
        change_event = Event(CHANGED, data)
        if state.version - state.whole >= WHOLE_EVERY:
            after = replace(state, values=changed(state.values, change))
            with suppress(PayloadTooLarge):  # then it is read from further back
                self._send(agent, [change_event, _whole_event(after)], state.version)
                return
        self._send(agent, [change_event], state.version)

    def _send(self, agent: str, events: list[Event], expected: int) -> int:
        """Append events behind a version and return the new one; a lost reply is found again by the commit's id."""
        appended = self._store.append(
            _stream(agent), events, expected=expected, commit_id=self._commit_id()
        )
        return appended.last_version

    def _refuse_lost(self, agent: str, state: AgentState, fence: int) -> None:
        """Refuse to write under a lock that is not held any more.

        Raises StateLockError.
        """
        lock = state.lock
        if lock is None or lock.fence != fence:
            holder = f", {lock.owner} holds it" if lock else ""
            what = f"the lock of {agent!r} (fence {fence}) has been lost{holder}"
            raise StateLockError(what, remedy="acquire it again, and look at the state")
        if self._store.now_ms() >= lock.until_ms:
            what = f"the lock of {agent!r} (fence {fence}) has run out"
            raise StateLockError(what, remedy="acquire it again, and look at the state")

    def lock(self, agent: str, owner: str, for_ms: int) -> int | None:
        """Take the lock if nobody holds it, and return its fence; None when somebody does."""
        while True:
            state = self.read(agent)
            if state.lock is not None and self._store.now_ms() < state.lock.until_ms:
                return None
            taken = Event(LOCKED, {"owner": owner, "for_ms": for_ms})
            try:
                return self._send(agent, [taken], state.version)
            except WrongExpectedVersion:
                continue  # another has taken it, or only changed a value

    def unlock(self, agent: str, fence: int) -> bool:
        """Give a lock back; tell whether it was still held."""
        while True:
            state = self.read(agent)
            if state.lock is None or state.lock.fence != fence:
                return False
            try:
                self._send(agent, [Event(UNLOCKED, {"fence": fence})], state.version)
            except WrongExpectedVersion:
                continue
            return True


def _whole_event(state: AgentState) -> Event:
    lock = state.lock
    held = None if lock is None else [lock.owner, lock.fence, lock.until_ms]
    return Event(WHOLE, {"values": dict(state.values), "lock": held})


def _stream(agent: str) -> str:
    """Return the stream of an agent; the prefix keeps a number at the head of its name from choosing a partition."""
    return f"agent:{agent}"
