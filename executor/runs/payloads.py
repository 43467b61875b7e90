"""Stored events with their payloads: blobs fetched, ciphertexts opened, and null for what was shredded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from eventstore.event import Recorded
from eventstore.runs import RunStore
from executor.encryption import RunKey
from executor.errors import DamagedPayload, KeyMissing, RunSealed
from executor.runs.codec import RunKeys, decode_all, filled, is_sealed, shown
from executor.runs.keyring import Keyring
from openagents_json.workflow.core import events as ev

_REDACTED = ev.RunRedacted.__name__
SHREDDED = "shredded"
"""How RunRedacted says that the key of the run was destroyed."""


class Payloads:
    """Reads stored events back; safe for threads."""

    def __init__(self, store: RunStore, keyring: Keyring) -> None:
        self._store = store
        self.keyring = keyring

    def fetch(self, blobs: Sequence[tuple[str, str]]) -> list[bytes]:
        """Read blobs, each named by run and hash."""
        return self._store.blobs(
            [(self._store.partition_of(run), sha) for run, sha in blobs]
        )

    def decode(self, recorded: Sequence[Recorded]) -> list[ev.Event]:
        """Read stored events back, of any runs; what is remembered of keys is not relied on.

        Raises UnknownEvent, EncryptionError and EventStoreError.
        """
        return decode_all(recorded, self.fetch, self._keys_of(recorded))

    def filled(self, recorded: Sequence[Recorded]) -> list[Mapping[str, Any]]:
        """Return the data of stored events with all payloads in their places.

        Raises EncryptionError and EventStoreError.
        """
        return filled(recorded, self.fetch, self._keys_of(recorded))

    def shown(self, recorded: Sequence[Recorded]) -> list[Recorded]:
        """Return stored events for people: opened as far as this process has the keys, large payloads by reference.

        Where it has none, they are as they are stored; where they were shredded, their paths are listed under `erased`.
        """
        try:
            keys = self._keys_of(recorded)
        except (RunSealed, KeyMissing):
            return list(recorded)
        return [shown(item, keys) for item in recorded]

    def shown_pages(
        self, pages: Iterable[Sequence[Recorded]]
    ) -> Iterator[list[Recorded]]:
        """Return the pages of one history as `shown` does; the key of the run is looked for once."""
        keys: RunKeys | None = None
        for page in pages:
            if keys is None and any(map(is_sealed, page)):
                try:
                    keys = self._keys_of(page)
                except (RunSealed, KeyMissing):
                    yield list(page)
                    yield from map(list, pages)
                    return
            yield [shown(item, keys or {}) for item in page]

    def opened(
        self, run: str, tail: Sequence[Recorded], key: RunKey | None
    ) -> tuple[list[ev.Event], RunKey | None]:
        """Read events of one run back with the key that is last_key, or the one that the keyring knows; gives it too.

        Raises UnknownEvent, EncryptionError and EventStoreError.
        """
        is_plain = not any(is_sealed(item) for item in tail)
        if is_plain:
            return decode_all(tail, self.fetch), key
        last_key = key or self.keyring.known(run)
        if last_key is not None and not is_shredded(tail):
            try:
                return decode_all(tail, self.fetch, {run: last_key}), last_key
            except DamagedPayload:  # a run that was begun again after its beginning was lost has another key
                self.keyring.forget(run)
        keys = self._keys_of(tail)
        return decode_all(tail, self.fetch, keys), keys[run]

    def _keys_of(self, recorded: Sequence[Recorded]) -> RunKeys:
        sealed = _streams(filter(is_sealed, recorded))
        if not sealed:
            return {}
        gone = _streams(filter(_shreds, recorded)).keys() & sealed.keys()
        for run in gone:
            self.keyring.forget(run)
        keys = self.keyring.read([run for run in sealed if run not in gone])
        missing = [run for run, key in keys.items() if key is None]
        for run in missing:
            if not self._was_shredded(run):
                raise KeyMissing(run)
        return keys | dict.fromkeys(gone)

    def _was_shredded(self, run: str) -> bool:
        """Tell whether a run says that its key was destroyed; it says so after its end, so it is read from there."""
        return any(map(is_shredded, self._store.backwards(run)))


def _streams(recorded: Iterable[Recorded]) -> dict[str, None]:
    """Return the runs of events, in their order."""
    return dict.fromkeys([item.stream for item in recorded])


def is_shredded(recorded: Sequence[Recorded]) -> bool:
    """Tell whether events say that the key of their run was destroyed."""
    return any(map(_shreds, recorded))


def _shreds(item: Recorded) -> bool:
    return item.type == _REDACTED and item.data.get("how") == SHREDDED
