"""Work that makes very many objects and drops few: the collector of garbage would look through them again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let no garbage be looked for meanwhile; it is afterwards, as before.

    It holds for all threads of the process, so what it is for takes a second at most. Of two at a time the one that
    began first ends it for both, which costs time only.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
