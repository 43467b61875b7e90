"""The cryptography of payloads: AES-256-GCM, with what a ciphertext belongs to as associated data."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventstore import codec
from executor.errors import KEYS_VARIABLE, DamagedPayload, InvalidKey, RunSealed
from executor.errors import EncryptionError as EncryptionError
from executor.errors import KeyMissing as KeyMissing

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = "1"
OPEN_FORMAT: Final = "0"
"""A key that lies open in the store, for reports where there is no master key; that of a run is never taken so."""

REPORT: Final = "heal-"
"""How the names of reports begin; no id of a run does."""

MALFORMED: Final = "malformed"
VARIABLE: Final = KEYS_VARIABLE

Random = Callable[[int], bytes]
"""Gives so many random bytes, fit for keys."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """The data key of a run; `wrapped` is what the store is to keep of a new one."""

    run: str
    secret: bytes = field(repr=False)
    random: Random = field(repr=False, compare=False)
    wrapped: str = ""

    def encrypt(self, plain: bytes, *path: str) -> bytes:
        """Encrypt what belongs to a place of the run: nonce and ciphertext."""
        return _encrypt(self.secret, plain, [self.run, *path], self.random)

    def decrypt(self, raw: bytes, *path: str) -> bytes:
        """Decrypt what was encrypted for a place of the run.

        Raises DamagedPayload.
        """
        plain = _decrypt(self.secret, raw, [self.run, *path])
        if plain is None:
            raise DamagedPayload(self.run, " ".join(x for x in path if x))
        return plain


class MasterKeys:
    """The master keys of a process, base64 of 32 bytes each: the first wraps, all unwrap.

    Raises InvalidKey.
    """

    def __init__(self, texts: Sequence[str], random: Random) -> None:
        keys = [
            parse_key(text, f"encryption key {number}")
            for number, text in enumerate(texts, 1)
        ]
        self._random = random
        self._keys = {key_id(key): key for key in keys}
        self.first = key_id(keys[0]) if keys else ""

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of the keys, the one that wraps first; empty when there is none."""
        return tuple(self._keys)

    def secrets(self) -> list[bytes]:
        """Return the keys themselves, for what else is derived from them."""
        return list(self._keys.values())

    def fresh(self, run: str) -> RunKey:
        """Make the data key of a new run."""
        key = self._random(KEY_BYTES)
        return RunKey(
            run=run, secret=key, random=self._random, wrapped=self.wrap(run, key)
        )

    def wrap(self, run: str, key: bytes) -> str:
        """Return what the store keeps of a data key: format, id of the master key, base64 of nonce and ciphertext."""
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
            encrypted = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise DamagedPayload(run, "its key") from error
        key = _decrypt(self._keys[wrapper], encrypted, ["key", run])
        if key is None:
            raise DamagedPayload(run, "its key")
        return RunKey(run, key, self._random)

    def held(self, run: str, key: bytes) -> RunKey:
        """Return a data key as it was given, to try it."""
        return RunKey(run, key, self._random)

    def adopted(self, run: str, key: bytes) -> RunKey:
        """Return the key of a run that came from elsewhere."""
        return RunKey(
            run=run, secret=key, random=self._random, wrapped=self.wrap(run, key)
        )


def wrapped_by(record: bytes) -> str:
    """Return the id of the master key that wrapped a data key."""
    if record.count(b".") == 2:
        return record.decode("ascii", "replace").split(".")[1]
    return ""


def parse_key(text: str, what: str) -> bytes:
    """Read a key: base64 of 32 bytes.

    Raises InvalidKey.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidKey(what, "is not base64", because=MALFORMED) from None
    if len(key) != KEY_BYTES:
        reason = f"has {len(key)} bytes instead of {KEY_BYTES}"
        raise InvalidKey(what, reason, because=MALFORMED)
    return key


def make_key(random: Random) -> str:
    """Make a master key, as base64."""
    return base64.b64encode(random(KEY_BYTES)).decode()


def key_id(key: bytes) -> str:
    """Name a master key without telling it."""
    return hashlib.sha256(key).hexdigest()[:8]


def _encrypt(key: bytes, plain: bytes, about: Sequence[str], random: Random) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import (
        AESGCM,
    )  # imported where something is encrypted

    nonce = random(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, codec.encode(list(about)))


def _decrypt(key: bytes, raw: bytes, about: Sequence[str]) -> bytes | None:
    """Decrypt, or return None for what was not encrypted with this key for this place."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(raw) < _NONCE_BYTES + 16:
        return None
    try:
        return AESGCM(key).decrypt(
            raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], codec.encode(list(about))
        )
    except InvalidTag:
        return None
