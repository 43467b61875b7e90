"""Check a receipt: python verify_receipt.py receipt.json KEY.pub [KEY.pub ...]

It shares no code with this project: it is written from docs/reference/formats.md, with the standard library and
`cryptography` alone. It prints what is proved, or ends with exit code 1 and what is not as it was sealed.
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key

NAMES = ("position", "stream", "version", "time_ms", "commit", "actor", "cause", "type")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def raw(text):
    return text.encode("utf-8", "surrogatepass")


def once(pairs):
    assert len(dict(pairs)) == len(pairs), (
        "a name stands twice: one value would be checked, and another one shown"
    )
    return dict(pairs)


def leaf(partition, event, commitment):
    said = [
        "openagents-event/1",
        partition,
        *(event[name] for name in NAMES),
        commitment.hex(),
    ]
    return sha(b"\0", raw(json.dumps(said, ensure_ascii=False, separators=(",", ":"))))


def opened(salt, event):
    data = raw(event["data"])
    return sha(salt, len(data).to_bytes(8, "big"), data, raw(event["metadata"]))


def check_receipt(receipt, keys):
    event, proof = receipt["event"], receipt["proof"]
    place = proof["events"][str(event["version"])]

    # 1. The record of the epoch is signed by a key that is trusted.
    text, signature = proof["records"][place["record"]]
    record = json.loads(text)
    keys[record["key"]].verify(
        bytes.fromhex(signature), raw(text)
    )  # a KeyError is a key that is not trusted
    there = record["format"], record["partition"], place["position"]
    assert there == ("openagents-epoch/1", receipt["partition"], event["position"]), (
        "the record is not the event's"
    )

    # 2. The event leads up to its root.
    bare = (event["data"], event["metadata"]) == (None, None)
    commitment = (
        bytes.fromhex(place["commitment"])
        if bare
        else opened(bytes.fromhex(place["salt"]), event)
    )
    node, path = (
        leaf(receipt["partition"], event, commitment),
        [bytes.fromhex(step) for step in place["path"]],
    )
    at, last = event["position"] - record["first"], record["last"] - record["first"]
    assert 0 <= at <= last, "the record is that of other positions"
    while last > 0:
        if at % 2:
            node = sha(b"\1", path.pop(0), node)
        elif at < last:
            node = sha(b"\1", node, path.pop(0))
        at, last = at // 2, last // 2
    assert (node.hex(), path) == (record["root"], []), (
        "the event is not the one that was sealed"
    )
    what = "without its payload" if bare else "with its payload"
    print(
        f"event {event['version']} of {event['stream']} was sealed {what}: {event['type']} by {event['actor']}"
    )


trusted = [load_pem_public_key(Path(file).read_bytes()) for file in sys.argv[2:]]
document = json.loads(Path(sys.argv[1]).read_bytes(), object_pairs_hook=once)
check_receipt(
    document, {sha(key.public_bytes_raw()).hex()[:16]: key for key in trusted}
)
