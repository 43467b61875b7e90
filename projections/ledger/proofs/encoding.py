"""Proofs and stored events as JSON, and back."""

from __future__ import annotations

import base64
from typing import Any, Final

from eventstore.redis.ledger import Stored
from projections.errors import EvidenceUnreadable
from projections.ledger.proofs.proof import Inclusion, Proof

PROOF_FORMAT: Final = "openagents-proof/1"


def proof_data(proof: Proof) -> dict[str, Any]:
    """Return a proof as JSON."""
    return {
        "format": PROOF_FORMAT,
        "records": [
            [raw.decode("utf-8", "surrogatepass"), signature.hex()]
            for raw, signature in proof.records
        ],
        "keys": {name: key.hex() for name, key in proof.keys.items()},
        "leaves": {str(index): joined.hex() for index, joined in proof.leaves.items()},
        "events": {
            str(version): _inclusion_data(inclusion)
            for version, inclusion in proof.events.items()
        },
    }


def _inclusion_data(inclusion: Inclusion) -> dict[str, Any]:
    return {
        "position": inclusion.n,
        "record": inclusion.record,
        "path": [neighbour.hex() for neighbour in inclusion.path],
        "salt": inclusion.salt.hex(),
        "commitment": "" if inclusion.salt else inclusion.committed.hex(),
    }


def read_proof(data: Any, where: str) -> Proof:
    """Read a proof back.

    Raises EvidenceUnreadable.
    """
    try:
        if data["format"] != PROOF_FORMAT:
            raise ValueError(f"its format is {data['format']!r}, not {PROOF_FORMAT!r}")
        return _proof(data)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        message = f"the proof in it is damaged ({type(error).__name__}: {error})"
        raise EvidenceUnreadable(where, message) from error


def _proof(data: Any) -> Proof:
    records = tuple(
        (str(raw).encode("utf-8", "surrogatepass"), bytes.fromhex(signature))
        for raw, signature in data["records"]
    )
    keys = {str(name): bytes.fromhex(key) for name, key in data["keys"].items()}
    inclusions = {
        int(version): _inclusion(entry) for version, entry in data["events"].items()
    }
    leaves = {
        int(index): bytes.fromhex(joined)
        for index, joined in data.get("leaves", {}).items()
    }
    return Proof(records, keys, inclusions, leaves)


def _inclusion(data: Any) -> Inclusion:
    n = data["position"]
    record = data["record"]
    if type(n) is not int or type(record) is not int:
        raise TypeError("position and record must be whole numbers")
    path = tuple(bytes.fromhex(neighbour) for neighbour in data["path"])
    salt = bytes.fromhex(data["salt"])
    return Inclusion(
        n=n,
        record=record,
        path=path,
        salt=salt,
        committed=bytes.fromhex(data["commitment"]),
    )


def stored_data(event: Stored) -> dict[str, Any]:
    """Return an event as it is stored as JSON; data and metadata are texts where they can be."""
    return {
        "stream": event.stream,
        "version": event.version,
        "position": event.n,
        "time_ms": event.time_ms,
        "commit": event.commit,
        "actor": event.actor,
        "cause": event.cause,
        "type": event.type,
        **_as_text("data", event.data),
        **_as_text("metadata", event.metadata),
    }


def _as_text(name: str, raw: bytes) -> dict[str, str]:
    """Return bytes as a text; what is none, because somebody changed it, in base64."""
    try:
        return {name: raw.decode("utf-8", "surrogatepass")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw).decode()}


def _as_bytes(data: Any, name: str) -> bytes:
    # With both, one could be proved and the other one be shown.
    if name in data and f"{name}_base64" in data:
        raise ValueError(f"{name} is there twice, as a text and in base64")
    if f"{name}_base64" in data:
        return base64.b64decode(data[f"{name}_base64"], validate=True)
    text = data[name]
    if type(text) is not str:
        raise TypeError(f"{name} must be a text")
    return text.encode("utf-8", "surrogatepass")


_NUMBERS: Final = ("version", "position", "time_ms")
_TEXTS: Final = ("stream", "commit", "actor", "cause", "type")


def read_stored(data: Any) -> Stored:
    """Read an event back.

    Raises KeyError, TypeError and ValueError.
    """
    numbers = [data[name] for name in _NUMBERS]
    texts = [data[name] for name in _TEXTS]
    are_numbers = all(type(number) is int for number in numbers)
    are_texts = all(type(text) is str for text in texts)
    if not are_numbers or not are_texts:
        raise TypeError("an event has numbers and texts only")
    version, n, time_ms = numbers
    stream, commit, actor, cause, kind = texts
    raw = _as_bytes(data, "data")
    metadata = _as_bytes(data, "metadata")
    return Stored(
        stream=stream,
        version=version,
        n=n,
        time_ms=time_ms,
        commit=commit,
        actor=actor,
        cause=cause,
        type=kind,
        data=raw,
        metadata=metadata,
    )
