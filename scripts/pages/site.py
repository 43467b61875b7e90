"""What the site needs beside the pages of docs: what they link to in the rest of the repository, and lists of folders.

mkdocs calls `on_files` and `on_page_markdown`. A page outside of docs becomes a page, any other file is copied as it
is, and a link to a folder leads to its README, or else to a list of its files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TAKEN = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "examples",
    "benchmarks",
)
"""What of the repository is part of the site; links to anything else fail."""

SHOWN = (".md", ".json", ".py", ".ts", ".pdf", ".svg", "")
LINK = re.compile(r"(?<=\]\()([^)#\s]+)((?:#[^)\s]*)?)(?=\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the files of the repository that pages may link to, and a list for each folder without a README."""
    for path in _repository_files():
        files.append(
            File(path, str(ROOT), config["site_dir"], config["use_directory_urls"])
        )
    known = {file.src_uri for file in files}
    for folder in _folders(known):
        if not known & {f"{folder}/README.md", f"{folder}/index.md"}:
            text = _listing(folder, known)
            files.append(File.generated(config, f"{folder}/index.md", content=text))
    return files


def _repository_files() -> Iterator[str]:
    for name in TAKEN:
        place = ROOT / name
        paths = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in paths:
            if (
                path.is_file()
                and path.suffix in SHOWN
                and "__pycache__" not in path.parts
            ):
                yield path.relative_to(ROOT).as_posix()


def _folders(known: set[str]) -> list[str]:
    """Return the folders below docs and examples that pages link to as folders."""
    return sorted(
        {
            posixpath.dirname(name)
            for name in known
            if name.startswith(("adr/", "examples/"))
        }
    )


def _listing(folder: str, known: set[str]) -> str:
    names = sorted(name for name in known if posixpath.dirname(name) == folder)
    lines = [f"- [{_title(name)}]({posixpath.basename(name)})" for name in names]
    title = "Decisions" if folder == "adr" else f"`{folder}`"
    return "\n".join([f"# {title}", "", *lines, ""])


def _title(name: str) -> str:
    page = DOCS / name
    if page.suffix != ".md" or not page.exists():
        return posixpath.basename(name)
    return page.read_text().split("\n")[0].lstrip("# ")


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Let links lead to where the files are on the site."""
    source = page.file.src_uri
    inside = (DOCS / source).exists()
    folder = posixpath.dirname(f"docs/{source}" if inside else source)
    known = {file.src_uri for file in files}

    def placed(match: re.Match[str]) -> str:
        target, anchor = match.groups()
        if "://" in target or target.startswith(("/", "mailto:")):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target)).removeprefix("docs/")
        for choice in (path, f"{path}/README.md", f"{path}/index.md"):
            if choice in known:
                return (
                    posixpath.relpath(choice, posixpath.dirname(source) or ".") + anchor
                )
        return match[0]

    return LINK.sub(placed, markdown)
