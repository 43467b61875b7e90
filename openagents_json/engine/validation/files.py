"""A file with a document: its suggestions carried out in it, and its report while somebody edits it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from openagents_json.engine.documents import load_document
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.engine.validation.document_files import DocumentFiles
from openagents_json.engine.validation.document_set import DocumentSet
from openagents_json.workflow.language.parse import names_yaml
from openagents_json.workflow.language.validate import check
from openagents_json.workflow.validation.fixing.apply import Fixed, carry_out
from openagents_json.workflow.validation.modes import NORMAL, Mode, in_mode
from openagents_json.workflow.validation.session import ValidationSession

if TYPE_CHECKING:
    from openagents_json.catalog.registry import Registry
    from openagents_json.workflow.component_spec import Catalog
    from openagents_json.workflow.language.problems import Problem, Report

_BOM: Final = b"\xef\xbb\xbf"
_MOST_ROUNDS: Final = 10
"""What is mended may show what was hidden behind it; after so many rounds, the rest is left to the author."""


class FixedFile(NamedTuple):
    """A file after its suggestions were carried out: what is left, and the problems that are no more."""

    report: Report
    fixed: tuple[Problem, ...]


def fix_file(
    path: Path, catalog: Catalog | None = None, mode: Mode = NORMAL
) -> FixedFile:
    """Carry out the suggestions of a document in its file, where it is sure what was meant.

    The file is replaced as a whole, or not at all. Raises DocumentUnreadable.
    """
    before = _content(path)
    text = _text(before)
    fixed = Fixed("", ())
    if text is not None:
        fixed = mended(text, catalog, is_yaml=names_yaml(path.name))
        if fixed.problems:
            _replace(path, before, fixed.text)
    report = check(load_document(path).source(), catalog).report
    return FixedFile(in_mode(report, mode), fixed.problems)


def mended(text: str, catalog: Catalog | None, *, is_yaml: bool) -> Fixed:
    """Carry out the suggestions of a document in its text, and those of problems that were hidden behind others."""
    done: list[Problem] = []
    session = ValidationSession(catalog)
    for _ in range(_MOST_ROUNDS):
        report = session.check(text, is_yaml=is_yaml)
        result = carry_out(text, report.problems, is_yaml=is_yaml)
        if not result.problems:
            break
        text = result.text
        done += result.problems
    return Fixed(text, tuple(done))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentUnreadable(str(path), reason) from error


def _text(content: bytes) -> str | None:
    try:
        return content.removeprefix(_BOM).decode()
    except UnicodeDecodeError:
        return None


def _replace(path: Path, before: bytes, text: str) -> None:
    """Write a file anew beside itself, then let it take the place of the one before.

    Raises DocumentUnreadable.
    """
    path = path.resolve()
    after = _BOM * before.startswith(_BOM) + text.encode()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(after)
        shutil.copymode(path, name)
        # Who has saved the file in the meantime has the last word.
        if _content(path) == before:
            os.replace(name, path)
        else:
            raise DocumentUnreadable(str(path), "it has changed in the meantime")
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


class WatchedDocument:
    """A file that is checked again after each change; only what a change can affect is looked at.

    Others that it calls are looked up in `documents`, where there are components that steps call.
    """

    def __init__(
        self,
        path: Path,
        components: Registry | None,
        documents: DocumentFiles,
        mode: Mode = NORMAL,
    ) -> None:
        self._path = path
        self._catalog = DocumentSet(components, documents) if components else None
        self._session = ValidationSession(self._catalog, mode=mode)

    @property
    def checks(self) -> int:
        """Return how many parts the last check looked at."""
        return self._session.done.checks

    def is_outdated(self) -> bool:
        """Tell whether a workflow that it calls is another one since the last check."""
        return self._catalog is not None and self._catalog.is_outdated()

    def _look_up_anew(self, catalog: DocumentSet) -> None:
        """Look up what the file calls as it is now."""
        self._catalog = catalog.fresh()
        self._session.use(self._catalog)

    def check(self) -> Report:
        """Check the file as it is now.

        Raises DocumentUnreadable.
        """
        if self._catalog is not None and self._catalog.is_outdated():
            self._look_up_anew(self._catalog)
        loaded = load_document(self._path)
        if loaded.is_yaml:
            return self._session.check(loaded.source())
        return self._session.check(loaded.content)
