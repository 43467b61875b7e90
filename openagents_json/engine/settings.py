"""Settings: read once from the environment, as data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from eventstore.redis.driver.replication import MOST_MS
from openagents_json.engine.errors import InvalidSetting

if TYPE_CHECKING:
    from executor.runs.codec import Limits


NO_BROKER: Final = "none"
"""The broker of those who wake nobody: workers find what there is to do some seconds later by themselves."""

OF_A_SERVER: Final = 64
EMBEDDED: Final = 8
"""How many partitions a new store gets: many workers share the one, one machine the other."""


SHORTEST_LEASE_MS: Final = 300
LONGEST_LEASE_MS: Final = 3_600_000

_LEASE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|)")
_UNITS: Final = {"": 1, "ms": 1, "s": 1000, "m": 60_000}


class Settings(BaseModel):
    """What the engine can be told by `OPENAGENTS_<NAME>` variables."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str = Field(default="", repr=False)
    broker: str = Field(default="", repr=False)
    prefix: str = "oa"
    partitions: int = Field(default=0, ge=0, le=4096)
    durability: str = Field(
        default="everysec", pattern="^(memory|everysec|always|replicated)$"
    )
    replicas: int = Field(default=0, ge=0, le=16)
    replica_timeout_ms: int = Field(default=2000, ge=1, le=MOST_MS)
    data: str = ".openagents"
    components: str = ""
    actor: str = Field(default="", max_length=200)
    queues: str = ""
    concurrency: int = Field(default=4, ge=1, le=1000)
    lease_ms: int = Field(default=10_000, ge=SHORTEST_LEASE_MS, le=LONGEST_LEASE_MS)
    leases: Mapping[str, int] = Field(default_factory=dict)
    async_limit: int = Field(default=1000, ge=1, le=100_000)
    grace_seconds: float = Field(default=10.0, ge=0, le=86_400)
    audit_key: str = ""
    archive: str = Field(default="", repr=False)
    payload_limit: int = Field(default=8 * 1024 * 1024, ge=1024)
    max_events: int = Field(default=1_000_000, ge=100)
    max_children: int = Field(default=100_000, ge=0)
    max_items: int = Field(default=250_000, ge=1)
    max_starts: int = Field(default=100_000, ge=1)
    encryption_keys: str = Field(default="", repr=False)

    @field_validator("leases", mode="before")
    @classmethod
    def _are_leases(cls, value: str | Mapping[str, int]) -> Mapping[str, int]:
        return lease_lengths(value)

    @field_validator("encryption_keys")
    @classmethod
    def _are_keys(cls, text: str) -> str:
        from executor.encryption import parse_key

        for number, key in enumerate(_keys(text), 1):
            parse_key(key, f"key {number}")
        return text

    @property
    def partitions_of_a_new_store(self) -> int:
        """Return how many partitions a store gets that is not there yet."""
        if self.partitions:
            return self.partitions
        return OF_A_SERVER if self.url else EMBEDDED

    def broker_at(self, store: str) -> str:
        """Return the broker beside a store: the store's own server unless another is named, "" for none."""
        if self.broker == NO_BROKER:
            return ""
        return self.broker or store

    @property
    def limits(self) -> Limits:
        """Return how large payloads, runs and requests may be."""
        from executor.runs.codec import Limits
        from openagents_json.workflow.core.bounds import Bounds

        bounds = Bounds(self.max_events, self.max_children, self.max_items)
        return Limits(payload=self.payload_limit, bounds=bounds, starts=self.max_starts)

    @property
    def master_keys(self) -> tuple[str, ...]:
        """Return the master keys, the one that wraps first."""
        return _keys(self.encryption_keys)


