"""Which files hold secrets, by their names and places: what is in them is not for a sandboxed component to read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

NAMES: Final = (
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".pgpass",
    ".pypirc",
    ".git-credentials",
)
_AT_HOME: Final = (
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".kube",
    ".docker",
    ".config/gcloud",
)

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_PUBLIC: Final = ("/usr", "/lib", "/etc/ssl/certs", "/etc/pki", "/etc/ca-certificates")
"""Where certificates of others lie, which are called .pem, too."""

_PASSED_OVER: Final = frozenset({".git", "node_modules", "__pycache__"}) | _INSTALLED
_OF_PROCESSES: Final = re.compile(r"/proc/(\d+)/(?:task/\d+/)?(?:environ|mem)")
MOST: Final = 20_000
"""How many files and folders are looked at to find those that hold secrets."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Tells files that hold secrets: those in `places`, which are absolute, and those that are called so."""

    places: tuple[str, ...] = ()

    def hold(self, path: str) -> bool:
        """Tell whether a file holds a secret, wherever links lead."""
        full = os.path.realpath(path)
        if any(_below(full, place) for place in self.places):
            return True
        process = _OF_PROCESSES.fullmatch(full)
        if process is not None:
            return process[1] != str(os.getpid())
        return _is_named_so(full) and not _is_public(full)


def known_places(own: Sequence[Path]) -> tuple[str, ...]:
    """Return the places of secrets: our own, and those that programs keep at home."""
    home = os.path.expanduser("~")
    found: list[str | Path] = [*own, *(os.path.join(home, name) for name in _AT_HOME)]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in found))


def secret_files(
    folder: Path, places: Sequence[str], most: int = MOST
) -> tuple[list[Path], bool]:
    """Return the existing places and the files below a folder that are called like secrets, and whether that is all."""
    found = [Path(place) for place in places if os.path.exists(place)]
    for seen, path in enumerate(_walked(folder, places)):
        if seen >= most:
            return found, False
        if _is_named_so(path) and not _is_public(path):
            found.append(Path(path))
    return found, True


def _walked(folder: Path, places: Sequence[str]) -> Iterator[str]:
    known = {os.path.realpath(sys.prefix), *places}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _PASSED_OVER]
        folders[:] = [
            name
            for name in folders
            if os.path.realpath(os.path.join(here, name)) not in known
        ]
        yield from (
            os.path.join(here, name) for name in folders if not _is_named_so(name)
        )
        yield from (os.path.join(here, name) for name in files)


def _is_named_so(path: str) -> bool:
    name = os.path.basename(path)
    return any(fnmatch(name, pattern) for pattern in NAMES)


def _is_public(full: str) -> bool:
    if not _INSTALLED.isdisjoint(full.split(os.sep)):
        return True
    return any(
        _below(full, place)
        for place in (os.path.realpath(sys.prefix), sys.base_prefix, *_PUBLIC)
    )


def _below(full: str, place: str) -> bool:
    return full == place or full.startswith(place.rstrip(os.sep) + os.sep)
