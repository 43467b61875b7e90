"""Requests with idempotency keys: each is carried out once, and answered alike when it is sent again.

A note of the request is kept beside the log. That nothing is done twice does not hang on it: a command on a run is in
the log under a commit id that comes from the request, and is looked for there before it is carried out. The note says
from which version on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from eventstore.redis.coordination.keyed_requests import (
    Answered,
    KeyedRequestStore,
    OtherRequest,
    UnderWay,
)
from executor.clock import ulid
from executor.runs.once import HandlerOnce
from openagents_json.engine.steering.errors import KeyReused, RequestUnderWay
from openagents_json.engine.wiring.client import Core

HELD_MS: Final = 30_000
"""So long nobody else carries a request out; after it, who has begun is taken to have died."""

KEPT_MS: Final = 24 * 3_600_000
"""So long a key stands for its request."""


@dataclass(slots=True)
class CarriedRequest:
    """A request that is to be carried out now, by `who`; `was_found` tells that the log had its command already."""

    name: str
    who: str
    commit: str
    after: int
    was_found: bool = field(default=False)

    def found(self) -> None:
        """Say that its command is in the log already."""
        self.was_found = True


class KeyedRequests:
    """The requests of a caller that have keys."""

    def __init__(self, core: Core, actor: str) -> None:
        self._core = core
        self._actor = actor
        self._store = KeyedRequestStore(core.store, held_ms=HELD_MS, kept_ms=KEPT_MS)

    def begin(
        self, key: str, what: str, digest: str, run: str = ""
    ) -> CarriedRequest | bytes:
        """Begin to carry out a request, `what` of a caller under a key; where it was answered before, return that.

        Raises KeyReused, RequestUnderWay and StoreUnavailable.
        """
        name = f"{self._actor}\0{what}\0{key}"
        who = ulid(self._core.clock.now_ms())
        version = self._version(run) if run else 0
        standing = self._store.begin(name, who, digest, version)
        if isinstance(standing, Answered):
            return standing.answer
        if isinstance(standing, UnderWay):
            raise RequestUnderWay(standing.left_ms)
        if isinstance(standing, OtherRequest):
            raise KeyReused(digest, standing.digest)
        commit = hashlib.sha256(f"{name}\0{digest}".encode("utf-8", "surrogatepass"))
        return CarriedRequest(name, who, commit.hexdigest(), standing.version)

    def answered(self, request: CarriedRequest, answer: bytes) -> None:
        """Keep what was answered."""
        self._store.answer(request.name, request.who, answer)

    def ended(self, request: CarriedRequest, *, refused: bool) -> None:
        """Say that there is no answer to keep: nothing was done where it was `refused`, else nobody knows.

        Of a request that was taken over nobody knows either: its key goes on to stand for it.
        """
        self._store.free(request.name, request.who, refused=refused)

    def _version(self, run: str) -> int:
        [position] = self._core.store.positions([run])
        return 0 if position is None else position.version


@dataclass(frozen=True, slots=True)
class _Parts:
    """Parts that are there already, in the place of those that are built when they are asked for."""

    parts: Any

    def get(self) -> Any:
        """Return the parts."""
        return self.parts


def carrying_out_once(
    core: Core, commit: str, after: int, on_repeat: Callable[[], None]
) -> Core:
    """Return a core whose command on a run is carried out once under the name `commit`."""
    parts = core.late.get()
    once = HandlerOnce(parts.handler, commit, after, on_repeat)
    late: Any = _Parts(replace(parts, handler=once))
    return replace(core, late=late)
