#!/usr/bin/env bash
# redis (PyPI) 8.1.0.
# Good guess: the two redirections of Redis Cluster, ASK (for this command only) and MOVED (for good), are two errors beside
# each other, so that a handler for the one does not see the other.
# Behaviour: MovedError is a subclass of AskError: "except AskError" before "except MovedError" takes both, and a moved slot
# is asked for again and again at the wrong node, with no refresh.
# Seen: the line that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
"$dir/venv/bin/python" - <<'PY'
from redis.exceptions import AskError, MovedError

try:
    raise MovedError("7000 127.0.0.1:6379")
except AskError as error:
    print("except AskError took", type(error).__name__)
    assert isinstance(error, MovedError)
assert not issubclass(AskError, MovedError)
print("as found")
PY
