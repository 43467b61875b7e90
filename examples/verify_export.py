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
    said = json.loads(text)
    keys[said["key"]].verify(
        bytes.fromhex(signature), raw(text)
    )  # a KeyError is a key that is not trusted
    return said


def leaf(partition, event, commitment):
    said = [
        "openagents-event/1",
        partition,
        *(event[name] for name in NAMES),
        commitment,
    ]
    return sha(b"\0", raw(json.dumps(said, ensure_ascii=False, separators=(",", ":"))))


def check_partition(archive, at, ledger, keys):
    # 1. The records and their leaves.
    part, leaves, salts, chain, hashes = (
        json.loads(archive.read(f"{at}/partition.json")),
        [],
        b"",
        bytes(32),
        [""],
    )
    for epoch, (_, text, signature) in enumerate(part["epochs"], 1):
        record = signed(text, signature, keys)
        place = [
            record[name]
            for name in ("format", "ledger", "partition", "epoch", "first", "previous")
        ]
        assert place == [
            "openagents-epoch/1",
            ledger,
            at,
            epoch,
            len(leaves) + 1,
            hashes[-1],
        ], "a record is misplaced"
        joined, salts = (
            archive.read(f"{at}/leaves/{epoch}"),
            salts + archive.read(f"{at}/salts/{epoch}"),
        )
        for i in range(0, len(joined), 32):
            leaves.append(joined[i : i + 32])
            chain = sha(
                b"\2", chain, leaves[-1]
            )  # signed like the root, and it says the same of all leaves
        assert (len(leaves), chain.hex()) == (record["last"], record["chain"]), (
            f"leaves of epoch {epoch} are others"
        )
        hashes.append(sha(raw(text)).hex())

    # 2. The events that are signed, each against its leaf.
    seen, gone, records = {}, set(), {}
    events = sorted(
        map(json.loads, archive.read(f"{at}/events.jsonl").splitlines()),
        key=lambda x: x["version"],
    )
    for event in (event for event in events if event["position"] <= len(leaves)):
        n, place, data = (
            event["position"],
            (event["stream"], event["version"]),
            raw(event["data"]),
        )
        said, metadata = json.loads(data), raw(event["metadata"])
        salted = sha(
            salts[16 * n - 16 : 16 * n], len(data).to_bytes(8, "big"), data, metadata
        ).hex()
        fits = [
            x
            for x in (salted, part["erased"].get(str(n), ""))
            if leaf(at, event, x) == leaves[n - 1]
        ]
        assert (n in seen, bool(fits)) == (False, True), (
            f"event {place} is not the one that was sealed"
        )
        seen[n] = (
            None
            if fits[0] == salted
            else (place, fits[0], sha(data).hex(), sha(metadata).hex())
        )
        assert all(
            sha(archive.read(f"{at}/blobs/{x}")).hex() == x
            for _, x, *_ in said.get("blobs", [])
        ), "a payload"
        for version, now, before in (
            said.get("erased", []) if event["type"] == "RunRedacted" else []
        ):
            records[event["stream"], version] = (before, now, said.get("metadata"))
        for first, last in (
            said.get("positions", []) if event["stream"] == f"{at}-archive" else []
        ):
            gone.update(range(first, last + 1))

    # 3. What is erased is named by a signed record, and what is missing has left into the archive.
    for place, *stands, other in filter(None, seen.values()):
        *named, metadata = records.get(place, ("", "", None))
        known = other if metadata is None else metadata.get(str(place[1]), sha().hex())
        assert [*named, known] == [*stands, other], (
            f"no record says that event {place} is erased as it is"
        )
    assert all(n in seen or n in gone or not any(x) for n, x in enumerate(leaves, 1)), (
        f"an event of {at} is gone"
    )
    return hashes, len(seen), sum(map(bool, seen.values()))


def check_export(archive, keys):
    whole = json.loads(archive.read("ledger.json"))
    found = [
        check_partition(archive, at, whole["ledger"], keys)
        for at in range(whole["partitions"])
    ]
    said = signed(whole["statement"], whole["statement_signature"], keys)
    assert (said["format"], said["ledger"]) == (
        "openagents-statement/1",
        whole["ledger"],
    ), "the statement is another's"
    for at, (epoch, record) in said["heads"].items():
        assert found[int(at)][0][epoch:][:1] == [record], (
            f"epoch {epoch} of partition {at} is gone"
        )
    print(
        f"{sum(x[1] for x in found)} events are as they were sealed, {sum(x[2] for x in found)} of them erased"
    )


trusted = [load_pem_public_key(Path(file).read_bytes()) for file in sys.argv[2:]]
check_export(
    zipfile.ZipFile(sys.argv[1]),
    {sha(key.public_bytes_raw()).hex()[:16]: key for key in trusted},
)
