"""Head and indexes of one run, written anew in one atomic step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import Script, ScriptCall, load_text
from openagents_json.work_index import DueKey


@dataclass(frozen=True, slots=True)
class SeatRecord:
    """The record of an open step; where it has a fence, somebody holds it, and its lease runs out now.

    `share` is its weight and its fairness key as the head says them, "" for none.
    """

    step: str
    queue: str
    priority: int
    attempt: int
    scheduled: int
    start_to_close_ms: int
    flags: str
    fence: str
    worker: str
    ready: bool
    share: str = ""


@dataclass(frozen=True, slots=True)
class Mending:
    """What a run is to be, and what was read of it.

    `version` and `commit` are where its log ends, `top` where its events do, `was` is the version of its head, `seen`
    the last entry of the log that was read. `drop` are entries at the end of the log that go too, where nothing stays.
    """

    run: str
    version: int
    commit: str
    top: int
    was: int
    seen: str
    fields: Sequence[str] = ()
    records: Sequence[SeatRecord] = ()
    timers: Sequence[tuple[DueKey, int, int]] = ()
    forget: Sequence[str] = ()
    leave: Sequence[tuple[str, str]] = ()
    drop: Sequence[str] = ()


class Mender:
    """Mends runs."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script(
            "mend", load_text("runs_common.lua") + load_text("mend.lua")
        )

    def mend(self, mending: Mending) -> bool:
        """Write head and indexes of a run; False when somebody has changed it meanwhile."""
        keys = self._store.keys
        run = mending.run
        partition = keys.partition_of(run)
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(run),
            keys.head(run),
            keys.due(partition),
        ]
        call = ScriptCall(
            self._script,
            [*names, keys.snapshot(run)],
            [json.dumps(_options(mending)), run],
        )
        return bool(self._store.call([call])[0])


def _options(mending: Mending) -> dict[str, Any]:
    options: dict[str, Any] = {"v": mending.version, "lc": mending.commit}
    options |= {"top": mending.top, "was": mending.was, "seen": mending.seen}
    records = [
        [*astuple(seat)[:-2], int(seat.ready), seat.share] for seat in mending.records
    ]
    timers = [(key.key(), delay, at) for key, delay, at in mending.timers]
    lists: dict[str, Sequence[Any]] = {
        "fields": mending.fields,
        "records": records,
        "timers": timers,
    }
    lists |= {"forget": mending.forget, "leave": mending.leave, "drop": mending.drop}
    return options | {name: list(value) for name, value in lists.items() if value}
