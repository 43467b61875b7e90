"""What somebody who can write to the store does beside its log."""

from __future__ import annotations

import zlib
from typing import Any

from eventstore import codec
from eventstore.redis.driver.scripts import PlainCall
from openagents_json.engine import Engine


def swapped(engine: Engine, run: str, new: bytes | None = None) -> tuple[bytes, bytes]:
    """Put another definition under the hash of a run's own; gives its key, and what stood there."""
    store = engine.core.store
    key = store.keys.definition(engine.core.sessions.load(run).state.definition)
    [old] = store.call([read_from_store(key)])
    write_to_store(
        engine, key, old.replace(b"alice", b"mallory") if new is None else new
    )
    return key, old


def read_from_store(key: bytes) -> Any:
    return PlainCall((b"GET", key))


def write_to_store(engine: Engine, key: bytes, raw: bytes) -> None:
    engine.core.connection.command(b"SET", key, raw)


def blob_key(engine: Engine, run: str) -> bytes:
    keys = engine.core.store.keys
    [sha] = [ref[1] for ref in engine.history(run)[0].data["blobs"]]
    return keys.blob(keys.partition_of(run), sha)


def forge(engine: Engine, run: str) -> bytes:
    """Let the snapshot of a run say that it began with other inputs, and give what it was."""
    key = engine.core.store.keys.snapshot(run)
    raw: bytes = engine.core.connection.command(b"GET", key)
    form, version, commit, data = codec.decode(zlib.decompress(raw))
    wrong = codec.encode(
        [form, version, commit, {**data, "inputs": {**data["inputs"], "to": "mallory"}}]
    )
    write_to_store(engine, key, zlib.compress(wrong, 1) + raw[-32:])
    return raw
