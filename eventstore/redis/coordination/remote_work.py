"""What work over HTTP has in the store beside its leases: the secret of its tokens, and what claims have been given."""

from __future__ import annotations

from collections.abc import Sequence

from eventstore import codec
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall


class RemoteWorkTable:
    """The records of work over HTTP."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._registry = store.keys.registry("remote")

    def secret(self, fresh: bytes) -> bytes:
        """Return the secret by which all instances know the tokens of leases; the first of them makes it."""
        calls = [
            PlainCall((b"HSETNX", self._registry, b"secret", fresh)),
            PlainCall((b"HGET", self._registry, b"secret")),
        ]
        secret: bytes = self._store.call(calls)[1]
        return secret

    def note(self, claim: str, given: Sequence[str], lasts_ms: int) -> None:
        """Keep what a claim was given, as long as its leases can last."""
        raw = codec.encode(list(given))
        key = self._store.keys.remote_claim(claim)
        self._store.call([PlainCall((b"SET", key, raw, b"PX", lasts_ms))])

    def given(self, claim: str) -> list[str] | None:
        """Return what a claim was given, None where nobody knows of it."""
        raw = self._store.call(
            [PlainCall((b"GET", self._store.keys.remote_claim(claim)))]
        )[0]
        given: list[str] | None = None if raw is None else codec.decode(raw)
        return given
