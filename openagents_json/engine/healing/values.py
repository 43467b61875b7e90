"""What a heal was given and what it found, on its report: encrypted under a key of the report, which can be destroyed.

A report is read for as long as its store is there, and it may quote what runs worked with: values of `--set` and
`--mock`, and why a run is not healed. So these lie on the log as ciphertext, as payloads of encrypted runs do. The key
is wrapped by a master key where there is one; else it lies open in the store, and whoever reads the store reads them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from msgspec import structs

from eventstore import codec
from eventstore.event import Event, Recorded
from eventstore.redis.run_keys import KeyStore
from executor.encryption import KEY_BYTES, OPEN_FORMAT, RunKey
from executor.errors import DamagedPayload, RunSealed
from executor.runs.keyring import Keyring

HIDDEN: Final = "hidden"
"""The member of an event that has the ciphertext."""

_SEALED: Final[Mapping[str, Mapping[str, Any]]] = {
    "HealStarted": {"fix": {"inputs": None}, "mocks": None},
    "RunBacktested": {"reason": "", "error": None},
    "RunHealSkipped": {"why": ""},
}
"""Which members of which events, and what stands in their place."""


class HealValues:
    """Seals and opens events of reports; safe for threads."""

    def __init__(self, keys: KeyStore, keyring: Keyring) -> None:
        self._keys = keys
        self._keyring = keyring

    def begin(self, heal: str) -> None:
        """Make the key of a report that is about to begin."""
        key = self._keyring.fresh(heal)
        if key is not None:
            self._keys.add(heal, key.wrapped)
        else:
            self._keys.add(heal, open_record(secrets.token_bytes(KEY_BYTES)))

    def key(self, heal: str) -> RunKey | None:
        """Return the key of a report, None when it has none any more.

        Raises RunSealed and DamagedPayload.
        """
        return self._keyring.read([heal])[heal]

    def destroy(self, heal: str) -> None:
        """Destroy the key of a report."""
        # First in the store: who reads it from there after `forget` would keep it once more.
        self._keys.remove(heal)
        self._keyring.forget(heal)

    def sealed(
        self, heal: str, events: Iterable[Event], *, redacted: bool = False
    ) -> list[Event]:
        """Return events as they are stored: without values where these were erased.

        Those of a report that an earlier version has begun, which has no key, stay as they are. Raises RunSealed and
        DamagedPayload.
        """
        key = None if redacted else self.key(heal)
        if key is None and not redacted:
            return list(events)
        return [_sealed(key, event) for event in events]

    def opened(self, heal: str, recorded: Iterable[Recorded]) -> Iterator[Recorded]:
        """Return stored events as far as this process can open them, each with `unread` where it cannot.

        Raises DamagedPayload.
        """
        keys: list[RunKey | None] = []  # asked for once, and only if there is need
        for item in recorded:
            if HIDDEN not in item.data:
                yield item
                continue
            if not keys:
                keys.append(self._readable(heal))
            yield _opened(keys[0], item)

    def _readable(self, heal: str) -> RunKey | None:
        try:
            return self.key(heal)
        except RunSealed:  # it can be looked at all the same; who goes on is told
            return None


def open_record(key: bytes) -> str:
    """Return what the store keeps of the key of a report where there is no master key."""
    return f"{OPEN_FORMAT}..{base64.b64encode(key).decode()}"


def _bound_to(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a ciphertext belongs to: in another event, or for another run, it cannot be opened."""
    return kind, str(data.get("run", ""))


def _sealed(key: RunKey | None, event: Event) -> Event:
    blanks = _SEALED.get(event.type, {})
    hidden = {
        name: event.data[name]
        for name in blanks
        if _holds_values(name, event.data.get(name))
    }
    if not hidden:
        return event
    data = dict(event.data)
    if key is not None:
        raw = key.encrypt(codec.encode(hidden), *_bound_to(event.type, event.data))
        data[HIDDEN] = base64.b64encode(raw).decode()
    for name, value in hidden.items():
        blank = blanks[name]
        data[name] = {**value, **blank} if isinstance(blank, dict) else blank
    return replace(event, data=data)


def _holds_values(name: str, value: Any) -> bool:
    """Tell whether there is something to hide; of a fix, its inputs."""
    if name == "fix" and value:
        return bool(value["inputs"])
    return bool(value)


def _opened(key: RunKey | None, item: Recorded) -> Recorded:
    data = {name: value for name, value in item.data.items() if name != HIDDEN}
    if key is None:
        return structs.replace(item, data={**data, "unread": True})
    try:
        raw = base64.b64decode(item.data[HIDDEN], validate=True)
    except ValueError as error:
        raise DamagedPayload(key.run, item.type) from error
    hidden = codec.decode(key.decrypt(raw, *_bound_to(item.type, data)))
    return structs.replace(item, data=data | hidden)
