"""Time zones from one source, the pinned package `tzdata`, whatever the system of a worker has.

Two workers of one store that disagree about a zone would fire a schedule twice, at two times: the standard library
prefers the system's zones, which differ from machine to machine, so they are not asked.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import tzdata

from executor.errors import UnknownZone

ZONES_VERSION = tzdata.IANA_VERSION
"""The release of the zones, such as 2026f."""


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises UnknownZone.
    """
    if name not in zone_names():
        raise UnknownZone(name, ZONES_VERSION)
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
