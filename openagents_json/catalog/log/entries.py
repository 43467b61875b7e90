"""What the catalog knows under a name: its versions and aliases, folded from the events of that name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from openagents_json.statuses import (
    ALIASED,
    DEPRECATED,
    EVENTS,
    REGISTERED,
    UPDATED,
    WITHDRAWN,
)
from openagents_json.workflow.types import Json
from openagents_json.workflow.versions import highest

ACTIVE: Final = "active"


class CatalogEvent(Struct, frozen=True):
    """What happened to a name, without who and when: the log says that of each of its events.

    `data` has `name`, and of each verb: Registered and Updated `version` and `spec`; Deprecated `version` ("" is all of
    them), `reason` and `instead`; Withdrawn `version` and `reason`, with `free` when the version may be registered
    again; Aliased `alias` and `means`, None where it means nothing any more.
    """

    kind: str
    verb: str
    data: Mapping[str, Json]

    @property
    def type(self) -> str:
        """Return the type by which the log knows it."""
        return f"{self.kind.capitalize()}{self.verb}"


class Version(Struct, frozen=True, omit_defaults=True):
    """A version of a name; `deprecated` and `withdrawn` are reasons, None where it is neither."""

    spec: Mapping[str, Any]
    deprecated: str | None = None
    instead: str = ""
    withdrawn: str | None = None

    @property
    def status(self) -> str:
        """Return active, deprecated or withdrawn."""
        if self.withdrawn is not None:
            return WITHDRAWN.lower()
        return ACTIVE if self.deprecated is None else DEPRECATED.lower()

    @property
    def reason(self) -> str:
        """Return why it is withdrawn or deprecated, "" where it is neither."""
        return self.withdrawn or self.deprecated or ""


class Entry(Struct, frozen=True, omit_defaults=True):
    """What the catalog knows under a name: nothing, for one that there is not."""

    versions: Mapping[str, Version] = {}
    aliases: Mapping[str, Any] = {}

    def resolve(self, version_range: str) -> str | None:
        """Return the highest version that a range or an alias allows and that is not withdrawn, None when none does.

        A prerelease is allowed only by a range that names a prerelease of the same version.
        """
        there = [text for text, version in self.versions.items() if _stands(version)]
        meant = self.aliases.get(version_range)
        if meant is not None:
            target = str(meant["version"])
            return target if target in there else None
        return highest(version_range, there)

    @property
    def latest(self) -> str:
        """Return the version that is meant without a range; one that is withdrawn where there is no other."""
        return self.resolve("") or highest("", self.versions) or ""


NOTHING: Final = Entry()
"""The entry of a name that there is not."""

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Entry).decode


def encoded(entry: Entry) -> bytes:
    """Return an entry as it is stored."""
    return _encode(entry)


def decoded(raw: bytes | None) -> Entry:
    """Read a stored entry; None is that of a name that there is not."""
    return NOTHING if raw is None else _decode(raw)


def folded(entry: Entry, event: CatalogEvent) -> Entry:
    """Return what a name comes to with another event; total, as what is on the log has happened."""
    return _FOLDS[event.verb](entry, event.data)


def read_event(kind: str, data: Mapping[str, Any]) -> CatalogEvent | None:
    """Return the event of a stored type, None for what is none of the catalog, or of a later version of it."""
    what = EVENTS.get(kind)
    return None if what is None else CatalogEvent(*what, data)


def _register(entry: Entry, data: Mapping[str, Any]) -> Entry:
    return _with(entry, data["version"], Version(data["spec"]))


def _update(entry: Entry, data: Mapping[str, Any]) -> Entry:
    before = entry.versions.get(data["version"], Version({}))
    return _with(entry, data["version"], replace(before, spec=data["spec"]))


def _deprecate(entry: Entry, data: Mapping[str, Any]) -> Entry:
    reason, instead = str(data["reason"]), str(data.get("instead", ""))
    return _changed(entry, data["version"], deprecated=reason, instead=instead)


def _withdraw(entry: Entry, data: Mapping[str, Any]) -> Entry:
    if not data.get("free"):
        reason = str(data["reason"])
        return _changed(entry, data["version"], withdrawn=reason)
    left = dict(entry.versions)
    left.pop(data["version"], None)
    return replace(entry, versions=left)


def _alias(entry: Entry, data: Mapping[str, Any]) -> Entry:
    aliases = dict(entry.aliases)
    aliases.pop(data["alias"], None)
    if data.get("means") is not None:
        aliases[data["alias"]] = data["means"]
    return replace(entry, aliases=aliases)


_FOLDS: Final = {
    REGISTERED: _register,
    UPDATED: _update,
    DEPRECATED: _deprecate,
    WITHDRAWN: _withdraw,
    ALIASED: _alias,
}


def _stands(version: Version) -> bool:
    return version.withdrawn is None


def _with(entry: Entry, text: str, version: Version) -> Entry:
    return replace(entry, versions={**entry.versions, text: version})


def _changed(entry: Entry, version: str, **changes: str) -> Entry:
    """Return an entry with changes of one version, or of all of them."""
    meant = {version} & entry.versions.keys() if version else entry.versions.keys()
    changed = {text: replace(entry.versions[text], **changes) for text in meant}
    return replace(entry, versions={**entry.versions, **changed})
