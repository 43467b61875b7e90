#!/usr/bin/env bash
# mkdocs 1.6.1.
# Good guess: --quiet hides what is printed and nothing else, so that `mkdocs build --strict --quiet`, as a CI job would say,
# ends with 1 where `mkdocs build --strict` does.
# Behaviour: with --quiet a page with a link to a page that is not there is built with exit status 0: warnings are
# counted by a handler of the logger whose level --quiet has raised above them.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check mkdocs==1.6.1
mkdir "$dir/docs"
echo "site_name: x" > "$dir/mkdocs.yml"
echo "See [the other page](other.md)." > "$dir/docs/index.md"
cd "$dir"
strict=0
"$dir/venv/bin/mkdocs" build --strict > "$dir/strict.out" 2>&1 || strict=$?
quiet=0
"$dir/venv/bin/mkdocs" build --strict --quiet > "$dir/quiet.out" 2>&1 || quiet=$?
echo "mkdocs build --strict: exit status $strict; $(grep -c WARNING "$dir/strict.out") warning"
echo "mkdocs build --strict --quiet: exit status $quiet; $(wc -c < "$dir/quiet.out") bytes of output"
[ "$strict" = 1 ] && [ "$quiet" = 0 ]
echo "as found"
