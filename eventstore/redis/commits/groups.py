"""Commits on their way to a server: those of one partition share a call of their script, each with its own answer.

A call costs the server about as much as what it does for one commit, so a worker that records the outcomes of many runs
sends few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from eventstore.keys import Keyspace
from eventstore.redis.commits.options import options_of
from eventstore.redis.driver.scripts import Call, Script, ScriptCall
from eventstore.run_model import Commit

MOST_COMMITS: Final = 32
"""So many commits share a call: a server answers nobody else meanwhile, for about a millisecond."""

MOST_EVENTS: Final = 256
"""A call takes no further commit when it has so many events: these may be large."""


@dataclass(slots=True)
class CommitGroup:
    """Commits of one partition, by their indexes among all, and what has to be stored `before` them."""

    script: Script
    keys: list[bytes]
    before: Sequence[Call] = ()
    indexes: list[int] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    args: list[Any] = field(default_factory=list)
    events: int = 0

    def takes(self, commit: Commit, script: Script) -> bool:
        """Tell whether a commit may be added; two of one run follow on each other, so they are in two calls."""
        return (
            script is self.script
            and not self.before
            and len(self.indexes) < MOST_COMMITS
            and self.events < MOST_EVENTS
            and commit.run not in self.runs
        )

    def add(self, index: int, commit: Commit, names: tuple[bytes, bytes]) -> None:
        """Add a commit; `names` are those of its events and of its head."""
        self.indexes.append(index)
        self.runs.add(commit.run)
        self.keys += names
        self.args += (
            options_of(commit),
            commit.commit_id,
            commit.actor,
            commit.cause,
            commit.run,
            len(commit.events),
        )
        for event in commit.events:
            self.args += event
        self.events += len(commit.events)

    @property
    def call(self) -> ScriptCall:
        """Return the call of the script."""
        return ScriptCall(self.script, self.keys, self.args)


@dataclass(slots=True)
class CommitPipeline:
    """What is sent with some commits in one piece; `groups` are theirs, with the places of their calls."""

    calls: list[Call]
    groups: list[tuple[CommitGroup, int]] = field(default_factory=list)
    definitions: int = field(init=False)

    def __post_init__(self) -> None:
        self.definitions = len(self.calls)

    def add(self, group: CommitGroup) -> None:
        """Add the call of a group, behind what has to be stored before it."""
        self.calls += (*group.before, group.call)
        self.groups.append((group, len(self.calls) - 1))

    def relied_on(self, replies: Sequence[Any]) -> list[int]:
        """Return the places of what those groups rely on that were carried out."""
        done = [x for x in self.groups if not isinstance(replies[x[1]], Exception)]
        if not done:
            return []
        before = [range(end - len(group.before), end) for group, end in done]
        return [*range(self.definitions), *chain.from_iterable(before)]


def commit_groups(
    commits: Sequence[Commit],
    keys: Keyspace,
    script_of: Callable[[Commit], Script],
    before: Callable[[Commit], Sequence[Call]],
) -> list[CommitGroup]:
    """Put commits together that may share a call; the groups stand in an order in which no run is overtaken."""
    groups: list[CommitGroup] = []
    latest: dict[int, CommitGroup] = {}
    for index, commit in enumerate(commits):
        partition, script = keys.partition_of(commit.run), script_of(commit)
        own = before(commit)
        group = latest.get(partition)
        if group is None or own or not group.takes(commit, script):
            group = CommitGroup(script, keys.of_partition(partition), own)
            latest[partition] = group
            groups.append(group)
        group.add(index, commit, keys.of_run(partition, commit.run))
    return groups
