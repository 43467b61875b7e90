"""Workflows by name: published versions, aliases such as `stable`, and a canary beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from eventstore.redis.coordination.members import Directory
from openagents_json.catalog.definitions import Definitions
from openagents_json.catalog.errors import (
    ALIAS,
    InvalidAlias,
    UnknownWorkflow,
    VersionExists,
)
from openagents_json.workflow.core.plan import Plan, canonical
from openagents_json.workflow.versions import highest


class Workflows:
    """The published workflows of a store."""

    def __init__(self, directory: Directory, definitions: Definitions) -> None:
        self.directory = directory
        self._definitions = definitions

    def add(self, plan: Plan, now_ms: int) -> str:
        """Publish a workflow and give its name, "id@version"; the same document again changes nothing.

        Raises VersionExists.
        """
        name = f"{plan.id}@{plan.version}"
        document = hashlib.sha256(canonical(plan.definition["document"])).hexdigest()
        self._definitions.keep(plan)
        published = self.directory.add_workflow(
            name, {"definition": plan.hash, "document": document, "added_ms": now_ms}
        )
        if published["document"] != document:
            raise VersionExists(name)
        return name

    def published(self) -> dict[str, dict[str, Any]]:
        """Return what is published, under "id@version"."""
        return self.directory.workflows()

    def aliases(self) -> dict[str, dict[str, Any]]:
        """Return what the aliases mean, under "id@alias"."""
        return self.directory.aliases()

    def resolve(self, reference: str, seed: str = "") -> Plan:
        """Return the plan of `id`, `id@range` or `id@alias`; the highest version that fits.

        `seed` decides who gets the canary of an alias: the same seed, the same answer. Raises UnknownWorkflow.
        """
        name, _, version_range = reference.partition("@")
        published = self.directory.workflows()
        versions = {
            key.partition("@")[2]: entry
            for key, entry in published.items()
            if key.partition("@")[0] == name
        }
        alias = self._alias(reference) if version_range else None
        chosen = choose(version_range, versions, alias, f"{reference}/{seed}")
        if chosen is None:
            ids = {key.partition("@")[0] for key in published}
            raise UnknownWorkflow(reference, [*published, *ids])
        return self._definitions.plan(str(versions[chosen]["definition"]))

    def point(
        self,
        name: str,
        alias: str,
        version: str,
        *,
        canary: str | None = None,
        percent: float = 0.0,
    ) -> None:
        """Let "id@alias" mean a version, and another for a percentage of starts.

        Raises UnknownWorkflow and InvalidAlias.
        """
        if not ALIAS.fullmatch(alias):
            raise InvalidAlias(
                f"alias {alias!r} must be a word of letters, digits, - and _ that begins with a letter"
            )
        if canary is not None and not 0 <= percent <= 100:
            raise InvalidAlias(f"{percent:g} is not a percentage")
        published = self.directory.workflows()
        for candidate in (version, canary):
            if candidate is not None and f"{name}@{candidate}" not in published:
                raise UnknownWorkflow(f"{name}@{candidate}", published)
        entry: dict[str, Any] = {"version": version}
        if canary is not None:
            entry["canary"] = {"version": canary, "percent": percent}
        self.directory.set_alias(f"{name}@{alias}", entry)

    def _alias(self, reference: str) -> Mapping[str, Any] | None:
        return self.directory.aliases().get(reference)


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
