"""Workflow documents in files: of those that are validated together, or of a folder that an editor shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from openagents_json.engine.development.own_modules import Signature, signature_of
from openagents_json.engine.documents import load_document
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.workflow.language.parse import MAX_BYTES
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.sizes import check_size
from openagents_json.workflow.versions import highest

_USUAL_VERSION: Final = "1.0.0"
_ENDINGS: Final = frozenset({".json", ".yaml", ".yml"})
MOST_FILES: Final = 500
"""So many files of a folder are read for the workflows that are called: a folder with more is one of something else."""

_Versions = dict[str, dict[str, Mapping[str, Any]]]
"""Documents by their ids and versions."""


class _File(NamedTuple):
    """A file as it was read: what was seen of it then, and its document, None where it has none."""

    signature: Signature | None
    document: Mapping[str, Any] | None


class DocumentFiles:
    """Documents by their references: of some files, or of those in a folder that may have any.

    They are read when one is asked for first, and files that have changed again by `refresh`. It belongs to one thread.
    """

    def __init__(self, list_paths: Callable[[], Iterable[Path]]) -> None:
        self._list_paths = list_paths
        self._files: dict[Path, _File] = {}
        self._versions: _Versions | None = None

    @classmethod
    def named(cls, paths: Iterable[Path]) -> DocumentFiles:
        """Return the documents of some files."""
        named = [*paths]
        return cls(lambda: named)

    @classmethod
    def in_folder(cls, folder: Path) -> DocumentFiles:
        """Return the documents of the files that lie right in a folder."""
        return cls(lambda: _documents_in(folder))

    def refresh(self) -> None:
        """Read what has changed since it was read."""
        if self._versions is not None:
            self._versions = self._read()

    def find(self, reference: str) -> Mapping[str, Any] | None:
        """Return the document that a reference, an id with an optional `@range`, leads to; None where there is none."""
        if self._versions is None:
            self._versions = self._read()
        name, _, version_range = reference.partition("@")
        of_name = self._versions.get(name, {})
        chosen = highest(version_range, of_name)
        return None if chosen is None else of_name[chosen]

    def _read(self) -> _Versions:
        """Return the documents of the files; one that is as it was is not read again."""
        versions: _Versions = {}
        for path in self._list_paths():
            document = self._document(path)
            if document is not None:
                version = document.get("version", _USUAL_VERSION)
                of_id = versions.setdefault(str(document.get("id")), {})
                of_id[str(version)] = document
        return versions

    def _document(self, path: Path) -> Mapping[str, Any] | None:
        signature = signature_of(path)
        file = self._files.get(path)
        if file is None or file.signature != signature:
            # What is written while it is read is a change that comes after.
            file = _File(signature, _document_in(path))
            self._files[path] = file
        return file.document


def _documents_in(folder: Path) -> Iterator[Path]:
    """Return the files right in a folder that may hold documents, in order."""
    with suppress(OSError):
        entries = sorted(folder.iterdir())
        may_be = (path for path in entries if path.suffix in _ENDINGS)
        yield from islice(may_be, MOST_FILES)


def _document_in(path: Path) -> Mapping[str, Any] | None:
    """Return the document of a file; whoever validates one that cannot be read is told."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        document = load_document(path).source().value
    except (OSError, DocumentUnreadable):
        return None
    is_one = isinstance(document, Mapping) and "steps" in document
    return document if is_one and check_size(document, Collector()) else None
