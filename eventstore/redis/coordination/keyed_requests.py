"""Requests that their callers have named by idempotency keys; see lua/request.lua."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.retries import retrying
from eventstore.redis.driver.scripts import Script, ScriptCall, load_text


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is the asker's to carry out; its run was at this version when it came for the first time."""

    version: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The request was carried out before, and this was answered."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Somebody else carries the request out, and may so long."""

    left_ms: int


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """The key stands for another request, with this digest."""

    digest: str


Standing = Begun | Answered | UnderWay | OtherRequest

_BEGUN: Final = 0
_ANSWERED: Final = 1
_UNDER_WAY: Final = 2


class KeyedRequestStore:
    """The requests with keys; each method may be sent again."""

    def __init__(self, client: RedisClient, *, held_ms: int, kept_ms: int) -> None:
        self._client = client
        self._held_ms = held_ms
        self._kept_ms = kept_ms
        self._script = Script("request", load_text("request.lua"))

    def begin(self, name: str, who: str, digest: str, version: int) -> Standing:
        """Ask to carry out a request, whose run is at a version."""
        reply = self._call(
            name, "begin", who, digest, version, self._held_ms, self._kept_ms
        )
        if reply[0] == _BEGUN:
            return Begun(int(reply[1]))
        if reply[0] == _ANSWERED:
            return Answered(reply[1])
        if reply[0] == _UNDER_WAY:
            return UnderWay(int(reply[1]))
        return OtherRequest(reply[1].decode())

    def answer(self, name: str, who: str, answer: bytes) -> None:
        """Keep what is answered."""
        self._call(name, "answer", who, answer)

    def free(self, name: str, who: str, *, refused: bool) -> None:
        """Let others carry it out; if it was `refused`, the key stands for nothing any more.

        Unless it was taken over: who had it before may have done it, so from when on to look for that stays known.
        """
        self._call(name, "free", who, int(refused))

    def _call(self, name: str, operation: str, *args: Any) -> Any:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        key = self._client.keys.request(digest)
        call = ScriptCall(self._script, [key], [operation, *args])
        return retrying(lambda: self._client.call([call])[0])
