"""Check an audit export: python verify_export.py ledger.zip KEY.pub [KEY.pub ...]

It shares no code with this project: it is written from docs/reference/formats.md, with the standard library and
`cryptography` alone. It prints what is proved, or ends with exit code 1 and what is not as it was sealed.
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key

NAMES = ("position", "stream", "version", "time_ms", "commit", "actor", "cause", "type")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def raw(text):
    return text.encode("utf-8", "surrogatepass")


def signed(text, signature, keys):
    record = json.loads(text)
    # A KeyError is a key that is not trusted.
    keys[record["key"]].verify(bytes.fromhex(signature), raw(text))
    return record


def leaf(partition, event, commitment):
    fields = [event[name] for name in NAMES]
    sealed = ["openagents-event/1", partition, *fields, commitment]
    text = json.dumps(sealed, ensure_ascii=False, separators=(",", ":"))
    return sha(b"\0", raw(text))


def check_records(archive, partition, epochs, ledger, keys):
    """Check the signed records, each against the one before and its leaves; give leaves, salts and their hashes."""
    leaves, salts, chain, hashes = [], b"", bytes(32), [""]
    names = ("format", "ledger", "partition", "epoch", "first", "previous")
    for epoch, (_, text, signature) in enumerate(epochs, 1):
        record = signed(text, signature, keys)
        first = len(leaves) + 1
        expected = [
            "openagents-epoch/1",
            ledger,
            partition,
            epoch,
            first,
            hashes[-1],
        ]
        assert [record[name] for name in names] == expected, "a record is misplaced"
        joined = archive.read(f"{partition}/leaves/{epoch}")
        salts += archive.read(f"{partition}/salts/{epoch}")
        for start in range(0, len(joined), 32):
            leaves.append(joined[start : start + 32])
            # The chain is signed like the root, and says the same of all leaves.
            chain = sha(b"\2", chain, leaves[-1])
        reached = len(leaves), chain.hex()
        assert reached == (record["last"], record["chain"]), (
            f"leaves of epoch {epoch} are others"
        )
        hashes.append(sha(raw(text)).hex())
    return leaves, salts, hashes


def check_event(partition, event, sealed_leaf, salt, erased):
    """Check an event against its leaf; give what stands in its place when it is erased, None when it is not."""
    data, metadata = raw(event["data"]), raw(event["metadata"])
    name = event["stream"], event["version"]
    commitment = sha(salt, len(data).to_bytes(8, "big"), data, metadata).hex()
    if leaf(partition, event, commitment) == sealed_leaf:
        return None
    assert leaf(partition, event, erased) == sealed_leaf, (
        f"event {name} is not the one that was sealed"
    )
    return name, erased, sha(data).hex(), sha(metadata).hex()


def check_payloads(archive, partition, data):
    for _, name, *_ in data.get("blobs", []):
        payload = archive.read(f"{partition}/blobs/{name}")
        assert sha(payload).hex() == name, "a payload is another one"


def check_erased(erased, records):
    """What is erased is named by a signed record, with what stands there now."""
    for name, commitment, data, metadata in erased:
        assert name in records, f"no record says that event {name} is erased"
        before, now, by_version = records[name]
        # A record of an earlier version says nothing of metadata; another one names all that is not empty.
        expected = metadata
        if by_version is not None:
            expected = by_version.get(str(name[1]), sha().hex())
        assert (before, now, expected) == (commitment, data, metadata), (
            f"no record says that event {name} is erased as it is"
        )


def check_partition(archive, partition, ledger, keys):
    part = json.loads(archive.read(f"{partition}/partition.json"))
    leaves, salts, hashes = check_records(
        archive, partition, part["epochs"], ledger, keys
    )
    lines = archive.read(f"{partition}/events.jsonl").splitlines()
    events = sorted(map(json.loads, lines), key=lambda event: event["version"])
    seen, archived, records = {}, set(), {}
    # What is behind the last leaf is not sealed yet.
    for event in [event for event in events if event["position"] <= len(leaves)]:
        n, data = event["position"], json.loads(raw(event["data"]))
        assert n not in seen, f"two events are at position {n} of {partition}"
        salt, erased = salts[16 * n - 16 : 16 * n], part["erased"].get(str(n), "")
        seen[n] = check_event(partition, event, leaves[n - 1], salt, erased)
        check_payloads(archive, partition, data)
        if event["type"] == "RunRedacted":
            for version, now, before in data.get("erased", []):
                record = before, now, data.get("metadata")
                records[event["stream"], version] = record
        if event["stream"] == f"{partition}-archive":
            for first, last in data.get("positions", []):
                archived.update(range(first, last + 1))
    erased = [entry for entry in seen.values() if entry is not None]
    check_erased(erased, records)
    for n, sealed_leaf in enumerate(leaves, 1):
        is_there = n in seen or n in archived
        assert is_there or not any(sealed_leaf), f"an event of {partition} is gone"
    return hashes, len(seen), len(erased)


def check_export(archive, keys):
    whole = json.loads(archive.read("ledger.json"))
    checked = [
        check_partition(archive, partition, whole["ledger"], keys)
        for partition in range(whole["partitions"])
    ]
    statement = signed(whole["statement"], whole["statement_signature"], keys)
    kind = statement["format"], statement["ledger"]
    assert kind == ("openagents-statement/1", whole["ledger"]), (
        "the statement is another's"
    )
    for partition, (epoch, record) in statement["heads"].items():
        hashes, _, _ = checked[int(partition)]
        assert hashes[epoch:][:1] == [record], (
            f"epoch {epoch} of partition {partition} is gone"
        )
    events = sum(count for _, count, _ in checked)
    erased = sum(count for _, _, count in checked)
    print(f"{events} events are as they were sealed, {erased} of them erased")


trusted = [load_pem_public_key(Path(file).read_bytes()) for file in sys.argv[2:]]
check_export(
    zipfile.ZipFile(sys.argv[1]),
    {sha(key.public_bytes_raw()).hex()[:16]: key for key in trusted},
)
