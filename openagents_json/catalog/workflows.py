"""Workflows by name: published versions, aliases such as `stable`, and a canary beside them.

They stand in the log of the catalog, and are read as they are at that moment: who publishes a version in one process
starts it in the next. What older versions have kept in two hashes counts as well, until it is carried over: that
happens to a workflow with its first change, and to all of them by a repair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from eventstore import codec
from eventstore.redis.coordination.members import Directory, workflows_in
from openagents_json.catalog.definitions import Definitions
from openagents_json.catalog.errors import (
    InvalidAlias,
    UnknownWorkflow,
    VersionExists,
)
from openagents_json.catalog.log import decisions, publishing
from openagents_json.catalog.log.entries import (
    ACTIVE,
    NOTHING,
    Entry,
    Version,
    decoded,
)
from openagents_json.catalog.names import Answer, Names
from openagents_json.catalog.versions_differing import sentences
from openagents_json.errors import RunUnreadable
from openagents_json.statuses import WORKFLOW
from openagents_json.workflow.core.plan import Plan, canonical
from openagents_json.workflow.versions import highest

UPGRADE: Final = "upgrade"
"""Who has registered what older versions have kept."""

SUGGESTED: Final = 500
"""Among so many names the nearest is looked for."""


class Workflows:
    """The published workflows of a store; `actor` is who changes them."""

    def __init__(
        self,
        names: Names,
        definitions: Definitions,
        directory: Directory,
        actor: str = "",
    ) -> None:
        self.names = names
        self.directory = directory
        self._definitions = definitions
        self._actor = actor

    def by(self, actor: str) -> Workflows:
        """Return them for somebody who changes them."""
        return Workflows(self.names, self._definitions, self.directory, actor)

    # -- changing ----------------------------------------------------------------------------------------

    def add(self, plan: Plan, now_ms: int, *, reason: str = "") -> str:
        """Publish a workflow and give its name, "id@version"; the same document again changes nothing.

        Raises VersionExists and VersionWithdrawn.
        """
        # The definition goes first: who finds the version finds it too. Who dies in between leaves one without a name.
        self._definitions.keep(plan)
        self.carry_over(plan.id)
        try:
            self._ask(publishing.publish(spec_of(plan, now_ms), reason))
        except VersionExists as error:
            differences = self._differences(plan)
            if differences is None:
                return error.name
            raise VersionExists(error.name, differences) from None
        return f"{plan.id}@{plan.version}"

    def _differences(self, plan: Plan) -> list[str] | None:
        """Return where a plan differs from the one that is published, None where it says the same in other words."""
        there = self._entry(plan.id).versions.get(plan.version)
        if there is None:
            return []
        try:
            other = self._definitions.plan(str(there.spec["definition"]))
        except RunUnreadable:  # without it, that they differ is all that can be said
            return []
        if codec.same(other.definition["document"], plan.definition["document"]):
            return None
        return sentences(other.definition["document"], plan.definition["document"])

    def point(
        self,
        name: str,
        alias: str,
        version: str | None,
        *,
        canary: str | None = None,
        percent: float = 0.0,
        reason: str = "",
    ) -> None:
        """Let "id@alias" mean a version, and another for a percentage of starts; without a version, nothing any more.

        Raises UnknownWorkflow and InvalidAlias.
        """
        if canary is not None and not 0 <= percent <= 100:
            raise InvalidAlias(f"{percent:g} is not a percentage")
        self.carry_over(name)
        entry = self._entry(name)
        versions = _standing(entry)
        for candidate in (version, canary):
            if candidate is not None and candidate not in versions:
                there = [f"{name}@{text}" for text in versions]
                raise UnknownWorkflow(f"{name}@{candidate}", there)
        means: dict[str, Any] | None = None if version is None else {"version": version}
        if means is not None and canary is not None:
            means["canary"] = {"version": canary, "percent": percent}
        self._ask(decisions.alias(WORKFLOW, name, alias, means, reason))

    def deprecate(
        self, name: str, version: str = "", *, reason: str = "", instead: str = ""
    ) -> bool:
        """Say that nobody should begin to use a version, or any; False when that is said already.

        Raises UnknownEntry.
        """
        self.carry_over(name)
        request = decisions.deprecate(WORKFLOW, name, version, reason, instead)
        return bool(self._ask(request).events)

    def withdraw(self, name: str, version: str = "", *, reason: str = "") -> bool:
        """Let no reference lead to a version, or to any, from now on; runs that are bound to it go on.

        False when that is so already. Raises UnknownEntry.
        """
        self.carry_over(name)
        request = decisions.withdraw(WORKFLOW, name, version, reason)
        return bool(self._ask(request).events)

    def remove(self, name: str, *, reason: str = "") -> None:
        """Publish "id@version" no more; runs that have begun keep their definition. It may be published again.

        Raises UnknownWorkflow.
        """
        id_, _, version = name.partition("@")
        self.carry_over(id_)
        self._ask(publishing.unpublish(id_, version, reason))

    def _ask(self, request: decisions.Request) -> Answer:
        [answer] = self.names.carry_out([request], actor=self._actor)
        if answer.error is not None:
            raise answer.error
        return answer

    # -- reading -----------------------------------------------------------------------------------------

    def published(self) -> dict[str, dict[str, Any]]:
        """Return what is published, under "id@version"."""
        return {
            f"{id_}@{text}": _published(version)
            for id_, entry in self._entries().items()
            for text, version in _standing(entry).items()
        }

    def aliases(self) -> dict[str, dict[str, Any]]:
        """Return what the aliases mean, under "id@alias"."""
        return {
            f"{id_}@{word}": dict(means)
            for id_, entry in self._entries().items()
            for word, means in entry.aliases.items()
        }

    def ids(self) -> list[str]:
        """Return the ids of all workflows."""
        older = self.older()
        return sorted({*self._registered_ids(), *older})

    def document(self, reference: str) -> dict[str, Any]:
        """Return the document of a published workflow: `id`, `id@range` or `id@alias`.

        Raises UnknownWorkflow.
        """
        document: dict[str, Any] = self.resolve(reference).definition["document"]
        return document

    def resolve(self, reference: str, seed: str = "") -> Plan:
        """Return the plan of `id`, `id@range` or `id@alias`; the highest version that fits.

        `seed` decides who gets the canary of an alias: the same seed, the same answer. Raises UnknownWorkflow.
        """
        name, _, version_range = reference.partition("@")
        entry = self._entry(name)
        versions = _standing(entry)
        alias = entry.aliases.get(version_range)
        chosen = choose(version_range, versions, alias, f"{reference}/{seed}")
        if chosen is None:
            there = [f"{name}@{text}" for text in versions]
            raise UnknownWorkflow(reference, [*there, *self.ids()[:SUGGESTED]])
        return self._definitions.plan(str(versions[chosen].spec["definition"]))

    def _entry(self, name: str) -> Entry:
        # What is older first: what is carried over meanwhile stands in the log then. A start waits for one answer.
        reading = self.directory.reading_workflows()
        replies, stored = self.names.store.behind(reading, key_of(name))
        older = _older_in(*workflows_in(replies))
        return _together(decoded(stored.entry), older.get(name))

    def _entries(self) -> dict[str, Entry]:
        older = self.older()
        ids = sorted({*self._registered_ids(), *older})
        entries = self.names.fresh([key_of(id_) for id_ in ids])
        return {id_: _together(entries[key_of(id_)], older.get(id_)) for id_ in ids}

    def _registered_ids(self) -> list[str]:
        keys = self.names.all_beginning(f"{WORKFLOW}:")
        return [key.partition(":")[2] for key in keys]

    # -- what older versions have kept ---------------------------------------------------------------------

    def older(self) -> dict[str, Entry]:
        """Return what stands in the hashes of older versions, by id."""
        return _older_in(*self.directory.published_workflows())

    def carry_over(self, id_: str) -> list[Answer]:
        """Put on the log what older versions have kept of a workflow, and then take it away; done again, it goes on."""
        older = self.older().get(id_)
        if older is None:
            return []
        there = self.names.fresh([key_of(id_)])[key_of(id_)]
        versions = [self._described(x.spec) for x in older.versions.values()]
        requests = [publishing.publish(spec) for spec in versions]
        requests += [
            decisions.alias(WORKFLOW, id_, word, means)
            for word, means in older.aliases.items()
            if word not in there.aliases
        ]
        answers = self.names.carry_out(requests, actor=UPGRADE)
        # Behind the events: who dies in between registers the same once more, which changes nothing.
        self.directory.forget_workflows(
            [f"{id_}@{version}" for version in older.versions],
            [f"{id_}@{word}" for word in older.aliases],
        )
        return answers

    def _described(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what the definition of a version says of it, where it can be read."""
        try:
            plan = self._definitions.plan(str(spec["definition"]))
        except RunUnreadable:
            return spec
        return spec_of(plan, int(spec.get("added_ms", 0)))


