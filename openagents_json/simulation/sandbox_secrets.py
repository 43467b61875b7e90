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

    paths: tuple[str, ...] = ()

    def hold(self, path: str) -> bool:
        """Tell whether a file holds a secret, wherever links lead."""
        full = os.path.realpath(path)
        if any(_below(full, location) for location in self.paths):
            return True
        process = _OF_PROCESSES.fullmatch(full)
        if process is not None:
            return process[1] != str(os.getpid())
        return _is_named_so(full) and not _is_public(full)


def secret_locations(own: Sequence[Path]) -> tuple[str, ...]:
    """Return the places of secrets: our own, and those that programs keep at home."""
    home = os.path.expanduser("~")
    locations: list[str | Path] = [
        *own,
        *(os.path.join(home, name) for name in _AT_HOME),
    ]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in locations))


def secret_files(
    folder: Path, locations: Sequence[str], most: int = MOST
) -> tuple[list[Path], bool]:
    """Return the existing places and the files below a folder that are called like secrets, and whether that is all."""
    secret_paths = [
        Path(location) for location in locations if os.path.exists(location)
    ]
    for seen, path in enumerate(_walked(folder, locations)):
        if seen >= most:
            return secret_paths, False
        if _is_named_so(path) and not _is_public(path):
            secret_paths.append(Path(path))
    return secret_paths, True


def _walked(folder: Path, locations: Sequence[str]) -> Iterator[str]:
    excluded = {os.path.realpath(sys.prefix), *locations}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _PASSED_OVER]
        folders[:] = [
            name
            for name in folders
            if os.path.realpath(os.path.join(here, name)) not in excluded
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
        _below(full, location)
        for location in (os.path.realpath(sys.prefix), sys.base_prefix, *_PUBLIC)
    )


def _below(full: str, location: str) -> bool:
    return full == location or full.startswith(location.rstrip(os.sep) + os.sep)
