"""Names of step instances: `a`, an item or iteration `each[3]`, a step inside of one `each[3].a`, `a~compensate`.

A *frame* is an instance that holds others: the run itself (""), a block, an item of a foreach over a block, an
iteration of a loop. The static path of an instance, without its indexes, names its plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

COMPENSATE: Final = "~compensate"
ON_FAILURE: Final = "~on_failure"
_INDEX: Final = re.compile(r"\[\d+\]")


def static(path: str) -> str:
    """Return the path without indexes."""
    if "[" not in path:
        return path
    container, _, index = path.partition("[")
    if index.find("]") == len(index) - 1:  # an item, as nearly all of these are
        return container
    return _INDEX.sub("", path)


def inside(frame: str, name: str) -> str:
    """Return the path of a step in a frame."""
    if frame:
        return f"{frame}.{name}"
    return name


def all_inside(frame: str, names: Iterable[str]) -> list[str]:
    """Return the paths of some steps in a frame."""
    prefix = f"{frame}." if frame else ""
    return [prefix + name for name in names]


def item(container: str, index: int) -> str:
    """Return the path of an item or iteration."""
    return f"{container}[{index}]"


def is_item(path: str) -> bool:
    """Tell whether a path is an item or iteration."""
    return path[-1:] == "]"


def container_of(path: str) -> tuple[str, int]:
    """Return the container and the index of an item."""
    at = path.rindex("[")
    return path[:at], int(path[at + 1 : -1])


def container_name(path: str) -> str:
    """Return the container of an item; it is asked for at each item, and less work than `container_of`."""
    return path[: path.rindex("[")]


def frame_of(path: str) -> str:
    """Return the frame in which a step stands, empty for the run."""
    return path.rpartition(".")[0]


def frames_of(path: str) -> list[str]:
    """Return all frames around a path, outermost (the run) first; the path itself is the last."""
    frames = [""]
    at = -1
    while (at := path.find(".", at + 1)) >= 0:
        frames.append(path[:at])
    frames.append(path)
    return frames


def within(path: str, frame: str) -> bool:
    """Tell whether a path lies inside a frame or container."""
    if not frame:
        return True
    behind = len(frame)
    return path.startswith(frame) and path[behind : behind + 1] in (".", "[")


def is_unwinding(path: str) -> bool:
    """Tell whether a step undoes others, or is done because the run failed."""
    if path.endswith(COMPENSATE) or path == ON_FAILURE:
        return True
    return within(path, ON_FAILURE)


def compensation_of(path: str) -> str:
    """Return the path of the compensation of a step."""
    return path + COMPENSATE
