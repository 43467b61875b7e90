"""Where an exception came from, as text that is kept with an attempt: the component's frames, source lines, causes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from eventstore.passwords import masked

MAX_TRACEBACK: Final = 4000
MAX_CAUSE: Final = 1200
"""How much of each cause is kept; what is kept of all of them together is bounded by `MAX_TRACEBACK`."""

MAX_CAUSES: Final = 5
MAX_FRAMES: Final = 100
MAX_LINE: Final = 200

_ROOT: Final = Path(__file__).resolve().parents[2]
_ENGINE: Final = tuple(
    str(_ROOT / room)
    for room in (
        "openagents_json/components",
        "openagents_json/catalog",
        "executor",
    )
)
"""Where the frames of the engine lie, which call the component and say nothing about it."""


def trace_of(
    error: BaseException,
    mask: Callable[[str], str],
) -> str:
    """Return the frames of a component with their source lines, then those of what caused the exception.

    Of a cause its type is told and not its message: a message often quotes values, an author who raises an error of his
    own has chosen what it says, and the errors of encrypted runs are plain.

    `mask` takes secrets out of texts; it sees them whole, before they are cut.
    """
    parts = [_frames_of(error)]
    for cause in _causes(error):
        head = f"caused by {type(cause).__name__}"
        frames = _frames_of(cause)
        there = filter(None, (head, frames))
        parts.append("\n".join(there))
    own, *causes = [masked(mask(part)) for part in parts]
    rest = "\n".join(_cut_in_the_middle(cause, MAX_CAUSE) for cause in causes)
    rest = rest[: MAX_TRACEBACK // 2]
    room = MAX_TRACEBACK - len(rest) - 1
    # The last frames are where it happened, so the first ones go.
    return "\n".join(filter(None, (own[-room:], rest)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return what led to an exception, the nearest first; a circle is gone round once."""
    seen = {id(error)}
    cause = _cause(error)
    while cause is not None and id(cause) not in seen and len(seen) <= MAX_CAUSES:
        yield cause
        seen.add(id(cause))
        cause = _cause(cause)


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _frames_of(error: BaseException) -> str:
    try:
        frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
        own = [frame for frame in frames if not frame.filename.startswith(_ENGINE)]
        text = "\n".join(line for frame in own for line in _lines(frame))
    except BaseException:  # a stranger's exception may do anything when it is asked
        return ""
    return text.encode("utf-8", "replace").decode()


def _lines(frame: traceback.FrameSummary) -> Iterator[str]:
    yield f"{frame.filename}:{frame.lineno} in {frame.name}"
    if frame.line:
        yield f"    {frame.line.strip()[:MAX_LINE]}"


def _cut_in_the_middle(text: str, most: int) -> str:
    """Cut a long text where it says least: what it is stands first, and where it happened stands last."""
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
