"""A run with its history comes into a store: put aside in parts, then taken over in one atomic commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from eventstore import codec
from eventstore.errors import StageLost
from eventstore.event import Json
from eventstore.redis.commits.run_commits import ANSWERS, asked_for
from eventstore.redis.driver.scripts import (
    Script,
    ScriptCall,
    load_text,
    refused_when_full,
)
from eventstore.redis.raw import RawEvent
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import Code, Commit, Committed
from eventstore.runs import WakeUp

Item = TypeVar("Item")

BATCH_EVENTS: Final = 1000
BATCH_BYTES: Final = 1_000_000
KEEP_MS: Final = 3_600_000
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class AdoptionReply:
    """The answer to an adoption, and for each wake-up whether somebody has to be woken from outside."""

    commit: Committed
    unheard: Sequence[bool]


class Adoption:
    """Brings runs with their histories into a store."""

    def __init__(self, store: RedisRunStore) -> None:
        self._store = store
        self._stage = Script("stage", load_text("stage.lua"))
        text = "".join(map(load_text, ("runs_common.lua", "adopt.lua", "commit.lua")))
        self._adopt = Script("adopt", refused_when_full(text))

    def put(
        self, run: str, definitions: Mapping[str, bytes], blobs: Mapping[str, bytes]
    ) -> None:
        """Store what the history refers to, unless it is there; this goes before the history itself."""
        for part in _parts(definitions.items(), lambda item: len(item[1])):
            self._store.put_definitions(dict(part))
        for several in _parts(
            blobs.items(), lambda blob: len(blob[1])
        ):  # read one by one, and not held
            self._store.call(self._store.payload_calls(run, dict(several)))

    def take(
        self,
        commit: Commit,
        history: Sequence[RawEvent],
        wakeups: Sequence[WakeUp] = (),
    ) -> AdoptionReply:
        """Carry out a commit of mode adopt; answers as a commit does, EXISTS for a run with another history.

        Raises StageLost.
        """
        self.put(commit.run, {}, {blob.sha: blob.data for blob in commit.blobs})
        stage = self._store.keys.stage(commit.run, commit.commit_id)
        for _ in range(TRIES):
            for call in self._stage_calls(stage, history):
                self._store.call([call])
            reply, *rest = self._store.call(
                [self._adopt_call(commit, stage), *self._store.ring_calls(wakeups)]
            )
            [taken_over] = reply[ANSWERS]
            answer = self._store.committed(commit, taken_over)
            if answer.code is not Code.UNSTAGED:
                return AdoptionReply(answer, asked_for(rest))
        raise StageLost(commit.run)

    def _stage_calls(
        self, stage: bytes, history: Sequence[RawEvent]
    ) -> Iterator[ScriptCall]:
        for part in _parts(
            history, lambda event: len(event.data) + len(event.metadata)
        ):
            args: list[Any] = [part[0].version - 1, KEEP_MS]
            for event in part:
                who = (event.commit, event.actor, event.cause)
                args += [
                    _raw(event.type),
                    event.data,
                    event.time_ms,
                    *map(_raw, who),
                    event.metadata,
                ]
            yield ScriptCall(self._stage, [stage], args)

    def _adopt_call(self, commit: Commit, stage: bytes) -> ScriptCall:
        call = self._store.commit_call(commit)
        return ScriptCall(self._adopt, [*call.keys, stage], call.args)


def marked(
    history: Iterable[RawEvent],
    mark: Mapping[str, Json],
    *,
    without: Collection[str] = (),
) -> list[RawEvent]:
    """Return events with more metadata, and without that of some names.

    Raises NotJson.
    """
    alone = codec.encode(mark) if mark else b""

    def metadata(event: RawEvent) -> bytes:
        if not event.metadata:
            return alone
        kept = {
            name: value
            for name, value in codec.decode(event.metadata).items()
            if name not in without
        }
        return codec.encode({**kept, **mark})

    return [replace(event, metadata=metadata(event)) for event in history]


def _parts(
    items: Iterable[Item], size_of: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """Cut a sequence into parts of a bounded number and size."""
    part: list[Item] = []
    size = 0
    for item in items:
        is_full = part and (len(part) >= BATCH_EVENTS or size >= BATCH_BYTES)
        if is_full:
            yield part
            part = []
            size = 0
        part.append(item)
        size += size_of(item)
    if part:
        yield part


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
