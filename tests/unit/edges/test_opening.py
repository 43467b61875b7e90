"""What an engine is not opened with: a place that nobody has named, a key that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.errors import InvalidKey
from openagents_json.engine import Engine, InvalidRequest


def test_without_a_url_no_store_is_opened_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a variable that is not set: runs would begin in a store that nobody looks into."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match="redis://"):
        Engine.connect("", components=[])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["", " ", "abc"])
def test_with_a_key_that_is_none_nothing_is_opened_rather_than_left_readable(
    tmp_path: Path, key: str
) -> None:
    with pytest.raises(InvalidKey, match="key 1"):
        Engine.embedded(
            tmp_path / "data", components=[], workers=0, encryption_keys=[key]
        )
    with pytest.raises(InvalidKey, match="key 1"):
        Engine.connect("redis://127.0.0.1:1", components=[], encryption_keys=[key])
    assert list(tmp_path.iterdir()) == []


def test_a_durability_that_there_is_not_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidRequest, match="everysec"):
        Engine.embedded(
            tmp_path / "data", components=[], workers=0, durability="sometimes"
        )
    assert list(tmp_path.iterdir()) == []
