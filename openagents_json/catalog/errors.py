"""Errors of the catalog.

NotFound
+-- UnknownWorkflow      there is no published workflow under a reference
Conflict
+-- VersionExists        another document has been published under the same id and version
InvalidArgument
+-- InvalidAlias         an alias cannot be
RunUnreadable
+-- DefinitionMissing    a run refers to a definition that the store does not hold
+-- DefinitionChanged    what the store holds as a definition is not the one of that hash
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from openagents_json.errors import Conflict, InvalidArgument, NotFound, RunUnreadable
from openagents_json.workflow.versions import RANGES, is_range

ALIAS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")


class UnknownWorkflow(NotFound):
    """There is no published workflow under a reference."""

    code = "unknown_workflow"

    def __init__(self, reference: str, names: Iterable[str] = ()) -> None:
        self.reference = reference
        near = difflib.get_close_matches(reference, sorted(names), 1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else "add it with `openagents workflows add FILE`"
        )
        version = reference.partition("@")[2]
        if version and not is_range(version) and not ALIAS.fullmatch(version):
            hint = f"{version!r} is no range of versions: {RANGES}"
        super().__init__(f"there is no workflow {reference!r} in this store; {hint}")


class VersionExists(Conflict):
    """Another document has been published under the same id and version."""

    code = "version_exists"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"workflow {name} is published with another content, and versions never change; raise `version`"
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
            f"definition {digest} is not in the store; restore it from a backup of the store"
        )


class DefinitionChanged(RunUnreadable):
    """What the store holds as a definition is not the one of that hash."""

    code = "definition_changed"

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(
            f"definition {digest} in the store is not what its hash says: somebody has changed it; restore it from a "
            "backup of the store, or delete it and start this version of the workflow again: its runs go on then"
        )
