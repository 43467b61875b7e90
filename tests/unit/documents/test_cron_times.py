"""When cron expressions fire where clocks change: right values, and every change of every zone by brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from executor.coordination.cron_times import moments, parse
from executor.coordination.schedule_times import Schedule, check, firings, iso
from executor.coordination.zones import zone, zone_names
from executor.errors import InvalidCron, InvalidSchedule, UnknownZone
from openagents_json.workflow.times import moment_of

DAY = 24 * 3600
EPOCH = datetime(1970, 1, 1)


def fired(cron: str, timezone: str, start: str, end: str) -> list[str]:
    """Return the firings between two times as the clocks of the zone show them, with the offset from UTC."""
    spec = Schedule("n", "w", cron=cron, timezone=timezone)
    times: list[str] = []
    for at in firings(spec, moment_of(start) - 1, 0):
        if at >= moment_of(end):
            return times
        times.append(
            datetime.fromtimestamp(at / 1000, zone(timezone)).strftime("%d %H:%M %z")
        )
    return times


HOWE_SPRING = ("Australia/Lord_Howe", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z")
HOWE_AUTUMN = ("Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z")
CAIRO = ("Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-24T12:00:00Z")
SANTIAGO = ("America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T12:00:00Z")
PARIS_SPRING = ("Europe/Paris", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
PARIS_AUTUMN = ("Europe/Paris", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")

FIXED_BY_DAY = [
    (
        "*/15 9 * * *",
        HOWE_SPRING,
        ["04 09:00 +1100", "04 09:15 +1100", "04 09:30 +1100", "04 09:45 +1100"],
    ),
    (
        "*/15 9 * * *",
        HOWE_AUTUMN,
        ["05 09:00 +1030", "05 09:15 +1030", "05 09:30 +1030", "05 09:45 +1030"],
    ),
    (
        "0 */6 * * *",
        HOWE_SPRING,
        ["04 00:00 +1030", "04 06:00 +1100", "04 12:00 +1100", "04 18:00 +1100"],
    ),
    (
        "0 */6 * * *",
        HOWE_AUTUMN,
        ["05 00:00 +1100", "05 06:00 +1030", "05 12:00 +1030", "05 18:00 +1030"],
    ),
    ("0 0 9 * * *", HOWE_SPRING, ["04 09:00 +1100"]),
    ("0 0 9 * * *", HOWE_AUTUMN, ["05 09:00 +1030"]),
    ("0 2 * * *", HOWE_SPRING, ["04 02:30 +1100"]),
    ("45 1 * * *", HOWE_AUTUMN, ["05 01:45 +1100"]),
    (
        "*/15 1 * * *",
        HOWE_AUTUMN,
        [f"05 01:{m} +1100" for m in ("00", 15, 30, 45)]
        + ["05 01:30 +1030", "05 01:45 +1030"],
    ),
    ("0 0 * * *", CAIRO, ["24 01:00 +0300"]),
    ("0 0 0 * * *", CAIRO, ["24 01:00 +0300"]),
    ("*/30 0 * * *", CAIRO, []),
    ("0 0 * * *", SANTIAGO, ["06 01:00 -0300"]),
    ("0 0 0 * * *", SANTIAGO, ["06 01:00 -0300"]),
    ("0 0 6 9 *", SANTIAGO, ["06 01:00 -0300"]),
    ("0,30 2 * * *", PARIS_SPRING, ["29 03:00 +0200"]),
    ("0 2,3 * * *", PARIS_SPRING, ["29 03:00 +0200"]),
    ("0 30 2 * * *", PARIS_SPRING, ["29 03:00 +0200"]),
    ("30 2 * * *", PARIS_AUTUMN, ["25 02:30 +0200"]),
    ("0 30 2 * * *", PARIS_AUTUMN, ["25 02:30 +0200"]),
    (
        "*/30 2 * * *",
        PARIS_AUTUMN,
        ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100"],
    ),
    (
        "0 */30 2 * * *",
        PARIS_AUTUMN,
        ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100"],
    ),
]


@pytest.mark.parametrize(("cron", "day", "expected"), FIXED_BY_DAY)
def test_what_fires_on_a_day_on_which_the_clocks_change(
    cron: str, day: tuple[str, str, str], expected: list[str]
) -> None:
    assert fired(cron, *day) == expected


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        ("Africa/Casablanca", "2026-12-01T09:00:00Z"),
        ("America/Vancouver", "2026-12-01T16:00:00Z"),
    ],
)
def test_zones_are_those_of_the_package_whatever_the_system_has(
    timezone: str, expected: str
) -> None:
    spec = Schedule("n", "w", cron="0 9 * * *", timezone=timezone)
    assert iso(next(firings(spec, moment_of("2026-12-01T00:00:00Z"), 0))) == expected


@pytest.mark.parametrize(
    "name",
    ["Mars/Olympus", "", "America", "../zones", "/etc/localtime", "europe/paris"],
)
def test_a_zone_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone, match="there is no time zone"):
        zone(name)
    with pytest.raises(InvalidSchedule, match="there is no time zone"):
        check(Schedule("n", "w", cron="* * * * *", timezone=name))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "* * * *",
        "61 * * * *",
        "* * * * * * *",
        "0 0 31 2 *",
        "*/0 * * * *",
        "a b c d e",
    ],
)
def test_an_expression_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidCron, match="cron expression"):
        parse(wrong)


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 9 */2 * MON", [9, 23]),
        ("0 0 9 */2 * MON", [9, 23]),
        ("0 9 * * MON", [2, 9, 16, 23, 30]),
        ("0 9 1-31/2 * MON", [*range(1, 32, 2), 2, 16, 30]),
        ("0 9 1,15 * FRI", [1, 6, 13, 15, 20, 27]),
        ("0 9 L * *", [31]),
        ("0 9 * * FRI#2", [13]),
    ],
)
def test_which_days_fit(cron: str, days: list[int]) -> None:
    times = fired(cron, "UTC", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
    assert [int(text[:2]) for text in times] == sorted(days)


def test_what_never_fires_ends() -> None:
    never = parse(
        "0 0 30 2 MON"
    )  # its days are those of the week as well, so that it does fire
    assert next(moments(never, UTC, 0))
    assert (
        list(moments(parse("0 0 29 2 MON#5"), UTC, 253_402_000_000)) == []
    )  # the calendar ends


# -- every change of every zone, by brute force ----------------------------------------------------------


@dataclass(frozen=True)
class Expression:
    """A cron expression beside what it means, said independently."""

    text: str
    fixed: bool
    fits: Callable[[datetime], bool]


EXPRESSIONS = [
    Expression("*/15 9 * * *", False, lambda at: at.hour == 9 and at.minute % 15 == 0),
    Expression("0 */6 * * *", False, lambda at: at.hour % 6 == 0 and at.minute == 0),
    Expression(
        "0 */20 1-3 * * *",
        False,
        lambda at: at.hour in (1, 2, 3) and at.minute % 20 == 0,
    ),
    Expression("15,45 0-23 * * *", True, lambda at: at.minute in (15, 45)),
    Expression("30 2 * * *", True, lambda at: (at.hour, at.minute) == (2, 30)),
    Expression("0 0 0 * * *", True, lambda at: (at.hour, at.minute) == (0, 0)),
    Expression(
        "5,10 1,2,23 * * SUN",
        True,
        lambda at: at.minute in (5, 10) and at.hour in (1, 2, 23) and at.weekday() == 6,
    ),
]


def shown(zone_info: ZoneInfo, at: int) -> datetime:
    """Return what the clocks show at a time."""
    return (
        (EPOCH + timedelta(seconds=at))
        .replace(tzinfo=UTC)
        .astimezone(zone_info)
        .replace(tzinfo=None)
    )


def changes(zone_info: ZoneInfo, start: int, end: int) -> Iterator[int]:
    """Return the minutes at which the clocks change."""
    offset = {
        at: shown(zone_info, at) - EPOCH - timedelta(seconds=at)
        for at in range(start, end, DAY)
    }
    for day in range(start, end - DAY, DAY):
        if offset[day] == offset[day + DAY]:
            continue
        for hour in range(day, day + DAY, 3600):
            if shown(zone_info, hour + 3600) - shown(zone_info, hour) == timedelta(
                hours=1
            ):
                continue
            for at in range(hour, hour + 3600, 60):
                if shown(zone_info, at + 60) - shown(zone_info, at) != timedelta(
                    minutes=1
                ):
                    yield at + 60


def by_the_rule(
    expression: Expression, clocks: Sequence[tuple[int, datetime]]
) -> list[int]:
    """Walk the minutes and apply the rule as the guide says it."""
    times: list[int] = []
    seen: set[datetime] = set()
    expected = clocks[0][1]
    for at, now in clocks:
        fires = expression.fits(now) and not (expression.fixed and now in seen)
        while expected < now:  # left out
            fires = fires or (
                expression.fixed and expected not in seen and expression.fits(expected)
            )
            expected += timedelta(minutes=1)
        seen.add(now)
        expected = now + timedelta(minutes=1)
        if fires:
            times.append(at)
    return times


@pytest.mark.slow
def test_every_change_of_every_zone_follows_the_rule() -> None:
    start, end = (
        moment_of("2025-01-01T00:00:00Z") // 1000,
        moment_of("2028-01-01T00:00:00Z") // 1000,
    )
    walked: dict[tuple[object, ...], str] = {}
    for name in sorted(zone_names()):
        for at in changes(zone(name), start, end):
            offsets = (shown(zone(name), at - 60), shown(zone(name), at))
            if (
                walked.setdefault((at, *offsets), name) != name
            ):  # another name of the same clocks
                continue
            clocks = [
                (t, shown(zone(name), t))
                for t in range(at - DAY // 2, at + DAY // 2, 60)
            ]
            for expression in EXPRESSIONS:
                source = moments(parse(expression.text), zone(name), at - DAY // 2 - 1)
                differing = []
                while (moment := next(source)) < at + DAY // 2:
                    differing.append(moment)
                assert differing == by_the_rule(expression, clocks), (
                    name,
                    iso(at * 1000),
                    expression.text,
                )
    assert {
        "Australia/LHI",
        "Africa/Cairo",
        "America/Santiago",
        "Antarctica/Troll",
    } <= set(walked.values())
