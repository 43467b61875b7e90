"""The file of profiles: found from a folder upwards, read as TOML, and where in it a key stands."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import filterfalse
from operator import getitem
from pathlib import Path
from typing import Any, Final

from openagents_json.engine.errors import InvalidProfile, ProfileNotFound
from openagents_json.engine.profiles.nearest import hint

USUAL: Final = "default"
"""The profile that counts where none is named, in the file neither."""

_DEFAULT_PROFILE: Final = "default_profile"
_PROFILES: Final = "profiles"
_KEYS: Final = (_DEFAULT_PROFILE, _PROFILES)
_LONGEST_VALUE: Final = 500
"""How many lines a value may have for its first one to be found."""

_TOLD: Final = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)
"""How Python tells what is no TOML, and where."""

_ROOT: Final = 0
"""The user whose files everybody believes."""


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A file of profiles; `default_profile` is what it says of the one that counts, empty for nothing."""

    path: Path
    text: str
    profiles: Mapping[str, Mapping[str, Any]]
    default_profile: str

    @property
    def usual(self) -> str:
        """Return the profile that counts where nobody names one, empty for none."""
        named_so = USUAL if USUAL in self.profiles else ""
        return self.default_profile or named_so

    def line(self, *keys: str) -> int:
        """Return the line at which the value under some keys begins."""
        return line_of(self.text, keys)

    def profile(self, name: str) -> Mapping[str, Any]:
        """Return what a profile says.

        Raises ProfileNotFound.
        """
        if name not in self.profiles:
            raise ProfileNotFound(name, f" in {self.path}{hint(name, self.profiles)}")
        return self.profiles[name]

    def wrong(self, keys: Sequence[str], reason: str) -> InvalidProfile:
        """Return the error that says what is wrong at some keys."""
        return InvalidProfile(str(self.path), self.line(*keys), reason)


def read_file(path: Path, *, asked: bool) -> ProfileFile:
    """Read a file of profiles; one of another user only if somebody has `asked` for a profile by its name.

    What it says is where data goes and which code runs here: nobody else may slip it in, in a folder above.
    Raises InvalidProfile.
    """
    owner, raw = _read(path)
    if not asked and not is_trusted(owner, os.geteuid()):
        raise InvalidProfile(
            str(path),
            0,
            f"it belongs to another user (uid {owner}), so it is not read unasked; name the profile with --profile or "
            "OPENAGENTS_PROFILE, or make the file your own",
        )
    text, content = _parsed_or_told(path, raw)
    return _checked(path, text, content)


def is_trusted(owner: int, user: int) -> bool:
    """Tell whether a user believes the files of an owner without having asked for them."""
    return owner in (user, _ROOT)


def _read(path: Path) -> tuple[int, bytes]:
    """Return the owner of a file, and its content; both of the same one, whoever changes names meanwhile."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_uid, file.read()
    except OSError as error:
        raise InvalidProfile(str(path), 0, error.strerror or str(error)) from error


def _parsed_or_told(path: Path, raw: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidProfile(str(path), line, "it is not UTF-8") from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOLD.fullmatch(str(error))
        reason = str(error)
        line = text.count("\n") + 1
        if match is not None:
            reason = match[1]
            line = int(match[2])
        raise InvalidProfile(str(path), line, f"it is not TOML: {reason}") from None


def _checked(path: Path, text: str, content: Mapping[str, Any]) -> ProfileFile:
    """Check what is no setting: which tables there are, and which profile is the usual one.

    Raises InvalidProfile.
    """
    profiles = content.get(_PROFILES, {})
    usual = content.get(_DEFAULT_PROFILE, "")
    file = ProfileFile(path, text, profiles, usual)
    # In the order of the file: of several, the first is told each time.
    for key in filterfalse(_KEYS.__contains__, content):
        raise file.wrong([key], f"there is no key {key!r} here{hint(key, _KEYS)}")
    _check_type(
        file=file,
        keys=[_PROFILES],
        value=profiles,
        kind=dict,
        word="tables: write [profiles.NAME]",
    )
    _check_type(
        file=file, keys=[_DEFAULT_PROFILE], value=usual, kind=str, word="a text"
    )
    for name, profile in profiles.items():
        what_to_write = f"a table: write [profiles.{name}]"
        _check_type(
            file=file,
            keys=[_PROFILES, name],
            value=profile,
            kind=dict,
            word=what_to_write,
        )
    if usual not in ("", *profiles):
        reason = f"there is no profile {usual!r}{hint(usual, profiles)}"
        raise file.wrong([_DEFAULT_PROFILE], f"{_DEFAULT_PROFILE}: {reason}")
    return file


def _check_type(
    file: ProfileFile, keys: Sequence[str], value: object, kind: type, word: str
) -> None:
    if not isinstance(value, kind):
        raise file.wrong(keys, f"{keys[-1]} has to be {word}")


# -- lines -----------------------------------------------------------------------------------------------


def line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line at which the value under some keys begins, or else the nearest table around it.

    Python's reader tells no places. So it is asked itself: the lines before that one are TOML without the key, and
    with some lines more they have it.
    """
    if not keys:
        return 1
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if keys[-1] in line and _begins_at(lines, number, keys):
            return number
    return line_of(text, keys[:-1])


def _begins_at(lines: Sequence[str], number: int, keys: Sequence[str]) -> bool:
    before = _parsed(lines[: number - 1])
    if before is None or _has(before, keys):
        return False
    last = min(number + _LONGEST_VALUE, len(lines))
    longer = (_parsed(lines[:end]) for end in range(number, last + 1))
    whole = next((content for content in longer if content is not None), None)
    return _has(whole, keys)


def _parsed(lines: Sequence[str]) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return None


def _has(content: Any, keys: Sequence[str]) -> bool:
    try:
        reduce(getitem, keys, content)
    except (KeyError, TypeError):
        return False
    return True