def key_of(id_: str) -> str:
    """Return what a workflow stands under in the catalog."""
    return f"{WORKFLOW}:{id_}"


def spec_of(plan: Plan, added_ms: int) -> dict[str, Any]:
    """Return what the catalog says of a version: its hashes, and what it is found by."""
    document: Mapping[str, Any] = plan.definition["document"]
    inputs: Mapping[str, Any] = document.get("inputs") or {}
    return {
        "name": plan.id,
        "version": plan.version,
        "definition": plan.hash,
        "document": hashlib.sha256(canonical(dict(document))).hexdigest(),
        "description": str(document.get("description") or ""),
        "inputs": [
            {"name": name, "type": _type(declared)} for name, declared in inputs.items()
        ],
        "steps": len(plan.steps),
        "added_ms": added_ms,
    }


def _type(declared: Any) -> str:
    kind = declared.get("type", "any") if isinstance(declared, Mapping) else "any"
    return kind if isinstance(kind, str) else "any"


def _older_in(
    published: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, Any]
) -> dict[str, Entry]:
    """Return the entries of what older versions have kept, by id."""
    entries: dict[str, Entry] = {}
    for name, data in published.items():
        id_, _, version = name.partition("@")
        entry = entries.get(id_, NOTHING)
        spec = {"name": id_, "version": version, "document": "", **data}
        versions = {**entry.versions, version: Version(spec)}
        entries[id_] = replace(entry, versions=versions)
    for name, means in aliases.items():
        id_, _, word = name.partition("@")
        entry = entries.get(id_, NOTHING)
        entries[id_] = replace(entry, aliases={**entry.aliases, word: means})
    return entries


