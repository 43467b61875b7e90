"""Errors of the catalog.

NotFound
+-- UnknownWorkflow      there is no published workflow under a reference
+-- UnknownEntry         the catalog has no such name, or no such version of it
Conflict
+-- VersionExists        another document has been published under the same id and version
+-- SpecDiffers          a version is registered with another content
+-- VersionWithdrawn     a version has been withdrawn
InvalidArgument
+-- InvalidAlias         an alias cannot be
RunUnreadable
+-- DefinitionMissing    a run refers to a definition that the store does not hold
+-- DefinitionChanged    what the store holds as a definition is not the one of that hash
OpenAgentsError
+-- EntryUnreadable      what is stored under a name of the catalog is nothing that the catalog has written
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from openagents_json.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    OpenAgentsError,
    RunUnreadable,
)
from openagents_json.workflow.versions import RANGES, is_range

SHOWN: Final = 5
"""So many differences of two specs are told."""

ALIAS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")


class UnknownWorkflow(NotFound):
    """There is no published workflow under a reference; `because` it is "new", unless another is meant perhaps."""

    code = "unknown_workflow"

    def __init__(self, reference: str, names: Iterable[str] = ()) -> None:
        self.reference = reference
        self.because = ""
        near = difflib.get_close_matches(reference, sorted(names), 1)
        hint = f"did you mean {near[0]!r}?" if near else "publish it first"
        if not near:
            self.because = "new"
        version = reference.partition("@")[2]
        if version and not is_range(version) and not ALIAS.fullmatch(version):
            self.because = ""
            hint = f"{version!r} is no range of versions: {RANGES}"
        super().__init__(
            f"there is no workflow {reference!r} in this store", remedy=hint
        )


class VersionExists(Conflict):
    """Another document has been published under the same id and version; `differences` are sentences that say where."""

    code = "version_exists"

    def __init__(self, name: str, differences: Sequence[str] = ()) -> None:
        self.name = name
        self.differences = differences
        shown = "; ".join(differences[:SHOWN])
        where = f": {shown}" if shown else ""
        super().__init__(
            f"workflow {name} is published with another content, and versions never change{where}",
            remedy="raise `version`",
        )


class UnknownEntry(NotFound):
    """The catalog has no such name, or no such version of it."""

    code = "unknown_entry"

    def __init__(self, kind: str, name: str, there: Iterable[str] = ()) -> None:
        self.name = name
        near = difflib.get_close_matches(name, sorted(there), 3, 0.4)
        super().__init__(
            f"there is no {kind} {name} in the catalog",
            remedy=f"there is {', '.join(near)}" if near else "register it first",
        )


class SpecDiffers(Conflict):
    """A version is registered with another content; `differences` are sentences that say where."""

    code = "spec_differs"

    def __init__(self, kind: str, name: str, differences: Sequence[str]) -> None:
        self.name = name
        self.differences = differences
        shown = "; ".join(differences[:SHOWN])
        super().__init__(
            f"{kind} {name} is registered with another content, and versions never change: {shown}",
            remedy="raise its version",
        )


class VersionWithdrawn(Conflict):
    """A version has been withdrawn, and stays so."""

    code = "version_withdrawn"

    def __init__(self, kind: str, name: str, reason: str) -> None:
        self.name = name
        why = f": {reason}" if reason else ""
        super().__init__(
            f"{kind} {name} has been withdrawn{why}", remedy="raise its version"
        )


class InvalidAlias(InvalidArgument):
    """An alias cannot be."""

    code = "invalid_alias"


class DefinitionMissing(RunUnreadable):
    """A run refers to a definition that the store does not hold."""

    code = "definition_missing"

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(
            f"definition {digest} is not in the store",
            remedy="restore it from a backup of the store",
        )


class DefinitionChanged(RunUnreadable):
    """What the store holds as a definition is not the one of that hash."""

    code = "definition_changed"

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(
            f"definition {digest} in the store is not what its hash says: somebody has changed it",
            remedy=(
                "restore it from a backup of the store, or delete it and start this version of the workflow "
                "again: its runs go on then"
            ),
        )


class EntryUnreadable(OpenAgentsError):
    """What is stored under a name of the catalog is nothing that the catalog has written."""

    code = "entry_unreadable"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"what is stored of {key} in the catalog cannot be read: somebody has changed it in the store",
            remedy="repair the store: it is written anew from its events",
        )
