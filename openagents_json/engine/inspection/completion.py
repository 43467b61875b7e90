"""Names to propose at the keyboard: of a store that answers at once, and else none, for whatever reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final

from eventstore.redis.completion.line import open_line
from eventstore.redis.completion.names import Names, running_server
from openagents_json.engine.profiles.choice import profile_names
from openagents_json.engine.profiles.store_place import place_of_store

SECONDS: Final = 0.5
"""How long somebody waits who has pressed a key."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A name, and what tells it from others."""

    name: str
    about: str = ""


def proposed_runs(options: Mapping[str, Any], beginning: str) -> list[Proposal]:
    """Return runs whose ids begin like that, the latest first."""

    def ask(names: Names) -> list[Proposal]:
        return [
            Proposal(item.run, f"{item.workflow} {item.status}")
            for item in names.runs(beginning)
        ]

    return _asked(options, ask)


def proposed_workflows(options: Mapping[str, Any], beginning: str) -> list[Proposal]:
    """Return published workflows: by id, version and alias."""
    return _asked(options, lambda names: _beginning(names.workflows(), beginning))


def proposed_schedules(options: Mapping[str, Any], beginning: str) -> list[Proposal]:
    """Return schedules."""
    return _asked(options, lambda names: _beginning(names.schedules(), beginning))


def proposed_components(options: Mapping[str, Any], beginning: str) -> list[Proposal]:
    """Return components that workers have announced."""
    return _asked(options, lambda names: _beginning(names.components(), beginning))


def proposed_profiles(beginning: str) -> list[Proposal]:
    """Return the profiles of the file that a command would read."""
    return _within(lambda: _beginning(profile_names(), beginning))


def _beginning(names: Sequence[str], beginning: str) -> list[Proposal]:
    return [Proposal(name) for name in names if name.startswith(beginning)]


def _asked(
    options: Mapping[str, Any], ask: Callable[[Names], list[Proposal]]
) -> list[Proposal]:
    """Ask the store that the options name; an embedded one only while its server runs for somebody else."""

    def answer() -> list[Proposal]:
        store = place_of_store(options)
        url = store.url or running_server(store.data, os.geteuid())
        if not url:
            return []
        line = open_line(url, SECONDS)
        try:
            return ask(Names(line, store.prefix))
        finally:
            line.close()

    return _within(answer)


def _within(answer: Callable[[], list[Proposal]]) -> list[Proposal]:
    """Return an answer that comes in time, and none for whatever keeps it from coming.

    The line has a deadline of its own; a name of a host that nobody can look up has none, so this is not waited for.
    """
    proposals: list[Proposal] = []

    def work() -> None:
        try:
            proposals.extend(answer())
        except Exception:  # a mistake is told by the command itself; here it would only spoil the line being typed
            proposals.clear()

    thread = Thread(target=work, name="openagents-completion", daemon=True)
    thread.start()
    thread.join(2 * SECONDS)
    return [] if thread.is_alive() else proposals
