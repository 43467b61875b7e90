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

from eventstore.redis.coordination.allowances import Allowance, Allowances
from eventstore.redis.coordination.records import RecordTable
from openagents_json.engine.errors import ApiKeyNotFound, InvalidApiKey

ROLES: Final = ("viewer", "operator", "developer", "admin", "worker")
"""What a caller may do, each as much as those before it: look; start and steer runs; publish; erase and give keys.

A worker may run steps and nothing else; so may who may do everything.
"""

RATE: Final = re.compile(r"([1-9][0-9]{0,8})/([smh])")
_PERIODS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000}

_ID: Final = re.compile(r"[0-9a-f]{12}")
_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,100}")
_SECRET: Final = re.compile(r"oak_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a key may send in a period, evenly or all at once."""

    limit: int
    period_ms: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return the rate of a text such as 100/s, 6000/m or 10000/h.

        Raises InvalidApiKey.
        """
        match = RATE.fullmatch(text.strip())
        if match is None:
            raise InvalidApiKey(
                f"{text!r} is no rate",
                remedy="write how many requests, and in what: 100/s, 6000/m, 10000/h",
            )
        return cls(int(match[1]), _PERIODS[match[2]])

    def __str__(self) -> str:
        """Return the rate as it is written."""
        names = {period_ms: name for name, period_ms in _PERIODS.items()}
        return f"{self.limit}/{names[self.period_ms]}"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is on record; `expires_ms` is 0 for one that does not expire.

    `rate` says how many requests it may send, as text; with "", as many as it likes.
    """

    id: str
    name: str
    role: str
    created_ms: int
    created_by: str
    expires_ms: int = 0
    rate: str = ""


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
        allowances: Allowances,
        now_ms: Callable[[], int],
        actor: str,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._table = table
        self._allowances = allowances
        self._now_ms = now_ms
        self._actor = actor
        self._random_bytes = random_bytes

    def create(
        self,
        name: str,
        role: str,
        *,
        lasts_ms: int | None = None,
        rate: str = "",
        key_id: str = "",
    ) -> NewApiKey:
        """Make a key for a caller, who stands by its name in histories; its secret is given this once.

        `rate` bounds the requests that it may send, over all instances: 100/s, 6000/m, 10000/h. With a `key_id` of
        twelve hexadecimal digits, the key gets that; one that has it already is replaced, its secret counts no more.
        Raises InvalidApiKey.
        """
        if key_id and not _ID.fullmatch(key_id):
            raise InvalidApiKey(
                f"{key_id!r} is no id of a key",
                remedy="use twelve hexadecimal digits, 0-9 and a-f",
            )
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
        key_id = key_id or self._random_bytes(_ID_BYTES).hex()
        key = ApiKey(
            key_id, name, role, now_ms, self._actor, expires_ms, _rate_text(rate)
        )
        return self._with_secret(key)

    def limit(self, key_id: str, rate: str) -> ApiKey:
        """Give a key another rate, "" for none; every instance knows within two seconds.

        Raises ApiKeyNotFound and InvalidApiKey.
        """
        text = _rate_text(rate)
        record = self._table.change(key_id, lambda record: {**record, "rate": text})
        if record is None:
            raise ApiKeyNotFound(key_id)
        return _key(key_id, record)

    def rotate(self, key_id: str) -> NewApiKey:
        """Give a key another secret; the one that it had counts no more.

        Raises ApiKeyNotFound.
        """
        secret = self._secret_of(key_id)
        sha256 = _digest(secret)
        record = self._table.change(key_id, lambda record: {**record, "sha256": sha256})
        if record is None:
            raise ApiKeyNotFound(key_id)
        return NewApiKey(_key(key_id, record), secret)

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

    def count(self, key: ApiKey) -> Allowance:
        """Count a request of a key that has a rate, and return what it may still send.

        Raises StoreUnavailable.
        """
        rate = Rate.parse(key.rate)
        return self._allowances.take(key.id, rate.limit, rate.period_ms)

    def _secret_of(self, key_id: str) -> str:
        return f"oak_{key_id}_{_urlsafe(self._random_bytes(_SECRET_BYTES))}"

    def _with_secret(self, key: ApiKey) -> NewApiKey:
        secret = self._secret_of(key.id)
        record = {
            "name": key.name,
            "role": key.role,
            "created_ms": key.created_ms,
            "created_by": key.created_by,
            "expires_ms": key.expires_ms,
            "rate": key.rate,
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
        record.get("rate", ""),  # keys of before had none
    )


def _rate_text(rate: str) -> str:
    return str(Rate.parse(rate)) if rate else ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
