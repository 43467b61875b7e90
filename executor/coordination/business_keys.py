"""Business keys: names that callers give, under each of which one run of a workflow is open at a time.

The store has the run that a key stands for, in the partition of all runs of the key, and the commit that begins a run
takes the key from the run that had it, or is refused. So what is looked at in between may be old by then, and still no
two runs take one key at a time.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import Final

from executor.coordination.starts import RunStarter
from executor.errors import TooContended
from executor.runs.beginnings import Start, note_of
from executor.runs.committer import Handled
from executor.runs.errors import BusinessKeyTaken
from executor.runs.handler import TRIES, Handler
from executor.runs.key_notes import Note
from openagents_json.errors import RunUnreadable
from openagents_json.statuses import CLOSED_RUN
from openagents_json.workflow.core import commands as cmd

REPLACE: Final = "replace"
REFUSING: Final = frozenset({"reject", "after-closed", REPLACE})
"""Policies that refuse a start whose key an open run has: at all, or until its caller has waited for the end."""


def stored_name(workflow: str, business_key: str) -> str:
    """Return what stands for a business key in the store; the first digits of it choose the partition of its runs."""
    text = f"{workflow}\0{business_key}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class KeyedStarts:
    """Starts runs under business keys; safe for threads."""

    def __init__(self, handler: Handler, starter: RunStarter) -> None:
        self._handler = handler
        self._starter = starter
        self._notes = handler.beginnings.notes

    def start(self, start: Start, policy: str, *, actor: str) -> Handled:
        """Start a run under the name it has, or do by the policy where an open run has that; the same request again
        is answered alike.

        Raises BusinessKeyTaken, and as `RunStarter.start` does.
        """
        note = None if start.request is None else note_of(start, start.request)
        name, holder = start.name or ("", "")
        for _ in range(TRIES):
            answered = note and self._notes.answered_with(note)
            if answered:
                handled = self._existing(answered, start, note, actor)
                if handled is not None:
                    return handled
            try:
                named = replace(start, name=(name, holder))
                return self._starter.start(named, actor=actor)
            except BusinessKeyTaken as taken:
                holder = taken.run
                if policy == REPLACE:
                    self._cancel(holder, actor)
                if not self._is_open(holder):
                    continue
                # Also one that is cancelled: what it runs is waited for, and what it did is undone.
                if policy in REFUSING:
                    raise
            # Noted before it is signalled: asked again, it is this run whatever has become of it since.
            if note is not None:
                self._notes.answer_with(note, holder)
                continue
            handled = self._existing(holder, start, note, actor)
            if handled is not None:
                return handled
        raise TooContended(start.run, TRIES)

    def _existing(
        self, run: str, start: Start, note: Note | None, actor: str
    ) -> Handled | None:
        """Return a run that is there, signalled where that was asked for; None when it has ended before the signal."""
        if start.signal is None:
            return Handled(self._handler.sessions.load(run), changed=False)
        try:
            handled = self._handler.handle(run, start.signal, actor=actor)
        except (cmd.Rejected, RunUnreadable):
            if self._is_open(run):
                raise
            if note is not None:
                self._notes.take_back(note, run)
            return None
        return replace(handled, changed=False)

    def _cancel(self, run: str, actor: str) -> None:
        """Cancel a run for the one that takes its place, unless it ends by itself, has ended, or left the store."""
        command = cmd.CancelRun("another run takes its place")
        try:
            with suppress(cmd.Rejected):
                self._handler.handle(run, command, actor=actor)
        except RunUnreadable:
            if self._is_open(run):
                raise

    def _is_open(self, run: str) -> bool:
        status = self._handler.store.statuses([run])[0]
        return bool(status) and status not in CLOSED_RUN
