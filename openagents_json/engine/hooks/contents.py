"""What is kept of a delivery: what it said and what it comes to, encrypted where payloads of runs are."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eventstore import codec
from executor.runs.keyring import Keyring
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Contents:
    """A delivery as expressions see it, and what it comes to; no `decision` for one that comes to nothing."""

    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None


class Envelope:
    """Writes and reads contents of deliveries."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def sealed(self, hook: str, delivery: str, contents: Contents) -> bytes:
        """Return what the store keeps."""
        plain = codec.encode(
            codec.normalise(
                {
                    "body": contents.body,
                    "headers": dict(contents.headers),
                    "decision": contents.decision,
                }
            )
        )
        key = self._keyring.fresh(_name(hook, delivery))
        if key is None:
            return plain
        text = base64.b64encode(key.encrypt(plain, "delivery")).decode()
        return codec.encode({"key": key.wrapped, "sealed": text})

    def opened(self, hook: str, delivery: str, raw: bytes) -> Contents:
        """Return what the store has kept.

        Raises EncryptionError.
        """
        record: Any = codec.decode(raw)
        if "sealed" in record:
            name = _name(hook, delivery)
            key = self._keyring.unwrapped(name, record["key"].encode())
            if key is not None:
                sealed = base64.b64decode(record["sealed"])
                record = codec.decode(key.decrypt(sealed, "delivery"))
        return Contents(record["body"], record["headers"], record["decision"])


def _name(hook: str, delivery: str) -> str:
    """Name the key of a delivery, as no run is named."""
    digest = hashlib.sha256(f"{hook}\0{delivery}".encode()).hexdigest()
    return f"hook-{digest}"