def lease_lengths(value: str | Mapping[str, int]) -> dict[str, int]:
    """Return leases by worker type in ms, from a mapping or from text: `agent=60s,tool=5s`, where a number alone is ms.

    Raises ValueError.
    """
    lengths: dict[str, int] = {}
    pairs = _pairs(value) if isinstance(value, str) else value.items()
    for name, length_ms in pairs:
        if name in lengths:
            raise ValueError(f"the lease of {name!r} is said twice")
        if not SHORTEST_LEASE_MS <= length_ms <= LONGEST_LEASE_MS:
            what = f"the lease of {name!r} is {length_ms} ms"
            raise ValueError(
                f"{what}; it has to be between {SHORTEST_LEASE_MS} ms and {LONGEST_LEASE_MS // 60_000} m"
            )
        lengths[name] = length_ms
    return lengths


def _pairs(text: str) -> Iterator[tuple[str, int]]:
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, length = (piece.strip() for piece in part.partition("="))
        match = _LEASE.fullmatch(length)
        if not name or match is None:
            raise ValueError(
                f"{part!r} is no worker type with its lease; write agent=60s,tool=5s"
            )
        yield name, int(float(match[1]) * _UNITS[match[2]])


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key for part in text.split(",") if (key := part.strip()))


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises InvalidSetting, which names the first that is wrong.
    """
    source = os.environ if environment is None else environment
    prefix = "OPENAGENTS_"
    values = {
        key[len(prefix) :].lower(): value
        for key, value in source.items()
        if key.startswith(prefix)
    }
    return read_settings(
        {name: values[name] for name in Settings.model_fields if values.get(name)}
    )


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Check settings.

    Raises InvalidSetting, which names the first that is wrong.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidSetting(
            ".".join(str(part) for part in first["loc"]), first["msg"]
        ) from None


def program_settings(
    *,
    leases: Mapping[str, int] | None,
    audit_key: str | Path | None,
    encryption_keys: Sequence[str],
    **fields: str | int,
) -> Settings:
    """Return the settings that a program gives as arguments, whatever stands in its environment.

    Raises InvalidSetting and InvalidKey.
    """
    # The other fields are not checked against the bounds of the environment: who opens the store refuses what it
    # cannot use, and programs have always been free to hold leases that are shorter than a worker process may.
    return Settings().model_copy(
        update={
            **fields,
            "leases": _checked_leases(leases or {}),
            "audit_key": str(audit_key or ""),
            "encryption_keys": _joined(encryption_keys),
        }
    )


def _checked_leases(leases: Mapping[str, int]) -> dict[str, int]:
    try:
        return lease_lengths(leases)
    except ValueError as error:
        raise InvalidSetting("leases", str(error)) from None


def _joined(encryption_keys: Sequence[str]) -> str:
    """Return keys as the settings hold them; a blank one is no key: left out, nothing would be encrypted.

    Raises InvalidKey.
    """
    if encryption_keys:
        from executor.encryption import parse_key

        for number, key in enumerate(encryption_keys, 1):
            parse_key(key, f"encryption key {number}")
    return ",".join(encryption_keys)


def secret(name: str) -> str | None:
    """Return a secret: the variable `OPENAGENTS_SECRET_<NAME>` of this process."""
    return os.environ.get(f"OPENAGENTS_SECRET_{name}")


_FOR_COMPONENTS: Final = (
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    "PYTHONIOENCODING",
    "*_NUM_THREADS",
)
"""Variables that say how programs run and what language they speak; any other may hold a secret."""


def own_secrets(settings: Settings | None = None) -> list[Path]:
    """Return the places where our own secrets are: the data directory, and the file of the ledger's private key."""
    if settings is None:  # others of them may be wrong, which is nobody's concern here
        data, key = (
            os.environ.get("OPENAGENTS_DATA", ""),
            os.environ.get("OPENAGENTS_AUDIT_KEY", ""),
        )
    else:
        data, key = settings.data, settings.audit_key
    return [
        Path(data or Settings.model_fields["data"].default),
        *([Path(key)] if key else []),
    ]


def sandbox_environment(
    environment: Mapping[str, str] | None = None, names: Iterable[str] = ()
) -> dict[str, str]:
    """Return what components see of the environment in a backtest: what is known to be harmless, and `names`."""
    source = os.environ if environment is None else environment
    patterns = (*_FOR_COMPONENTS, *names)
    return {
        name: value
        for name, value in source.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }
