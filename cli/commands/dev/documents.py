"""The documents in the folder of `dev`: checked when they change, and when the components have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.commands.dev.changes import FileWatch, files_in
from cli.commands.dev.lines import notice
from cli.commands.run import problem_line
from cli.completion.types import DOCUMENT_ENDINGS
from openagents_json.engine.documents import load_document
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.errors import OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.engine import Engine

LARGEST: Final = 4 * 1024 * 1024
"""A larger file is taken for data."""

_YAML_STEPS: Final = re.compile(rb"^steps:", re.MULTILINE)


class DocumentChecks:
    """Says what is wrong with the documents of a folder; runs that have begun keep theirs as it was."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._components = engine.loaded_components()
        self._folder = folder
        self._watch = FileWatch(lambda: files_in(folder, DOCUMENT_ENDINGS))
        self._are_valid: dict[Path, bool] = {}

    def take(self, having: str, specs: Mapping[str, Any]) -> None:
        """Take in which components have been loaded: documents may name those, and no others that were before."""
        self._components.take(having, specs)

    def check_all(self) -> None:
        """Check all documents; nothing is said of those that were valid before and are."""
        for path in files_in(self._folder, DOCUMENT_ENDINGS):
            if self._is_document(path):
                self._check(path, aloud=not self._are_valid.get(path, True))

    def check_changed(self) -> None:
        """Check the documents that have changed since the last look."""
        self._check_each(self._watch.changed())

    def _check_each(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if not path.exists():
                self._are_valid.pop(path, None)
            elif self._is_document(path):
                self._check(path, aloud=True)

    def _is_document(self, path: Path) -> bool:
        """Tell whether a file is meant as a workflow; one that is broken counts if it was one, or looks like one."""
        try:
            if path.stat().st_size > LARGEST:
                return False
            document = load_document(path)
        except (OSError, DocumentUnreadable):
            return False
        source = document.source()
        if source.wrong is not None:
            return path in self._are_valid or _looks_like_one(path, document.content)
        content = source.value
        return isinstance(content, dict) and "steps" in content and "id" in content

    def _check(self, path: Path, *, aloud: bool) -> None:
        """Say what is wrong with a document, and `aloud` what may not be meant so, or that nothing is wrong."""
        name = path.relative_to(self._folder.resolve())
        try:
            report = self._components.validate(path)
        except OpenAgentsError as error:
            notice(f"{name}: {error}")
            self._are_valid[path] = False
            return
        for problem in report.problems:
            if aloud or problem.severity == "error":
                notice(f"{name}:{problem_line(problem)}")
        self._are_valid[path] = report.valid
        if report.valid and aloud:
            notice(f"{name}: valid; the next run takes it as it is now")


def _looks_like_one(path: Path, raw: bytes) -> bool:
    """Tell whether a text that cannot be read is probably meant as a workflow."""
    if path.suffix == ".json":
        return b'"steps"' in raw and b'"component"' in raw
    return _YAML_STEPS.search(raw) is not None and b"component:" in raw
