"""Which run an idempotency key stands for, noted beside the log before the run begins: for starts of other workflows.

The ids of runs come from workflow and key, so another workflow would begin another run under the same key. A note is
written by the first only. It counts while its run is there, or may be about to begin: one whose starter was refused, or
died, gives way to others. So a start may die, or be late, between its note and its run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.coordination.key_notes import KeptNote, KeyNote, KeyNoteStore

KEPT_MS: Final = 30 * 86_400_000
"""How long it is known for which workflow a key was used; the same workflow's run is found as long as it is there."""

BEGINS_MS: Final = 120_000
"""After so long a start that has noted its key has begun its run, or will not: it waits for servers less than that."""


@dataclass(frozen=True, slots=True)
class Note:
    """That an idempotency key stands for a run, and of which workflow, with its business key, that is."""

    key: str
    run: str
    workflow: str

    def text(self) -> bytes:
        """Return what is stored."""
        return f"{self.run} {self.workflow}".encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a key stood for already, and how long ago that was noted."""

    text: bytes
    run: str
    workflow: str
    age_ms: int


class KeyNotes:
    """Notes of idempotency keys; safe for threads. `never_began` tells of a run that is there that it was refused."""

    def __init__(self, store: KeyNoteStore, never_began: Callable[[str], bool]) -> None:
        self._store = store
        self._never_began = never_began

    def take(self, notes: Sequence[Note]) -> list[Standing | EventStoreError | None]:
        """Note keys in one round trip; for each, the run of another workflow that it stands for, or why it is refused.

        In a cluster, a key may lie on another node than its run. While that one is away, starts go on without this
        look: it finds the mistakes of callers, and what makes a start happen once is the run's own id. Raises
        StoreUnavailable.
        """
        if not notes:
            return []
        replies = self._store.write([KeyNote(note.key, note.text()) for note in notes])
        return [
            self._standing(note, reply)
            for note, reply in zip(notes, replies, strict=True)
        ]

    def give_back(self, notes: Sequence[Note]) -> None:
        """Let notes give way to others from now on, as their starts were refused.

        They are not removed: another start of the same workflow may have relied on one, and its run counts. What cannot
        be given back now gives way after BEGINS_MS.
        """
        with suppress(EventStoreError):
            self._store.keep_for([note.key for note in notes], KEPT_MS - BEGINS_MS)

    def answered_with(self, note: Note) -> str:
        """Return the run that a key was answered with in the place of one that it would begin, "" where there is none.

        Raises EventStoreError.
        """
        [reply] = self._store.write([KeyNote(note.key, note.text())])
        if isinstance(reply, StoreUnavailable):
            return ""
        if isinstance(reply, EventStoreError):
            raise reply
        other = _read(reply)
        if other is None or _of_another(note, other) or other.run == note.run:
            return ""
        return other.run

    def answer_with(self, note: Note, run: str) -> None:
        """Let a key stand for a run that was there, unless it has come to stand for something else.

        Raises EventStoreError.
        """
        self._put(replace(note, run=run), note)

    def take_back(self, note: Note, run: str) -> None:
        """Let a key that stands for a run that was there stand for the one that it would begin.

        Raises EventStoreError.
        """
        self._put(note, replace(note, run=run))

    def _put(self, note: Note, instead_of: Note) -> None:
        written = KeyNote(note.key, note.text(), instead_of=instead_of.text())
        [reply] = self._store.write([written])
        if isinstance(reply, EventStoreError):
            raise reply

    def _standing(
        self, note: Note, reply: KeptNote | EventStoreError | None
    ) -> Standing | EventStoreError | None:
        """Return the run of another workflow that a key stands for, None when it stands for the one of the note."""
        if isinstance(reply, StoreUnavailable):
            return None
        if isinstance(reply, EventStoreError):
            return reply
        other = _of_another(note, _read(reply))
        if other is None or not self._is_void(other):
            return other
        # Only what was looked at gives way: somebody else may have been faster, and is about to begin.
        [reply] = self._store.write(
            [KeyNote(note.key, note.text(), instead_of=other.text)]
        )
        if isinstance(reply, EventStoreError):
            return self._standing(note, reply)
        return _of_another(note, _read(reply))

    def _is_void(self, other: Standing) -> bool:
        """Tell whether no run is behind a note, nor will be; not while nobody can tell."""
        try:
            status, is_archived = self._store.whereabouts(other.run)
            if is_archived:
                return False
            if status:
                return self._never_began(other.run)
            return other.age_ms >= BEGINS_MS
        except EventStoreError:
            return False


def _of_another(note: Note, other: Standing | None) -> Standing | None:
    if other is None or other.workflow == note.workflow:
        return None
    return other


def _read(kept: KeptNote | None) -> Standing | None:
    if kept is None:
        return None
    run, _, workflow = kept.text.decode("utf-8", "surrogatepass").partition(" ")
    return Standing(kept.text, run, workflow, KEPT_MS - kept.left_ms)
