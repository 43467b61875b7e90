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
        self.directory, self._definitions = directory, definitions

    def add(self, plan: Plan, now_ms: int) -> str:
        """Publish a workflow and give its name, "id@version"; the same document again changes nothing.

        Raises VersionExists.
        """
        name = f"{plan.id}@{plan.version}"
        document = hashlib.sha256(canonical(plan.definition["document"])).hexdigest()
        self._definitions.keep(plan)
        found = self.directory.add_workflow(
            name, {"definition": plan.hash, "document": document, "added_ms": now_ms}
        )
        if found["document"] != document:
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
        name, _, wanted = reference.partition("@")
        published = self.directory.workflows()
        versions = {
            key.partition("@")[2]: entry
            for key, entry in published.items()
            if key.partition("@")[0] == name
        }
        chosen = choose(
            wanted,
            versions,
            self._alias(reference) if wanted else None,
            f"{reference}/{seed}",
        )
        if chosen is None:
            raise UnknownWorkflow(
                reference, [*published, *{key.partition("@")[0] for key in published}]
            )
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
        known = self.directory.workflows()
        for wanted in (version, canary):
            if wanted is not None and f"{name}@{wanted}" not in known:
                raise UnknownWorkflow(f"{name}@{wanted}", known)
        entry: dict[str, Any] = {"version": version}
        if canary is not None:
            entry["canary"] = {"version": canary, "percent": percent}
        self.directory.set_alias(f"{name}@{alias}", entry)

    def _alias(self, reference: str) -> Mapping[str, Any] | None:
        return self.directory.aliases().get(reference)


def choose(
    wanted: str,
    versions: Iterable[str],
    alias: Mapping[str, Any] | None = None,
    seed: str = "",
) -> str | None:
    """Choose among versions: what an alias says, or the highest that a range allows; None when none does."""
    known = set(versions)
    if alias is not None:
        canary = alias.get("canary")
        version = (
            str(canary["version"])
            if canary and _percent(seed) < canary["percent"]
            else str(alias["version"])
        )
        return version if version in known else None
    return wanted if wanted in known else highest(wanted, known)


def _percent(seed: str) -> float:
    """Return a number from 0 to 100 that depends on the seed alone."""
    digest = hashlib.blake2b(
        seed.encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100
