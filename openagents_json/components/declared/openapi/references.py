"""References of an OpenAPI document: into itself, and into files beside it. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from openagents_json.components.declared.texts import is_spec_file, read_spec_text
from openagents_json.components.errors import CannotLoad
from openagents_json.workflow.language.checks.shapes import object_of

_MOST_HOPS: Final = 50
_REMEDY: Final = "correct the document"


class Located(NamedTuple):
    """A value of a document, with the file that it is in: what it refers to is looked up from there."""

    value: Any
    file: Path
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class References:
    """Looks values up by their references."""

    root: Path
    _files: dict[Path, Any] = field(default_factory=dict)

    def content(self, file: Path) -> Any:
        """Return what a file holds, read once.

        Raises CannotLoad.
        """
        if file not in self._files:
            self._files[file] = read_spec_text(file)
        return self._files[file]

    def followed(self, item: Any, file: Path) -> Located:
        """Return what an item stands for: itself, or what its reference leads to.

        Raises CannotLoad.
        """
        located = Located(item, file)
        for _ in range(_MOST_HOPS):
            reference = reference_of(located.value)
            if reference is None:
                return located
            located = self.target(reference, located.file)
        raise CannotLoad(str(file), "a reference leads back to itself", _REMEDY)

    def object_at(self, item: Any, file: Path) -> tuple[Mapping[str, Any], Path]:
        """Return the object that an item stands for, an empty one where it is something else, and its file.

        Raises CannotLoad.
        """
        located = self.followed(item, file)
        return object_of(located.value), located.file

    def target(self, reference: str, file: Path) -> Located:
        """Return what a reference in a file leads to.

        Raises CannotLoad.
        """
        address, _, fragment = reference.partition("#")
        where = self._file(address, file) if address else file
        pointer = unquote(fragment)
        value = reduce(_member, pointer.split("/")[1:], self.content(where))
        if value is _MISSING:
            reason = f"the reference {reference!r} leads to nothing"
            raise CannotLoad(str(file), reason, _REMEDY)
        return Located(value, where, pointer)

    def _file(self, address: str, beside: Path) -> Path:
        """Return a file of the folder of the document, or below it.

        Raises CannotLoad.
        """
        path = (beside.parent / unquote(address)).resolve()
        is_inside = path.is_relative_to(self.root.parent)
        if "://" in address or not is_inside or not is_spec_file(path):
            reason = f"the reference to {address!r} is not followed: only JSON and YAML files beside it are read"
            raise CannotLoad(str(beside), reason, _REMEDY)
        return path


_MISSING: Final = object()


def reference_of(item: Any) -> str | None:
    """Return the reference that an item is, None when it is none."""
    reference = object_of(item).get("$ref")
    return reference if isinstance(reference, str) else None


def _member(value: Any, part: str) -> Any:
    """Return the member of a value that a part of a pointer names, an item of an array by its number."""
    name = part.replace("~1", "/").replace("~0", "~")
    numbered = enumerate(value) if isinstance(value, list) else ()
    members = {str(index): item for index, item in numbered}
    return {**members, **object_of(value)}.get(name, _MISSING)
