"""The files of the page, from the package; one hash over all of them names the folder that they are served in."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_DOCUMENT: Final = "index.html"
_START: Final = "app/main.js"
_IMPORT: Final = re.compile(r'^import .* from "([^"]+)";', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent: its bytes, the same compressed by gzip, and its media type."""

    body: bytes
    gzipped: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """The document, and the files that it loads, by their names; `digest` is the SHA-256 of them all."""

    document: Asset
    assets: Mapping[str, Asset]
    digest: str


@cache
def page() -> Page:
    """Return the page; its files are those of the package, and are read once in a process."""
    bodies = dict(_read(files("openagents_json.server.page") / "files", ""))
    digest = _digest(bodies)
    template = bodies.pop(_DOCUMENT)
    document = template.replace(b"<!-- files -->", _links(bodies, digest))
    return Page(
        document=_asset(document, "text/html; charset=utf-8"),
        assets={name: _asset(body, _type(name)) for name, body in bodies.items()},
        digest=digest,
    )


def _read(folder: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{above}{entry.name}"
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        else:
            yield name, entry.read_bytes()


def _digest(bodies: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, body in bodies.items():
        whole.update(f"{name} {len(body)}\n".encode() + body)
    return whole.hexdigest()[:16]


def _links(bodies: Mapping[str, bytes], digest: str) -> bytes:
    """Return what makes a browser load what it needs first at once: it learns of imports only when it reads them.

    What is imported later, as by `import("./lists/queues.js")`, is not among that.
    """
    lines = []
    first = _imported(bodies)
    for name in bodies:
        address = escape(f"page/{digest}/{name}", quote=True)
        if name == _START:
            lines.append(f'<script type="module" src="{address}"></script>')
        elif name in first:
            lines.append(f'<link rel="modulepreload" href="{address}">')
        elif name.endswith(".css"):
            lines.append(f'<link rel="stylesheet" href="{address}">')
        elif name.endswith(".svg"):
            lines.append(f'<link rel="icon" type="image/svg+xml" href="{address}">')
    return "\n".join(lines).encode()


def _imported(bodies: Mapping[str, bytes]) -> set[str]:
    """Return the modules that the first one imports, or one of those, with itself."""
    reached = [_START]
    for name in reached:  # it grows meanwhile
        folder = posixpath.dirname(name)
        targets = _IMPORT.findall(bodies[name].decode())
        paths = [posixpath.normpath(posixpath.join(folder, path)) for path in targets]
        reached += sorted(set(paths).difference(reached))
    return set(reached)


def _type(name: str) -> str:
    return _TYPES[name.rpartition(".")[2]]


def _asset(body: bytes, media_type: str) -> Asset:
    return Asset(body, gzip.compress(body, mtime=0), media_type)
