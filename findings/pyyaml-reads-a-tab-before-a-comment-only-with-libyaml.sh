#!/usr/bin/env bash
# PyYAML 6.0.3.
# Good guess: CSafeLoader is SafeLoader, only faster: a document that the one reads is read by the other, to the same value.
# Behaviour: a tab between a value and what follows on its line (a comment, a closing bracket, the end of the line), which
# both YAML 1.1 and 1.2 allow as separation, is read by CSafeLoader and is a ScannerError with SafeLoader. So a file passes
# on a machine whose PyYAML was built with libyaml and fails on one whose was not.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pyyaml==6.0.3
"$dir/venv/bin/python" - <<'PY'
import yaml

TEXTS = {
    "a: b\t# a comment\n": {"a": "b"},
    "a:\tb\n": {"a": "b"},
    "- 1\t\n- 2\n": [1, 2],
    "{a: 1,\tb: 2}\n": {"a": 1, "b": 2},
}
for text, value in TEXTS.items():
    assert yaml.load(text, Loader=yaml.CSafeLoader) == value
    try:
        yaml.load(text, Loader=yaml.SafeLoader)
    except yaml.scanner.ScannerError as error:
        print(f"{text!r}: CSafeLoader reads {value}, SafeLoader: {error.problem}")
    else:
        raise AssertionError(f"SafeLoader reads {text!r}")
print("as found")
PY
