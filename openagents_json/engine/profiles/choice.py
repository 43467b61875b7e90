"""Which profile counts: that of the option, of the environment, or of the file; to find none, nothing is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openagents_json.engine.errors import ProfileNotFound

if TYPE_CHECKING:
    from openagents_json.engine.profiles.file import ProfileFile

VARIABLE: Final = "OPENAGENTS_"
"""How the names of our variables begin."""

FILE_NAME: Final = "openagents.toml"
PROFILE_VARIABLE: Final = f"{VARIABLE}PROFILE"

OPTION: Final = "option"
ENVIRONMENT: Final = "environment"
PROFILE: Final = "profile"
DEFAULT: Final = "default"
FILE: Final = "file"
"""Where the name of a profile may come from too: its file says which one counts."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from: one of the kinds above, and which option, variable or line it was."""

    kind: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The profile that counts, by `name` in a `file`, which is None where none does.

    `path` is where a file was found, whether one of its profiles counts or not.
    """

    source: Source = Source(DEFAULT)
    path: Path | None = None
    file: ProfileFile | None = None
    name: str = ""


def environment_values(
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the values of the `OPENAGENTS_<NAME>` variables by name; an empty one says nothing."""
    source = os.environ if environment is None else environment
    return {
        key.removeprefix(VARIABLE).lower(): value
        for key, value in source.items()
        if key.startswith(VARIABLE) and value
    }


def choose(option: str | None, variable: str, folder: Path | None) -> Choice:
    """Find the profile that counts.

    Raises ProfileNotFound where one was asked for and there is no file, and InvalidProfile.
    """
    asked = _asked_for(option, variable)
    start, path = _find(folder)
    if path is not None:
        return _choice(path, asked)
    if asked is None:
        return Choice()
    name, _ = asked
    raise ProfileNotFound(name, f": there is no {FILE_NAME} in {start} or above it")


def profile_names() -> list[str]:
    """Return the names of the profiles that can be chosen here.

    Raises InvalidProfile.
    """
    _, path = _find(None)
    if path is None:
        return []
    from openagents_json.engine.profiles.file import read_file

    return list(read_file(path, asked=False).profiles)


def _asked_for(option: str | None, variable: str) -> tuple[str, Source] | None:
    """Return the name of the profile that somebody has asked for, and how; None where nobody has."""
    if option is not None:
        return option, Source(OPTION, "--profile")
    if variable:
        return variable, Source(ENVIRONMENT, PROFILE_VARIABLE)
    return None


def _choice(path: Path, asked: tuple[str, Source] | None) -> Choice:
    from openagents_json.engine.profiles.file import read_file

    file = read_file(path, asked=asked is not None)
    if asked is not None:
        name, source = asked
        return Choice(source, path, file, name)
    if file.usual:
        return Choice(Source(FILE, str(path)), path, file, file.usual)
    return Choice(path=path)


def _find(folder: Path | None) -> tuple[Path, Path | None]:
    """Return the folder that is looked from, and the nearest file of profiles in it or above it, None for none."""
    try:
        start = (folder or Path()).absolute()
    except OSError:  # the working directory has been removed
        return Path("the working directory"), None
    candidates = [parent / FILE_NAME for parent in (start, *start.parents)]
    return start, next(filter(_is_file, candidates), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that we may not look into
        return False
