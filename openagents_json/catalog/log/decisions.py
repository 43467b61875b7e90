"""What may happen to a name of the catalog: each request is decided on what is there, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from openagents_json.catalog.errors import (
    ALIAS,
    InvalidAlias,
    SpecDiffers,
    UnknownEntry,
    VersionWithdrawn,
)
from openagents_json.catalog.log.entries import CatalogEvent, Entry, Version, folded
from openagents_json.catalog.versions_differing import sentences
from openagents_json.statuses import (
    ALIASED,
    DEPRECATED,
    REGISTERED,
    UPDATED,
    WITHDRAWN,
)

Spec = Mapping[str, Any]

DERIVED: Final = frozenset(
    {"build", "inputs_schema", "lenient_inputs", "output_schema"}
)
"""What is found out from the code of a version: another build of it is no other version."""

DESCRIBING: Final = DERIVED | {
    "description",
    "tags",
    "author",
    "examples",
    "metadata",
    "dependencies",
    "resources",
}
"""What nothing depends on that uses a version."""

UNVERSIONED: Final = "0.1.0"
"""The version of what says none: it promises nothing yet, so it changes with the code that is deployed."""


class Request(Struct, frozen=True):
    """What is asked of a name; `decide` gives the events of it, or raises."""

    kind: str
    name: str
    decide: Callable[[Entry], list[CatalogEvent]]


def register(kind: str, name: str, spec: Spec, reason: str = "") -> Request:
    """Ask for a version, whose content never changes; the same again changes nothing.

    It raises SpecDiffers and VersionWithdrawn.
    """

    def decide(entry: Entry) -> list[CatalogEvent]:
        return _registered(kind, name, spec, reason, entry, DERIVED)

    return Request(kind, name, decide)


def announce(kind: str, name: str, spec: Spec) -> Request:
    """Ask as a process does that runs a component: what describes it may have changed, and all of it without a version.

    One that is withdrawn stays so: who has the code may run it still. It raises SpecDiffers.
    """
    version = str(spec["version"])

    def decide(entry: Entry) -> list[CatalogEvent]:
        there = entry.versions.get(version)
        if there is not None and there.withdrawn is not None:
            return []
        is_fixed = version != UNVERSIONED
        may_change = DESCRIBING if is_fixed else frozenset(spec) | _fields(there)
        return _registered(kind, name, spec, "", entry, may_change)

    return Request(kind, name, decide)


def deprecate(
    kind: str, name: str, version: str, reason: str, instead: str = ""
) -> Request:
    """Ask that nobody begins to use a version, or all of them.

    It raises UnknownEntry.
    """

    def decide(entry: Entry) -> list[CatalogEvent]:
        _there(kind, name, version, entry)
        data = {"version": version, "reason": reason, "instead": instead}
        return _unless_so(entry, _event(kind, DEPRECATED, name, data))

    return Request(kind, name, decide)


def withdraw(
    kind: str, name: str, version: str, reason: str, *, free: bool = False
) -> Request:
    """Ask that no reference leads to a version any more, or to any; runs that are bound to it go on.

    With `free`, the version may be registered again with another content. It raises UnknownEntry.
    """

    def decide(entry: Entry) -> list[CatalogEvent]:
        _there(kind, name, version, entry)
        data: dict[str, Any] = {"version": version, "reason": reason}
        if free:
            data["free"] = True
        return _unless_so(entry, _event(kind, WITHDRAWN, name, data))

    return Request(kind, name, decide)


def alias(
    kind: str, name: str, word: str, means: Mapping[str, Any] | None, reason: str = ""
) -> Request:
    """Ask that an alias means a version from now on, or nothing any more.

    It raises InvalidAlias and UnknownEntry.
    """

    def decide(entry: Entry) -> list[CatalogEvent]:
        if not ALIAS.fullmatch(word):
            raise InvalidAlias(
                f"alias {word!r} must be a word of letters, digits, - and _ that begins with a letter"
            )
        if means is not None:
            _there(kind, name, str(means["version"]), entry)
        if entry.aliases.get(word) == means:
            return []
        data = {"alias": word, "means": means, "reason": reason}
        return [_event(kind, ALIASED, name, data)]

    return Request(kind, name, decide)


def differing(one: Spec, other: Spec) -> list[str]:
    """Return the names of the fields in which two specs differ."""
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _registered(
    kind: str,
    name: str,
    spec: Spec,
    reason: str,
    entry: Entry,
    may_change: frozenset[str],
) -> list[CatalogEvent]:
    version = str(spec["version"])
    data: dict[str, Any] = {"version": version, "spec": spec}
    if reason:
        data["reason"] = reason
    there = entry.versions.get(version)
    if there is None:
        return [_event(kind, REGISTERED, name, data)]
    if there.withdrawn is not None:
        raise VersionWithdrawn(kind, f"{name}@{version}", there.withdrawn)
    fields = differing(there.spec, spec)
    if not fields:
        return []
    fixed = [field for field in fields if field not in may_change]
    if fixed:
        one, other = _parts(there.spec, fixed), _parts(spec, fixed)
        differences = sentences(one, other)
        raise SpecDiffers(kind, f"{name}@{version}", differences)
    return [_event(kind, UPDATED, name, {**data, "changed": fields})]


def _parts(spec: Spec, fields: Sequence[str]) -> Spec:
    return {field: spec[field] for field in fields if field in spec}


def _event(kind: str, verb: str, name: str, data: Mapping[str, Any]) -> CatalogEvent:
    return CatalogEvent(kind, verb, {"name": name, **data})


def _fields(version: Version | None) -> frozenset[str]:
    return frozenset() if version is None else frozenset(version.spec)


def _there(kind: str, name: str, version: str, entry: Entry) -> None:
    versions = {"", *entry.versions} if entry.versions else set[str]()
    if version not in versions:
        full_name = f"{name}@{version}".rstrip("@")
        raise UnknownEntry(kind, full_name, [f"{name}@{x}" for x in entry.versions])


def _unless_so(entry: Entry, event: CatalogEvent) -> list[CatalogEvent]:
    """Leave out an event that changes nothing: what is so already, for the same reason."""
    return [] if folded(entry, event) == entry else [event]
