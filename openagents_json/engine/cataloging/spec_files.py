"""Specs of components in files: JSON or YAML, one or a list of them, or a directory of such files.

Two kinds of files are read: specs as the catalog holds them, and what `--components` takes, which declares components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.catalog.spec_files import registrable_specs
from openagents_json.catalog.spec_forms import written_spec
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.errors import file_errors

SUFFIXES: Final = (".json", ".yaml", ".yml")

_ONLY_DECLARED: Final = frozenset(
    {"components", "parameters", "result", "http", "openapi", "swagger"}
)
"""What specs as the catalog holds them do not have."""


def specs_in(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield the specs of files and of directories, these by name.

    Raises FileUnusable, InvalidDeclaration and CannotLoad.
    """
    for path in paths:
        with file_errors(str(path), "name a file of specs, or a directory of them"):
            files = _files(path)
        for file in files:
            yield from _of_file(file)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES]


def _of_file(file: Path) -> Iterator[dict[str, Any]]:
    with file_errors(str(file), "name a file that can be read"):
        text = file.read_text("utf-8")
    content = _content(file, text)
    if _declares(content):
        yield from registrable_specs(file)
        return
    for number, spec in enumerate(content if isinstance(content, list) else [content]):
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            raise InvalidDeclaration(
                f"{file}: spec {number} is no object with a `name`",
                remedy='write for example {"name": "text.summarize", "version": "1.0.0"}',
            )
        yield written_spec(spec, f"{file}: component {spec['name']}")


def _declares(content: Any) -> bool:
    """Tell whether a file declares components, as --components takes them: how it is written says so."""
    entries = content if isinstance(content, list) else [content]
    return any(map(_is_declaration, entries))


def _is_declaration(entry: Any) -> bool:
    return isinstance(entry, dict) and not _ONLY_DECLARED.isdisjoint(entry)


def _content(file: Path, text: str) -> Any:
    if file.suffix == ".json":
        try:
            return codec.decode_foreign(text)
        except (ValueError, NotJson) as error:
            raise InvalidDeclaration(f"{file} is no JSON: {error}") from error
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidDeclaration(f"{file} is no YAML: {error}") from error
