"""Times and durations of the command line: each text is one, or is refused; none is a crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.times import LONGEST_MS, duration_ms, time_ms

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("1.5h", 5_400_000),
        ("7d", 604_800_000),
        ("250ms", 250),
        ("5", None),
        ("-1s", None),
        ("99999w", None),
        (f"{'9' * 400}d", None),
    ],
)
def test_a_duration_is_read_or_refused(text: str, ms: int | None) -> None:
    assert duration_ms(text) == ms


def test_a_time_is_ago_or_iso_in_utc() -> None:
    assert time_ms("2h", NOW) == time_ms("2h ago", NOW) == NOW - 7_200_000
    assert time_ms("1970-01-01T00:01", NOW) == 60_000
    assert time_ms("1970-01-01T02:01+02:00", NOW) == 60_000
    assert time_ms("yesterday", NOW) is None


@given(st.text(st.sampled_from("0123456789.-+:TZ mshdw٣"), max_size=30))
def test_whatever_is_typed_is_a_time_or_none(text: str) -> None:
    duration = duration_ms(text)
    assert duration is None or 0 <= duration < LONGEST_MS
    assert isinstance(time_ms(text, NOW), int | None)
