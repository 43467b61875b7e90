"""The cryptography of payloads: AES-256-GCM, with what a ciphertext belongs to as associated data."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventstore import codec
from eventstore.errors import EventStoreError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = "1"
OPEN_FORMAT: Final = "0"
"""A key that lies open in the store, for reports where there is no master key; that of a run is never taken so."""

REPORT: Final = "heal-"
"""How the names of reports begin; no id of a run does."""

_MAKE: Final = "`openagents keys generate` makes one"
VARIABLE: Final = "OPENAGENTS_ENCRYPTION_KEYS"

Random = Callable[[int], bytes]
"""Gives so many random bytes, fit for keys."""


class EncryptionError(EventStoreError):
    """Payloads of a run cannot be read here."""


class RunSealed(EncryptionError):
    """A run is encrypted, and this process does not have the master key; carries `run` and `key_id`."""

    def __init__(self, run: str, key_id: str) -> None:
        self.run, self.key_id = run, key_id
        named = f"with key {key_id}" if key_id else "with a key of its own"
        super().__init__(f"run {run} is encrypted {named}, which this process does not have; set {VARIABLE}")


class KeyMissing(EncryptionError):
    """A run is encrypted, its key is not in the store, and nothing says that it was shredded."""

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(
            f"run {run} is encrypted and its key is not in the store; restore it from a backup of the store, or, for a "
            f"run from elsewhere, take it along: `openagents keys show {run} > FILE` there, "
            f"`openagents keys adopt {run} < FILE` here"
        )


class DamagedPayload(EncryptionError):
    """What is stored was not encrypted with this key, or not for this place, or was changed since."""

    def __init__(self, run: str, place: str) -> None:
        self.run, self.place = run, place
        super().__init__(
            f"run {run}: {place} cannot be decrypted: it was changed, moved, or encrypted with another key; "
            "restore it from a backup of the store"
        )


class InvalidKey(EventStoreError, ValueError):
    """What was given as a key is none."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} {reason}")


@dataclass(frozen=True, slots=True)
class RunKey:
    """The data key of a run; `wrapped` is what the store is to keep of a new one."""

    run: str
    secret: bytes = field(repr=False)
    random: Random = field(repr=False, compare=False)
    wrapped: str = ""

    def encrypt(self, plain: bytes, *place: str) -> bytes:
        """Encrypt what belongs to a place of the run: nonce and ciphertext."""
        return _encrypt(self.secret, plain, [self.run, *place], self.random)

    def decrypt(self, raw: bytes, *place: str) -> bytes:
        """Decrypt what was encrypted for a place of the run.

        Raises DamagedPayload.
        """
        try:
            return _decrypt(self.secret, raw, [self.run, *place])
        except _Forged as error:
            raise DamagedPayload(self.run, " ".join(x for x in place if x)) from error


class Masters:
    """The master keys of a process, base64 of 32 bytes each: the first wraps, all unwrap.

    Raises InvalidKey.
    """

    def __init__(self, texts: Sequence[str], random: Random) -> None:
        keys = [parse_key(text, f"encryption key {place}") for place, text in enumerate(texts, 1)]
        self._random = random
        self._keys = {key_id(key): key for key in keys}
        self.first = key_id(keys[0]) if keys else ""

    @property
    def ids(self) -> tuple[str, ...]:
        """Give the ids of the keys, the one that wraps first; empty when there is none."""
        return tuple(self._keys)

    def secrets(self) -> list[bytes]:
        """Give the keys themselves, for what else is derived from them."""
        return list(self._keys.values())

    def fresh(self, run: str) -> RunKey:
        """Make the data key of a new run."""
        key = self._random(KEY_BYTES)
        return RunKey(run, key, self._random, self.wrap(run, key))

    def wrap(self, run: str, key: bytes) -> str:
        """Give what the store keeps of a data key: format, id of the master key, base64 of nonce and ciphertext."""
        raw = _encrypt(self._keys[self.first], key, ["key", run], self._random)
        return f"{_FORMAT}.{self.first}.{base64.b64encode(raw).decode()}"

    def unwrap(self, run: str, record: bytes) -> RunKey:
        """Read a data key back.

        Raises RunSealed when none of the master keys wrapped it, and DamagedPayload.
        """
        form, _, rest = record.decode("ascii", "replace").partition(".")
        wrapper, _, text = rest.partition(".")
        if form == OPEN_FORMAT and run.startswith(REPORT):
            return RunKey(run, parse_key(text, f"the key of {run}"), self._random)
        if form != _FORMAT:
            raise DamagedPayload(run, "its key")
        if wrapper not in self._keys:
            raise RunSealed(run, wrapper)
        try:
            key = _decrypt(self._keys[wrapper], base64.b64decode(text, validate=True), ["key", run])
        except (_Forged, binascii.Error) as error:
            raise DamagedPayload(run, "its key") from error
        return RunKey(run, key, self._random)

    def held(self, run: str, key: bytes) -> RunKey:
        """Give a data key as it was given, to try it."""
        return RunKey(run, key, self._random)

    def adopted(self, run: str, key: bytes) -> RunKey:
        """Give the key of a run that came from elsewhere."""
        return RunKey(run, key, self._random, self.wrap(run, key))


def wrapped_by(record: bytes) -> str:
    """Give the id of the master key that wrapped a data key."""
    return record.decode("ascii", "replace").split(".")[1] if record.count(b".") == 2 else ""


def parse_key(text: str, what: str) -> bytes:
    """Read a key: base64 of 32 bytes.

    Raises InvalidKey.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidKey(what, f"is not base64; {_MAKE}") from None
    if len(key) != KEY_BYTES:
        raise InvalidKey(what, f"has {len(key)} bytes instead of {KEY_BYTES}; {_MAKE}")
    return key


def make_key(random: Random) -> str:
    """Make a master key, as base64."""
    return base64.b64encode(random(KEY_BYTES)).decode()


def key_id(key: bytes) -> str:
    """Name a master key without telling it."""
    return hashlib.sha256(key).hexdigest()[:8]


class _Forged(Exception):
    """A ciphertext is not what was encrypted with this key for this place."""


def _encrypt(key: bytes, plain: bytes, about: Sequence[str], random: Random) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # imported where something is encrypted

    nonce = random(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, codec.encode(list(about)))


def _decrypt(key: bytes, raw: bytes, about: Sequence[str]) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(raw) < _NONCE_BYTES + 16:
        raise _Forged
    try:
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], codec.encode(list(about)))
    except InvalidTag as error:
        raise _Forged from error
