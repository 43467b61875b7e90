#!/usr/bin/env bash
# node-semver 0.9.1 (PyPI), beside semver 7.8.6 (npm), of which it is a port.
# Good guess: what is no range for the original is none for the port: it raises, or finds nothing.
# Behaviour: of "1.*.3" and "*.1" the original says that they are no ranges; the port reads them up to the x and picks 1.5.0.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check node-semver==0.9.1
npm install --silent --no-audit --no-fund semver@7.8.6 >/dev/null
node -e '
const semver = require("semver");
for (const range of ["1.*.3", "*.1"]) {
  const valid = semver.validRange(range);
  console.log("npm   ", range, valid);
  if (valid !== null) process.exit(1);
}'
venv/bin/python - <<'PY'
import nodesemver

for text in ("1.*.3", "*.1"):
    picked = nodesemver.max_satisfying(["1.5.0"], text, loose=False)
    print("python", text, picked)
    assert picked == "1.5.0"
print("as found")
PY
