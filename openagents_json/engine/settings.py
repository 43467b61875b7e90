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
from openagents_json.engine.profiles.choice import environment_values
from openagents_json.engine.profiles.worker_type import (
    LONGEST_LEASE_MS,
    SHORTEST_LEASE_MS,
    WORKER_TYPES,
    WorkerType,
)

if TYPE_CHECKING:
    from executor.runs.codec import Limits
    from openagents_json.engine.profiles.resolve import Resolved


NO_BROKER: Final = "none"
"""The broker of those who wake nobody: workers find what there is to do some seconds later by themselves."""

OF_A_SERVER: Final = 64
EMBEDDED: Final = 8
"""How many partitions a new store gets: many workers share the one, one machine the other."""

_LEASE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|)")
_UNITS: Final = {"": 1, "ms": 1, "s": 1000, "m": 60_000}


class Settings(BaseModel):
    """What the engine can be told by `OPENAGENTS_<NAME>` variables."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str = Field(default="", repr=False)
    api_key: str = Field(default="", repr=False)
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
    build: str = Field(default="", max_length=200)
    actor: str = Field(default="", max_length=200)
    queues: str = ""
    concurrency: int = Field(default=4, ge=1, le=1000)
    lease_ms: int = Field(default=10_000, ge=SHORTEST_LEASE_MS, le=LONGEST_LEASE_MS)
    leases: Mapping[str, int] = Field(default_factory=dict)
    worker_types: Mapping[str, WorkerType] = Field(default_factory=dict)
    async_limit: int = Field(default=1000, ge=1, le=100_000)
    grace_seconds: float = Field(default=10.0, ge=0, le=86_400)
    log_level: str = Field(default="warning", pattern="^(debug|info|warning|error)$")
    log_format: str = Field(default="text", pattern="^(text|json)$")
    ready_file: str = ""
    audit_key: str = ""
    archive: str = Field(default="", repr=False)
    payload_limit: int = Field(default=8 * 1024 * 1024, ge=1024)
    max_events: int = Field(default=1_000_000, ge=100)
    max_children: int = Field(default=100_000, ge=0)
    max_items: int = Field(default=250_000, ge=1)
    max_starts: int = Field(default=100_000, ge=1)
    max_queue: int = Field(default=0, ge=0)
    encryption_keys: str = Field(default="", repr=False)

    @classmethod
    def from_profile(
        cls,
        name: str | None = None,
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Settings:
        """Read the settings as commands do: `values` count first, then the environment, then a profile of a file.

        The file is the nearest `openagents.toml`, in `folder` (the working directory) or above it. Without a `name`, it
        is the profile of OPENAGENTS_PROFILE, or that which the file names. Raises InvalidSetting, InvalidProfile and
        ProfileNotFound.
        """
        from openagents_json.engine.profiles.resolve import resolve

        resolved = resolve(
            cls,
            values,
            profile=name,
            environment=environment,
            folder=folder,
            spelled=lambda setting: f"{setting}=",
        )
        return resolved.settings

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
        return Limits(
            payload=self.payload_limit,
            bounds=bounds,
            starts=self.max_starts,
            queue=self.max_queue,
        )

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
    """Read the settings of the environment alone; `Settings.from_profile` reads those of a profile beneath it.

    Raises InvalidSetting, which names the first that is wrong.
    """
    values = environment_values(environment)
    settings = {name: values[name] for name in Settings.model_fields if name in values}
    if not any(name.startswith(WORKER_TYPES) for name in values):
        return read_settings(settings)
    from openagents_json.engine.worker_types.parts import parts_of_variables, tables_of

    worker_types = tables_of(parts_of_variables(values))
    return read_settings({**settings, WORKER_TYPES: worker_types})


def command_settings(
    options: Mapping[str, Any], *, profile: str | None = None
) -> Resolved[Settings]:
    """Read the settings of a command, and where each comes from: of its `options`, None stands for one not given.

    Raises InvalidSetting, InvalidProfile and ProfileNotFound.
    """
    from openagents_json.engine.profiles.resolve import resolve

    given = {name: value for name, value in options.items() if value is not None}
    return resolve(Settings, given, profile=profile)


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
