"""The report of a heal: waves and stop conditions as people write them, and what comes next, whatever has happened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.event import Position, Recorded
from openagents_json.engine.errors import InvalidHeal
from openagents_json.engine.healing import report as hr
from openagents_json.engine.healing.backtest import VERDICTS
from openagents_json.engine.healing.sizes import (
    parse_stop,
    parse_waves,
    reached,
    wave_sizes,
)

counts = st.integers(1, 10**6).map(str)
shares = st.one_of(
    st.integers(1, 100), st.floats(0.01, 100).map(lambda x: max(0.01, round(x, 2)))
).map(lambda x: f"{x:g}%")
waves = st.lists(st.one_of(counts, shares), min_size=1, max_size=6)


@given(waves, st.integers(0, 10**5))
def test_waves_are_never_empty_and_never_more_than_there_are(
    parts: list[str], total: int
) -> None:
    parsed = parse_waves(", ".join(parts))
    assert parsed == parts
    sizes = wave_sizes(parsed, total)
    assert all(size > 0 for size in sizes)
    assert sum(sizes) <= total
    assert sum(wave_sizes([*parsed, "100%"], total)) == total


def test_waves_are_cumulative() -> None:
    assert wave_sizes(["1", "10%", "100%"], 35) == [1, 3, 31]
    assert wave_sizes(["1", "10%", "100%"], 5) == [1, 4]
    assert wave_sizes(["10%"], 30) == [3]
    assert wave_sizes(["1", "10%", "100%"], 0) == []


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "0%", "101%", "ten", "1,,2", "1.5", "1e3", "%", "²"]
)
def test_what_is_no_count_and_no_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidHeal, match="waves"):
        parse_waves(text)
    with pytest.raises(InvalidHeal, match="stop-after-failures"):
        parse_stop(text)


def test_a_stop_condition_is_a_count_or_a_share_of_what_was_healed() -> None:
    assert [reached("2", failed, 10) for failed in (1, 2, 3)] == [False, True, True]
    assert [reached("20%", failed, 10) for failed in (1, 2, 3)] == [
        False,
        True,
        True,
    ]


def event(version: int, kind: str, data: dict[str, Any]) -> Recorded:
    return Recorded(
        "heal-x", version, Position(0, version), 0, str(version), "", "", kind, data, {}
    )


verdicts = st.lists(st.sampled_from(VERDICTS), max_size=25)


@given(verdicts, waves, st.one_of(counts, shares), st.data())
def test_each_proven_run_is_healed_or_skipped_once_and_in_order(
    run_ids: list[str], parts: list[str], stop: str, data: st.DataObject
) -> None:
    runs = [f"r{index}" for index in range(len(run_ids))]
    happened = [
        event(1, "HealStarted", {"waves": parts, "stop": stop}),
        event(2, "RunsSelected", {"runs": runs, "more": False}),
        *(
            event(3 + i, "RunBacktested", {"run": runs[i], "version": 9, "verdict": v})
            for i, v in enumerate(run_ids)
        ),
    ]
    report = hr.fold(hr.HealReport("heal-x"), happened)
    assert hr.next_of(report) == (hr.BACKTEST, ())
    told: list[str] = []

    def say(kind: str, data: dict[str, Any]) -> None:
        nonlocal report
        happened.append(event(report.version + 1, kind, data))
        report = hr.fold(
            report, [happened[0], happened[-1]]
        )  # what is known already changes nothing

    say("BacktestClosed", {})
    while (upcoming := hr.next_of(report))[0] != hr.CLOSED:
        kind, which = upcoming
        match kind:
            case hr.BEGIN_WAVE:
                say(
                    "WaveStarted",
                    {"number": len(report.waves) + 1, "runs": list(which)},
                )
            case hr.HEAL:
                told.append(which[0])
                healed = data.draw(st.booleans())
                say(
                    *(
                        ("RunHealed", {"run": which[0], "version": 10})
                        if healed
                        else skipped(which[0])
                    )
                )
            case hr.AWAIT:
                failed = data.draw(st.integers(0, len(which)))
                wave_counts = {
                    "completed": len(which) - failed,
                    "failed": failed,
                    "cancelled": 0,
                }
                say("WaveClosed", {"number": report.waves[-1].number, **wave_counts})
            case hr.STOP:
                assert report.ended["failed"] > 0
                say("HealStopped", {"why": "failures"})
            case hr.STOPPED:
                say("HealResumed", {})
            case _:
                say("HealClosed", {"counts": {}})
    assert told == report.proven[: len(told)]
    assert len(told) == sum(wave_sizes(parts, len(report.proven)))
    assert set(report.healed) | set(report.skipped) == set(told)
    assert hr.fold(hr.HealReport("heal-x"), happened) == report


def skipped(run: str) -> tuple[str, dict[str, Any]]:
    return "RunHealSkipped", {"run": run, "why": "it has moved on"}
