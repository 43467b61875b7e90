#!/usr/bin/env bash
# redis (PyPI) 8.1.0 with opentelemetry-sdk 1.45.2 in the same environment.
# Good guess: metrics of the driver are off until a program asks for them (redis.observability), so "import redis" loads
# nothing of OpenTelemetry, whatever else is installed.
# Behaviour: "import redis" alone loads OpenTelemetry's API and SDK as soon as they are installed, by any other package: a
# program that asked for no metrics pays for their import at its start.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
look='import sys, redis; print(sorted({".".join(m.split(".")[:2]) for m in sys.modules if m.startswith("opentelemetry")}))'
before=$("$dir/venv/bin/python" -c "$look")
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
after=$("$dir/venv/bin/python" -c "$look")
echo "import redis, without OpenTelemetry: $before"
echo "import redis, beside OpenTelemetry: $after"
[ "$before" = "[]" ]
case "$after" in *opentelemetry.sdk*) echo "as found" ;; *) exit 1 ;; esac
