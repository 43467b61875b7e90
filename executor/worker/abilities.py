"""What a process can run, and what the live ones can: nobody takes a step that it would have to give back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from eventstore.redis.coordination.members import Directory
from eventstore.run_model import Ability, ClaimReply
from eventstore.runs import RunStore
from openagents_json.catalog.registry import Registry
from openagents_json.workflow.component_spec import ComponentSpec
from openagents_json.workflow.versions import bound_reference

ASYNC = ".async"

INTRODUCED: Final = 100
"""A process with more components than this does not list them with its first claim: each partition would keep them."""


def all_queues(queues: Iterable[str]) -> tuple[str, ...]:
    """Return the ready queues of worker types: each has one for `def` and one for `async def` components."""
    return tuple(name for queue in queues for name in (queue, queue + ASYNC))


def type_of(queue: str) -> str:
    """Return the worker type of a ready queue."""
    return queue.removesuffix(ASYNC)


class Runnable(Protocol):
    """The components of a process."""

    @property
    def fingerprint(self) -> str:
        """Return a hash of what can be run: equal where the same components have the same versions and builds."""
        ...

    def can_run(self, reference: str) -> bool:
        """Tell whether a component, as documents name it, can be run here."""
        ...

    def build(self, reference: str) -> str:
        """Return the build of a component that can be run here, "" where nobody knows it."""
        ...

    def runnable(self) -> list[str]:
        """Return what can be run, as "name@version"."""
        ...


class Abilities:
    """What this process can run, told to the store where a claim asks for it."""

    def __init__(self, store: RunStore, components: Runnable) -> None:
        self._store = store
        self._components = components
        self._introduced: set[tuple[int, str]] = set()
        self._introduction: tuple[str, dict[str, Ability]] = ("", {})

    @property
    def having(self) -> str:
        """Return the hash that claims carry."""
        return self._components.fingerprint

    def can(self, reference: str) -> Ability:
        """Tell whether a component, as a document names it, can be run here, and of which build it is then."""
        if not reference:
            return True
        can_run = self._components.can_run(reference)
        return can_run and (self._components.build(reference) or True)

    def answer(self, replies: Sequence[ClaimReply]) -> None:
        """Tell the store what it does not know yet about this process."""
        for reply in replies:
            if reply.unknown:
                able = {name: self.can(name) for name in reply.unknown}
                self._store.tell(reply.partition, self.having, able)

    def introduction(self, partition: int) -> dict[str, Ability]:
        """Return what the first claim in a partition tells of this process: its plain names, unless they are many.

        Should it be lost, and where nothing is told, the store asks for those that it has steps of.
        """
        here = (partition, self.having)
        if here in self._introduced:
            return {}
        self._introduced.add(here)
        return self._plain_names()

    def introduction_anywhere(self) -> dict[str, Ability]:
        """Return the same for a claim that may be in any partition, until this process has been in all of them."""
        having = self.having
        # A copy: other threads add to it meanwhile.
        met = [where for where, told in list(self._introduced) if told == having]
        return {} if len(met) >= self._store.partitions else self._plain_names()

    def introduced(self, partition: int) -> None:
        """Note that a claim in a partition has told of this process."""
        self._introduced.add((partition, self.having))

    def _plain_names(self) -> dict[str, Ability]:
        """Return what is told, put together once for each hash: a drain tells it whenever it goes to sleep."""
        having, told = self._introduction
        if having != self.having:
            having, told = self.having, self._able()
            # One write: another thread sees the hash with what belongs to it.
            self._introduction = (having, told)
        return told

    def _able(self) -> dict[str, Ability]:
        full_names = [name.split("@") for name in self._components.runnable()]
        if len(dict(full_names)) > INTRODUCED:
            return {}
        names = {name for name, _ in full_names}
        names |= {bound_reference(name, version) for name, version in full_names}
        return {name: self.can(name) for name in sorted(names)}


class Fleet:
    """What the live processes of a store can run, as they say themselves."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._sets: dict[str, Registry] = {}
        self._workers: Mapping[str, Mapping[str, Any]] = {}

    def see(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in who is alive, with what they say of themselves."""
        hashes = {
            str(info["having"]) for info in workers.values() if info.get("having")
        }
        new = sorted(hashes - self._sets.keys())
        components = self._directory.component_sets(new) if new else {}
        self._sets = {
            having: catalog
            for having, catalog in self._sets.items()
            if having in hashes
        }
        self._sets |= {having: _catalog(names) for having, names in components.items()}
        self._workers = workers

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the worker types that are served."""
        return tuple(
            sorted(
                {queue for info in self._workers.values() for queue in info["queues"]}
            )
        )

    def can(self, queue: str, component: str) -> bool:
        """Tell whether a live process serves a queue and has a component; one that does not say is believed to."""
        kind = type_of(queue)
        return any(
            kind in info["queues"] and self._has(info, component)
            for info in self._workers.values()
        )

    def _has(self, info: Mapping[str, Any], component: str) -> bool:
        catalog = self._sets.get(str(info.get("having")))
        return not component or catalog is None or catalog.find(component) is not None


def _catalog(names: Iterable[str]) -> Registry:
    catalog = Registry()
    for name in names:
        component, _, version = name.partition("@")
        catalog.add_spec(ComponentSpec(component, version))
    return catalog
