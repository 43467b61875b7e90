"""How many runs a wave heals and when a heal stops, as people write it: counts, or percentages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from openagents_json.engine.errors import InvalidHeal

_PERCENTAGE: Final = re.compile(r"(\d+(?:\.\d+)?)%")
_COUNT: Final = re.compile(r"[0-9]{1,9}")


def parse_waves(text: str) -> list[str]:
    """Read how many runs are healed when each wave is over: counts or percentages, rising, such as 1,10%,100%.

    Raises InvalidHeal.
    """
    sizes = [part.strip() for part in text.split(",")]
    for size in sizes:
        _check(size, "waves")
    return sizes


def parse_stop(text: str) -> str:
    """Read after how many failures a heal stops: a count, or a percentage of the runs healed so far.

    Raises InvalidHeal.
    """
    _check(text.strip(), "stop-after-failures")
    return text.strip()


def _check(size: str, option: str) -> None:
    if not _is_size(size):
        raise InvalidHeal(
            f"{option}: {size!r} is neither a count from 1 on nor a percentage up to 100%"
        )


def _is_size(size: str) -> bool:
    percentage = _PERCENTAGE.fullmatch(size)
    if percentage is not None:
        return 0 < float(percentage[1]) <= 100
    return _COUNT.fullmatch(size) is not None and int(size) >= 1


def _count(size: str, total: int) -> int:
    percentage = _PERCENTAGE.fullmatch(size)
    if percentage is None:
        return min(total, int(size))
    rounded_up = -int(-total * float(percentage[1]) // 100)
    return min(total, rounded_up)


def wave_sizes(waves: Sequence[str], total: int) -> list[int]:
    """Return how many runs each wave has, without those that would have none."""
    sizes = []
    healed = 0
    for size in waves:
        upto = max(healed, _count(size, total))
        if upto > healed:
            sizes.append(upto - healed)
            healed = upto
    return sizes


def reached(stop: str, failed: int, healed: int) -> bool:
    """Tell whether so many failures are as many as a stop condition allows, or more."""
    percentage = _PERCENTAGE.fullmatch(stop)
    if percentage is None:
        return failed >= int(stop)
    return failed * 100 >= float(percentage[1]) * max(1, healed)
