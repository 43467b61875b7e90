"""API keys: who may call the services, and as what. The store keeps a hash of each secret and never the secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from eventstore.redis.coordination.records import RecordTable
from openagents_json.engine.errors import ApiKeyNotFound, InvalidApiKey

ROLES: Final = ("viewer", "operator", "developer", "admin", "worker")
"""What a caller may do, each as much as those before it: look; start and steer runs; publish; erase and give keys.

A worker may run steps and nothing else; so may who may do everything.
"""

_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,100}")
_SECRET: Final = re.compile(r"oak_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is on record; `expires_ms` is 0 for one that does not expire."""

    id: str
    name: str
    role: str
    created_ms: int
    created_by: str
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made, with its secret: nobody can show it again."""

    key: ApiKey
    secret: str


class ApiKeys:
    """The API keys of a store."""

    def __init__(
        self,
        table: RecordTable,
        now_ms: Callable[[], int],
        actor: str,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._table = table
        self._now_ms = now_ms
        self._actor = actor
        self._random_bytes = random_bytes

    def create(self, name: str, role: str, *, lasts_ms: int | None = None) -> NewApiKey:
        """Make a key for a caller, who stands by its name in histories; its secret is given this once.

        Raises InvalidApiKey.
        """
        if not _NAME.fullmatch(name):
            raise InvalidApiKey(
                f"{name!r} is no name of a key",
                remedy="use letters, digits, and the characters _ . -",
            )
        if role not in ROLES:
            raise InvalidApiKey(
                f"{role!r} is no role", remedy=f"use one of {', '.join(ROLES)}"
            )
        now_ms = self._now_ms()
        expires_ms = 0 if lasts_ms is None else now_ms + lasts_ms
        key_id = self._random_bytes(_ID_BYTES).hex()
        key = ApiKey(key_id, name, role, now_ms, self._actor, expires_ms)
        return self._with_secret(key)

    def rotate(self, key_id: str) -> NewApiKey:
        """Give a key another secret; the one that it had counts no more.

        Raises ApiKeyNotFound.
        """
        return self._with_secret(self._stored(key_id))

    def revoke(self, key_id: str) -> None:
        """Take a key back.

        Raises ApiKeyNotFound.
        """
        if not self._table.remove(key_id):
            raise ApiKeyNotFound(key_id)

    def every(self) -> list[ApiKey]:
        """Return all keys, the oldest first."""
        keys = [_key(name, record) for name, record in self._table.every().items()]
        return sorted(keys, key=lambda key: (key.created_ms, key.id))

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret, None where there is none, or it has expired."""
        match = _SECRET.fullmatch(secret)
        if match is None:
            return None
        record = self._table.get(match[1])
        if record is None:
            return None
        if not hmac.compare_digest(str(record["sha256"]), _digest(secret)):
            return None
        key = _key(match[1], record)
        has_expired = 0 < key.expires_ms <= self._now_ms()
        return None if has_expired else key

    def _stored(self, key_id: str) -> ApiKey:
        record = self._table.get(key_id)
        if record is None:
            raise ApiKeyNotFound(key_id)
        return _key(key_id, record)

    def _with_secret(self, key: ApiKey) -> NewApiKey:
        random_part = _urlsafe(self._random_bytes(_SECRET_BYTES))
        secret = f"oak_{key.id}_{random_part}"
        record = {
            "name": key.name,
            "role": key.role,
            "created_ms": key.created_ms,
            "created_by": key.created_by,
            "expires_ms": key.expires_ms,
            # A secret of 32 random bytes cannot be guessed: no slow hash is needed.
            "sha256": _digest(secret),
        }
        self._table.put(key.id, record)
        return NewApiKey(key, secret)


def _key(key_id: str, record: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        key_id,
        record["name"],
        record["role"],
        record["created_ms"],
        record["created_by"],
        record["expires_ms"],
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
