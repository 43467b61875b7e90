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
    fields = [event[name] for name in NAMES]
    sealed = ["openagents-event/1", partition, *fields, commitment.hex()]
    text = json.dumps(sealed, ensure_ascii=False, separators=(",", ":"))
    return sha(b"\0", raw(text))


def opened(salt, event):
    data = raw(event["data"])
    return sha(salt, len(data).to_bytes(8, "big"), data, raw(event["metadata"]))


def signed_record(receipt, inclusion, keys):
    event = receipt["event"]
    text, signature = receipt["proof"]["records"][inclusion["record"]]
    record = json.loads(text)
    # A KeyError is a key that is not trusted.
    keys[record["key"]].verify(bytes.fromhex(signature), raw(text))
    position = record["format"], record["partition"], inclusion["position"]
    expected = "openagents-epoch/1", receipt["partition"], event["position"]
    assert position == expected, "the record is not the event's"
    return record


def leads_up(node, path, index, last):
    """Go from a leaf to the root; give it with what is left of the path."""
    while last > 0:
        if index % 2:
            node = sha(b"\1", path.pop(0), node)
        elif index < last:
            node = sha(b"\1", node, path.pop(0))
        index, last = index // 2, last // 2
    return node.hex(), path


def check_receipt(receipt, keys):
    event = receipt["event"]
    inclusion = receipt["proof"]["events"][str(event["version"])]

    # 1. The record of the epoch is signed by a key that is trusted.
    record = signed_record(receipt, inclusion, keys)

    # 2. The event leads up to its root.
    bare = (event["data"], event["metadata"]) == (None, None)
    if bare:
        commitment = bytes.fromhex(inclusion["commitment"])
    else:
        commitment = opened(bytes.fromhex(inclusion["salt"]), event)
    index = event["position"] - record["first"]
    last = record["last"] - record["first"]
    assert 0 <= index <= last, "the record is that of other positions"
    path = [bytes.fromhex(neighbour) for neighbour in inclusion["path"]]
    node = leaf(receipt["partition"], event, commitment)
    reached = leads_up(node, path, index, last)
    assert reached == (record["root"], []), "the event is not the one that was sealed"
    what = "without its payload" if bare else "with its payload"
    print(
        f"event {event['version']} of {event['stream']} was sealed {what}: {event['type']} by {event['actor']}"
    )


trusted = [load_pem_public_key(Path(file).read_bytes()) for file in sys.argv[2:]]
document = json.loads(Path(sys.argv[1]).read_bytes(), object_pairs_hook=once)
check_receipt(
    document, {sha(key.public_bytes_raw()).hex()[:16]: key for key in trusted}
)
