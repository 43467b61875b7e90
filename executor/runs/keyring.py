"""The data keys of encrypted runs: made with the run, kept wrapped by a master key, gone when they are shredded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eventstore.event import Recorded
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.redis.run_keys import KeyStore
from executor.encryption import KEY_BYTES, VARIABLE, MasterKeys, RunKey, wrapped_by
from executor.errors import DamagedPayload, EncryptionError, InvalidKey, RunSealed
from executor.runs.codec import Fetch, filled

PAGE: Final = 200
"""How many keys are read in one round trip."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation came to: run keys that were wrapped anew, that were already, and runs that could not be read."""

    rewrapped: int
    already: int
    unreadable: Mapping[str, str]


class Keyring:
    """The keys that this process may use; safe for threads. What is remembered of runs is bounded."""

    def __init__(
        self, store: KeyStore, masters: MasterKeys, *, capacity: int = 4096
    ) -> None:
        self._store = store
        self._masters = masters
        self._capacity = capacity
        self._keys: OrderedDict[str, RunKey] = OrderedDict()
        self._lock = ForkSafeLock()

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of the master keys; empty when runs are not encrypted here."""
        return self._masters.ids

    def fresh(self, run: str) -> RunKey | None:
        """Make the key of a run that is about to begin; None when runs are not encrypted here."""
        if self.ids:
            return self._masters.fresh(run)
        return None

    def keep(self, key: RunKey | None) -> None:
        """Remember a key."""
        if key is None:
            return
        with self._lock:
            self._keys[key.run] = key
            self._keys.move_to_end(key.run)
            if len(self._keys) > self._capacity:
                self._keys.popitem(last=False)

    def forget(self, run: str) -> None:
        """Forget the key of a run: it is no more, or it is another one."""
        with self._lock:
            self._keys.pop(run, None)

    def destroy(self, run: str) -> None:
        """Destroy the stored key of a run, and forget it."""
        self._store.remove(run)
        self.forget(run)

    def known(self, run: str) -> RunKey | None:
        """Return a key that is remembered."""
        with self._lock:
            return self._keys.get(run)

    def unwrapped(self, run: str, record: bytes | None) -> RunKey | None:
        """Return the key of a record that was read, None for none.

        Raises EncryptionError.
        """
        if record is None:
            self.forget(run)
            return None
        key = self._masters.unwrap(run, record)
        self.keep(key)
        return key

    def read(self, runs: Sequence[str]) -> dict[str, RunKey | None]:
        """Read the keys of runs from the store, in one round trip; None where there is none.

        Raises EncryptionError.
        """
        records = zip(runs, self._store.get(runs), strict=True)
        return {run: self.unwrapped(run, record) for run, record in records}

    def prepare(self, runs: Sequence[str]) -> None:
        """Read the keys of runs that are not remembered; one that cannot be read is told when it is needed."""
        if not self.ids:
            return
        unknown = [run for run in dict.fromkeys(runs) if self.known(run) is None]
        for run, record in zip(unknown, self._store.get(unknown), strict=True):
            try:
                self.unwrapped(run, record)
            except EncryptionError:
                continue

    def export_key(self, run: str) -> bytes | None:
        """Return the data key of a run, for whoever is to read a copy of it; None when it is not encrypted.

        Raises EncryptionError.
        """
        key = self.read([run])[run]
        if key is None:
            return None
        return key.secret

    def check_key(
        self, run: str, key: bytes, recorded: Sequence[Recorded], fetch: Fetch
    ) -> None:
        """Find out whether a key opens the payloads of a run.

        Raises InvalidKey.
        """
        try:
            filled(recorded, fetch, {run: self._masters.held(run, key)})
        except DamagedPayload as error:
            fault = "is another one: it does not open the run"
            raise InvalidKey(f"the key of run {run}", fault) from error

    def adopt_key(self, run: str, key: bytes, *, replace: bool = False) -> None:
        """Keep the data key of a run that comes from elsewhere, wrapped by the first master key.

        Raises InvalidKey when there is another one that is not to be replaced, or no master key.
        """
        name = f"the key of run {run}"
        if not self.ids:
            raise InvalidKey(name, "cannot be kept without a master key")
        if len(key) != KEY_BYTES:
            raise InvalidKey(name, f"has {len(key)} bytes instead of {KEY_BYTES}")
        wrapped = self._masters.adopted(run, key).wrapped
        # What is stored stays, unless it is to be replaced; then only what was seen here gives way.
        record = self._store.add(run, wrapped)
        is_other = record != wrapped.encode()
        if replace and is_other and self._store.swap(run, record, wrapped):
            record = wrapped.encode()
        stored = self._masters.unwrap(run, record)
        if stored.secret != key:
            raise InvalidKey(name, "is not the one that the store has")
        self.keep(stored)

    def rotate(self) -> Rotation:
        """Wrap every run key with the first master key; may be stopped and repeated at any time.

        Raises InvalidKey when there is no master key.
        """
        if not self.ids:
            fault = f"is missing: set {VARIABLE}, the new key first, then the old ones"
            raise InvalidKey("the master key", fault)
        rewrapped = already = 0
        unreadable: dict[str, str] = {}
        for run, record in self._records():
            if wrapped_by(record) == self._masters.first:
                already += 1
                continue
            try:
                rewrapped += self._rewrap(run, record)
            except RunSealed as error:
                unreadable[run] = error.key_id
            except EncryptionError:
                unreadable[run] = ""
        return Rotation(rewrapped, already, unreadable)

    def _records(self) -> Iterator[tuple[str, bytes]]:
        """Return the stored keys of all runs, but for those that are shredded meanwhile."""
        runs = list(self._store.runs())
        for start in range(0, len(runs), PAGE):
            page = runs[start : start + PAGE]
            for run, record in zip(page, self._store.get(page), strict=True):
                if record is not None:
                    yield run, record

    def _rewrap(self, run: str, record: bytes) -> bool:
        """Wrap a run key with the first master key; False when somebody was faster.

        Raises EncryptionError.
        """
        secret = self._masters.unwrap(run, record).secret
        return self._store.swap(run, record, self._masters.wrap(run, secret))
