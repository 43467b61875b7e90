"""Where components come from that somebody names, as far as that is a place in the file system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from openagents_json.catalog.spec_files import ENDINGS, is_spec_path

SPEC_ENDINGS: Final = ENDINGS
"""How the names of files with specs end."""

FILE_OF_CODE: Final = ".py"


def source_paths(components: Iterable[str]) -> list[Path]:
    """Return the files, and the folders of specs, among what names components; modules tell theirs once imported."""
    return list(map(Path, filter(_is_path, components)))


def _is_path(name: str) -> bool:
    return is_spec_path(name) or name.endswith(FILE_OF_CODE)
