#!/usr/bin/env bash
# msgspec 0.22.0 beside Python's own json.
# Good guess: both write the shortest text that reads back as the same float, so that sorted, compact JSON of finite
# values is the same bytes from either, and hashes of recorded events stay when one takes the place of the other.
# Behaviour: the digits are the same, the form is not. Large exponents have no sign (1e22 where json has 1e+22), and
# small numbers are written out to 0.00001 where json has 1e-05, so that hashes differ; both read each other's text.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
"$dir/venv/bin/python" - <<'PY'
import hashlib
import json

import msgspec

different = []
for value in (0.5, 1.0, 1e15, 1e16, 1e22, 123456789e20, 1e-4, 1e-5, 1.5e-7, 1e-10, 5e-324):
    by_msgspec = msgspec.json.encode({"x": value}, order="sorted")
    by_json = json.dumps({"x": value}, sort_keys=True, separators=(",", ":")).encode()
    same = hashlib.sha256(by_msgspec).digest() == hashlib.sha256(by_json).digest()
    print(f"{by_json.decode():24} {by_msgspec.decode():24} {'same hash' if same else 'another hash'}")
    assert msgspec.json.decode(by_json) == json.loads(by_msgspec) == {"x": value}
    if not same:
        different.append(value)
assert 1e22 in different and 1e-5 in different, different
assert 0.5 not in different and 1.0 not in different, different
print("as found")
PY
