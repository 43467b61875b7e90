"""The keys of encrypted runs, as programs manage them."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

from executor.encryption import RunKey, key_id, make_key, parse_key
from executor.histories.shredding import adopt_key
from executor.runs.keyring import Rotation
from openagents_json.engine.wiring.client import Core


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A master key, base64 of 32 bytes, and the name by which messages call it."""

    key: str = field(repr=False)
    id: str


def new_master_key() -> MasterKey:
    """Return a new master key: put it first among the encryption keys, wherever runs are started or worked on."""
    key = make_key(secrets.token_bytes)
    return MasterKey(key, key_id(parse_key(key, "the key")))


def parse_run_key(text: str, run: str) -> bytes:
    """Return the key of a run from base64.

    Raises InvalidKey.
    """
    return parse_key(text, f"the key of run {run}")


class RunKeys:
    """The keys of the encrypted runs of a store."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def of(self, run: str) -> RunKey | None:
        """Return the key of a run, None where nobody has kept one.

        Raises EncryptionError.
        """
        return self._core.keyring.read([run])[run]

    def export(self, run: str) -> str | None:
        """Return the key of a run as base64, None for a run that is not encrypted; who has it can read all payloads.

        Raises RunNotFound and EncryptionError.
        """
        self._core.sessions.load(run)
        key = self._core.keyring.export_key(run)
        if key is None:
            return None
        return base64.b64encode(key).decode()

    def adopt(self, run: str, key: bytes) -> None:
        """Keep the key of a run that comes from another store, before its capsule is imported.

        Raises EncryptionError.
        """
        adopt_key(self._core.handler, run, key)

    def rotate(self) -> Rotation:
        """Wrap the keys of all runs with the first master key, after which the others are not needed any more.

        May be stopped and repeated.
        """
        return self._core.keyring.rotate()
