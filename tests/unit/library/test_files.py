"""`file.read`, `file.write` and `file.list`: below one directory, whole, and not through links."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.files import list_files, read, write
from openagents_json.components.library.places import local

STEP = "key-1"


def attempt(number: int) -> Context:
    """Return the context of an attempt of one and the same step."""
    return Context(
        "r-1", "s", "w", number, STEP, None, CancelToken(), lambda: 0, lambda _: None
    )


CONTEXT = attempt(1)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("outside")
    monkeypatch.setenv("OPENAGENTS_FILES", str(folder))
    return folder


@pytest.mark.parametrize(
    ("content", "encoding", "stored"),
    [
        ("h\u00e9", "text", b"h\xc3\xa9"),
        ({"a": [1]}, "json", b'{\n  "a": [\n    1\n  ]\n}\n'),
        ("/wA=", "base64", b"\xff\x00"),
    ],
)
def test_what_is_written_is_read(
    root: Path, content: Any, encoding: Any, stored: bytes
) -> None:
    size = len(stored)
    given = write("a/b/c", content, CONTEXT, encoding=encoding)
    assert given == {"path": "a/b/c", "size": size}
    assert (root / "a/b/c").read_bytes() == stored
    assert read("a/b/c", encoding=encoding) == {"content": content, "size": size}


def test_a_directory_is_listed(root: Path) -> None:
    for name in ("b.txt", "a.txt", "c.json", "sub/d.txt"):
        write(name, "xy", CONTEXT)
    (root / "link.txt").symlink_to("a.txt")
    (root / ".openagents-left.part").touch()
    assert [entry["name"] for entry in list_files(pattern="*.txt")] == [
        "a.txt",
        "b.txt",
    ]
    assert list_files()[-1] == {"name": "sub", "type": "directory", "size": 0}
    assert list_files("sub") == [{"name": "d.txt", "type": "file", "size": 2}]


WRONG = ["../outside.txt", "/etc/hostname", "a/../../outside.txt", "", ".", "a//b"]


@pytest.mark.parametrize("path", [*WRONG, "a\0b", "a\ud800", "x" * 300])
def test_a_path_stays_below_the_directory(root: Path, path: str) -> None:
    with pytest.raises(NonRetryableError, match=r"path|name|cannot be used"):
        read(path)
    with pytest.raises(NonRetryableError, match=r"path|name|cannot be used"):
        write(path, "x", CONTEXT)
    assert (root.parent / "outside.txt").read_text() == "outside"


def test_no_link_is_followed(root: Path) -> None:
    (root / "file").symlink_to(root.parent / "outside.txt")
    (root / "folder").symlink_to(root.parent)
    for path in ("file", "folder/outside.txt"):
        with pytest.raises(NonRetryableError, match="through a link"):
            read(path)
    with pytest.raises(NonRetryableError, match="through a link"):
        write("folder/outside.txt", "x", CONTEXT)
    with pytest.raises(NonRetryableError, match="through a link"):
        list_files("folder")
    write("file", "mine", CONTEXT)
    assert (root / "file").read_text() == "mine"
    assert (root.parent / "outside.txt").read_text() == "outside"


def test_what_is_no_file_is_not_read(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    for path in ("pipe", "folder"):
        with pytest.raises(NonRetryableError):
            read(path)
    with pytest.raises(NonRetryableError, match="No such file"):
        read("nothing")


def test_a_large_file_is_not_read(root: Path) -> None:
    write("a", "x" * 11, CONTEXT)
    with pytest.raises(NonRetryableError, match="larger than 10 bytes"):
        read("a", max_bytes=10)
    assert read("a", max_bytes=11)["size"] == 11


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(root: Path) -> None:
    write("a", "old", CONTEXT)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.write(str(root), "a", b"new", STEP, 1, put=killed)
    assert (os.listdir(root), (root / "a").read_text()) == (["a"], "old")


def test_what_a_killed_attempt_left_is_no_hindrance(root: Path) -> None:
    local.write(str(root), "a", b"new", STEP, 1, put=lambda *_, **__: None)
    assert len(os.listdir(root)) == 1
    write("a", "new", attempt(2))
    assert os.listdir(root) == ["a"]


def test_an_attempt_that_is_late_does_not_overwrite_the_next_one(root: Path) -> None:
    def put_late(*late: Any, **folders: Any) -> None:
        def put_next(*own: Any, **own_folders: Any) -> None:
            with pytest.raises(FileNotFoundError):
                os.replace(*late, **folders)  # not the file of the next one
            os.replace(*own, **own_folders)

        local.write(str(root), "a", b"next", STEP, 2, put=put_next)
        os.replace(*late, **folders)

    with pytest.raises(NonRetryableError):
        local.write(str(root), "a", b"late", STEP, 1, put=put_late)
    assert (os.listdir(root), (root / "a").read_text()) == (["a"], "next")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [({}, "text"), ("?", "base64"), ("\ud800", "text"), ("\ud800", "json")],
)
def test_content_that_does_not_fit_fails_at_once(
    root: Path, content: Any, encoding: Any
) -> None:
    with pytest.raises(NonRetryableError, match="content of 'a'"):
        write("a", content, CONTEXT, encoding=encoding)
    assert os.listdir(root) == []


def test_a_file_that_is_not_what_is_asked_for_fails_at_once(root: Path) -> None:
    write("a", "/w==", CONTEXT, encoding="base64")
    for encoding in ("text", "json"):
        with pytest.raises(NonRetryableError, match="read it as base64"):
            read("a", encoding=encoding)
    write("a", "NaN", CONTEXT)
    with pytest.raises(NonRetryableError, match="is not JSON"):
        read("a", encoding="json")


def test_without_a_directory_nothing_is_allowed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAGENTS_FILES")
    with pytest.raises(NonRetryableError, match="OPENAGENTS_FILES"):
        read("a")


def test_descriptors_are_given_back(root: Path) -> None:
    write("a/b", "x", CONTEXT)
    before = len(os.listdir("/dev/fd"))
    for path in ("a/b", "a/c", "a/b/c"):
        try:
            local.read(str(root), path, 10)
        except NonRetryableError:
            continue
    assert len(os.listdir("/dev/fd")) == before