def _together(entry: Entry, older: Entry | None) -> Entry:
    if older is None:
        return entry
    return Entry(
        {**older.versions, **entry.versions}, {**older.aliases, **entry.aliases}
    )


def _standing(entry: Entry) -> dict[str, Version]:
    return {
        text: version
        for text, version in entry.versions.items()
        if version.withdrawn is None
    }


def _published(version: Version) -> dict[str, Any]:
    fields = ("definition", "document", "added_ms")
    shown = {name: version.spec[name] for name in fields if name in version.spec}
    if version.status == ACTIVE:
        return shown
    return {**shown, "status": version.status, "reason": version.reason}


def choose(
    version_range: str,
    versions: Iterable[str],
    alias: Mapping[str, Any] | None = None,
    seed: str = "",
) -> str | None:
    """Choose among versions: what an alias says, or the highest that a range allows; None when none does."""
    there = set(versions)
    if alias is None:
        if version_range in there:
            return version_range
        return highest(version_range, there)
    # The same seed gives the same answer: a start that is repeated gets the version that it got before.
    canary = alias.get("canary")
    target = canary if canary and _percent(seed) < canary["percent"] else alias
    version = str(target["version"])
    return version if version in there else None


def _percent(seed: str) -> float:
    """Return a number from 0 to 100 that depends on the seed alone."""
    digest = hashlib.blake2b(
        seed.encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100
