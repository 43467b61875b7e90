"""Semantic versions and ranges of them: npm's rule, held against a table of npm's own results."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cmp_to_key
from typing import Final

_VERSION: Final = re.compile(
    r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_NUMBER_BEHIND_ANY: Final = re.compile(r"(?<![\w.+-])(?:\d+\.)?[xX*]\.\d")
_LONGEST: Final = 256
_LARGEST: Final = 2**53 - 1

RANGES: Final = "write for example 1.4.2, ^1.4, ~1.4.2, 1.x, '>=1.4 <2' or '^1 || ^2'"
"""What ranges look like, for messages."""


def is_version(text: str) -> bool:
    """Tell whether a text is a semantic version, and nothing else stands around it."""
    return (
        len(text) <= _LONGEST
        and _VERSION.fullmatch(text) is not None
        and not _too_large(text)
    )


def is_range(text: str) -> bool:
    """Tell whether a text is a range of versions."""
    is_out_of_bounds = (
        len(text) > _LONGEST or _NUMBER_BEHIND_ANY.search(text) or _too_large(text)
    )
    if is_out_of_bounds:  # npm knows no 1.x.3
        return False
    import nodesemver  # imported where ranges are looked at

    try:
        return nodesemver.valid_range(text, loose=False) is not None
    except ValueError:
        return False


def _too_large(text: str) -> bool:
    """Tell whether a number of a version is one that not all programs hold exactly."""
    return any(
        int(number) > _LARGEST
        for number in re.findall(r"(?<![\w-])\d{16,}(?![\w-])", text, re.ASCII)
    )


UNVERSIONED: Final = "0.1.0"
"""The version of what says none: it promises nothing, so nothing is bound to it."""

_BOUND: Final = "#"


def bound_reference(reference: str, version: str) -> str:
    """Return a reference, a name with an optional `@range`, with the version that it meant when a run began."""
    if not reference or version in ("", UNVERSIONED):
        return reference
    at = "" if "@" in reference else "@"
    return f"{reference}{at}{_BOUND}{version}"


def without_bound(reference: str) -> str:
    """Return a reference as it was before it was bound."""
    return reference.partition(_BOUND)[0].removesuffix("@")


def chosen(range_or_bound: str, versions: Collection[str]) -> str | None:
    """Return the version that was meant when a run began; the highest of a range where it is gone."""
    version_range, _, bound = range_or_bound.partition(_BOUND)
    return bound if bound in versions else highest(version_range, versions)


def highest(version_range: str, versions: Iterable[str]) -> str | None:
    """Return the highest version that a range allows, None when none does.

    A prerelease is allowed only by a range that names a prerelease of the same version. Without a range, it is the
    highest release, or the highest prerelease when there is no release.
    """
    ordered = in_order(versions)
    if version_range in ordered:
        return version_range
    if not version_range:
        released = [text for text in ordered if "-" not in text.partition("+")[0]]
        return next(reversed(released or ordered), None)
    if not is_range(version_range):
        return None
    import nodesemver

    fits = [
        text
        for text in ordered
        if nodesemver.satisfies(text, version_range, loose=False)
    ]
    if fits:
        return fits[-1]
    return None


def in_order(versions: Iterable[str]) -> list[str]:
    """Return the versions among some texts, lowest first."""
    valid = sorted(text for text in versions if is_version(text))
    return sorted(valid, key=cmp_to_key(_compare))


def _compare(one: str, other: str) -> int:
    import nodesemver  # imported where versions are compared

    order: int = nodesemver.compare(one, other, loose=False)
    return order
