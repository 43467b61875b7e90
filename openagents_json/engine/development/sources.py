"""Where components come from that somebody names, as far as that is a place in the file system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from openagents_json.catalog.spec_files import ENDINGS, is_spec_path

SPEC_ENDINGS = ENDINGS


def source_paths(components: Iterable[str]) -> list[Path]:
    """Return the files, and the folders of specs, among what names components; modules tell theirs once imported."""
    return [Path(x) for x in components if x.endswith(".py") or is_spec_path(x)]
