"""`file.read`, `file.write` and `file.list` below a URL that fsspec knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.files import list_files, read, write

CONTEXT = Context(
    "r-1", "s", "w", 1, "key-1", None, CancelToken(), lambda: 0, lambda _: None
)


@pytest.fixture(params=["memory", "local"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Return the file system; `local` stands for those in which a file appears before it is written whole."""
    if request.param == "memory":
        root = f"memory://{tmp_path.name}/files"
    else:
        root = f"local://{tmp_path}/files"
    monkeypatch.setenv("OPENAGENTS_FILES", root)
    files, path = fsspec.core.url_to_fs(root)
    files.makedirs(path, exist_ok=True)
    yield files
    files.rm(path, recursive=True)


def test_what_is_written_is_read_and_listed(storage: Any) -> None:
    assert write("a/b.json", {"n": 1}, CONTEXT, encoding="json")["size"] == 13
    write("a/b.json", {"n": 2}, CONTEXT, encoding="json")
    write("c.txt", "h\u00e9", CONTEXT)
    assert read("a/b.json", encoding="json")["content"] == {"n": 2}
    assert list_files() == [
        {"name": "a", "type": "directory", "size": 0},
        {"name": "c.txt", "type": "file", "size": 3},
    ]
    assert list_files("a") == [{"name": "b.json", "type": "file", "size": 13}]


@pytest.mark.parametrize(
    "path", ["../x", "/etc/hostname", "a/../../x", "", ".", "a//b"]
)
def test_a_path_stays_below_the_url(storage: Any, path: str) -> None:
    with pytest.raises(NonRetryableError, match="no path of a file"):
        read(path)
    with pytest.raises(NonRetryableError, match="no path of a file"):
        write(path, "x", CONTEXT)


def test_what_is_not_there_fails_at_once(storage: Any) -> None:
    for path in ("nothing", "no/thing"):
        with pytest.raises(NonRetryableError, match="FileNotFound"):
            read(path)
    with pytest.raises(NonRetryableError):
        list_files("nothing")
    write("a", "x" * 11, CONTEXT)
    with pytest.raises(NonRetryableError, match="larger than 10 bytes"):
        read("a", max_bytes=10)
    with pytest.raises(NonRetryableError):
        list_files("a")


def test_a_file_of_this_machine_may_be_named_by_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_FILES", f"file://{tmp_path}")
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(NonRetryableError, match="through a link"):
        read("link")


def test_errors_do_not_tell_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, kind in (
        ("nothing://u:s3cr3t@host/x", RetryableError),
        ("sftp://u:s3cr3t@host/x", NonRetryableError),
    ):
        monkeypatch.setenv("OPENAGENTS_FILES", url)
        with pytest.raises(kind) as raised:
            read("a")
        assert "s3cr3t" not in str(raised.value)
