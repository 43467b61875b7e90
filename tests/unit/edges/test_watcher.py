"""Runs that are watched for event loops: by one thread that nothing holds up, in each process its own."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

from eventstore.memory.runs import MemoryRunStore
from eventstore.run_model import RunPosition
from openagents_json.engine.handles.handle import RunHandle
from openagents_json.engine.handles.watcher import RunWatcher
from tests.conftest import wait_for


def test_a_forked_child_has_a_watcher_of_its_own() -> None:
    watcher = RunWatcher(MemoryRunStore(now_ms=lambda: 1))
    looked, over = threading.Event(), threading.Event()
    looks: list[int] = []

    def never_there(position: RunPosition | None) -> bool | None:
        looks.append(os.getpid())
        looked.set()
        return over.is_set() or None

    waiting = threading.Thread(
        target=lambda: asyncio.run(watcher.watch("0-a", never_there))
    )
    waiting.start()
    assert looked.wait(20)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is ended
        seen = asyncio.run(watcher.watch("0-b", lambda position: "seen"))
        # Who waits in the parent is none of its business.
        os._exit(0 if seen == "seen" and os.getpid() not in looks else 1)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        waiting.join(20)
        watcher.close()


class TalkingRuns:
    """An engine whose runs have ended and have shown one value; it keeps how long it was to block."""

    def __init__(self) -> None:
        self.blocked_ms: list[int] = []
        self.watcher = RunWatcher(EndedRuns(now_ms=lambda: 1))

    def emitted(self, run: str, *, after: str, block_ms: int) -> list[Any]:
        self.blocked_ms.append(block_ms)
        return []


class EndedRuns(MemoryRunStore):
    def positions(self, runs: Any) -> list[RunPosition | None]:
        return [RunPosition("completed", 3) for _ in runs]


def test_who_looks_for_emissions_behind_the_end_holds_up_nobody_else() -> None:
    engine = TalkingRuns()
    handles = [RunHandle[Any](f"0-{n}", engine) for n in range(20)]  # type: ignore[arg-type]

    async def follow(handle: RunHandle[Any]) -> list[Any]:
        return [value async for value in handle.aemissions()]

    async def follow_all() -> list[list[Any]]:
        return await asyncio.gather(*map(follow, handles))

    assert asyncio.run(follow_all()) == [[]] * 20
    assert set(engine.blocked_ms) == {0}
    wait_for(
        lambda: "openagents-watcher" not in {t.name for t in threading.enumerate()}
    )
