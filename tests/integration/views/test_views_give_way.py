"""Views are folded at leisure: what is folded gives way to steps, for so long as readers can do the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from eventstore.event import Event, Recorded
from eventstore.keys import Keyspace
from eventstore.redis.projection_log import LogReader
from eventstore.redis.views import RedisViewStore
from openagents_json.engine import Engine
from projections import Projection
from projections.runner import Runner, Target
from projections.service import BUSY_SECONDS, ProjectionService
from tests.conftest import Server

PARTITIONS = 12


class _FoldedPieces(Runner):
    """A runner that says after which piece of its work steps come."""

    on_piece: Callable[[], None] = staticmethod(lambda: None)

    def advance(self, partitions: Any, targets: Any = None) -> int:
        folded = super().advance(partitions, targets)
        self.on_piece()
        return folded


def _count(before: Any, event: Recorded) -> Any:
    return {"n": (before or {"n": 0})["n"] + 1}


EVERY = Projection("every", _count, key=lambda event: event.type)


def test_folding_is_left_when_steps_come_and_goes_on_beside_them_when_overdue(
    server: Server,
) -> None:
    keys = Keyspace(server.prefix(), PARTITIONS)
    with Engine.connect(
        server.url, prefix=keys.prefix, partitions=PARTITIONS, components=[], workers=0
    ) as engine:
        for partition in range(PARTITIONS):
            engine.events.append(f"{partition}-a", [Event("Counted")])
        now_ms, quiet_ms = [0.0], [0.0]
        store = RedisViewStore(engine.core.store)
        runner = _FoldedPieces(
            LogReader(engine.core.store),
            store,
            [EVERY],
            PARTITIONS,
            lambda: now_ms[0],
        )
        service = ProjectionService(
            runner,
            lambda: range(PARTITIONS),
            lambda: quiet_ms[0],
            lambda: now_ms[0],
            lambda _: nullcontext(store),
        )

        def behind() -> int:
            targets: list[Target] = runner.targets()
            return len(runner.behind(range(PARTITIONS), targets))

        def steps_come() -> None:
            quiet_ms[0] = 0.0

        service.look()
        assert behind() == PARTITIONS  # steps ran a moment ago

        quiet_ms[0] = 60_000.0
        runner.on_piece = steps_come
        service.look()
        assert 0 < behind() < PARTITIONS  # one piece, and then steps came

        service.look()
        assert 0 < behind() < PARTITIONS

        now_ms[0] = BUSY_SECONDS * 1000
        service.look()
        assert behind() == 0
