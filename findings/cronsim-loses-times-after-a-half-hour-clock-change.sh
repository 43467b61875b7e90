#!/usr/bin/env bash
# cronsim 2.8, with the zones of tzdata 2026.6.
# Good guess: a change of the clocks at 02:00 alters what fires around 02:00, and nothing at 09:00 of the same day.
# Behaviour: where the clocks move by half an hour (Lord Howe Island), times of the whole day are lost: "*/15 9 * * *" fires
# at 09:30 and 09:45 only, "0 */6 * * *" leaves 06:00 out, and "0 0 9 * * *" does not fire that day. In Paris, where they
# move by an hour, all four quarters are there.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check cronsim==2.8 tzdata==2026.6
"$dir/venv/bin/python" - <<'PY'
from datetime import datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim


def times(zone: str, expression: str, day: datetime) -> list[str]:
    with (files("tzdata") / "zoneinfo").joinpath(*zone.split("/")).open("rb") as file:
        start = day.replace(tzinfo=ZoneInfo.from_file(file, key=zone))
    found = []
    for moment in CronSim(expression, start):
        if moment.date() > day.date():
            print(f"{zone} {day:%Y-%m-%d} {expression!r}: {found}")
            return found
        found.append(f"{moment:%H:%M}")
    return found


spring, autumn = datetime(2026, 10, 4), datetime(2026, 4, 5)
assert times("Australia/Lord_Howe", "*/15 9 * * *", spring) == ["09:30", "09:45"]
assert times("Australia/Lord_Howe", "*/15 9 * * *", autumn) == ["09:30", "09:45"]
assert "06:00" not in times("Australia/Lord_Howe", "0 */6 * * *", spring)
assert times("Australia/Lord_Howe", "0 0 9 * * *", spring) == []
assert times("Europe/Paris", "*/15 9 * * *", datetime(2026, 3, 29)) == ["09:00", "09:15", "09:30", "09:45"]
print("as found")
PY
