"""Files of the archive are read up to a limit, whatever unpacks them on the way."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from openagents_json.engine.archive.files import read, write
from openagents_json.engine.errors import ArchiveUnreachable


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/a/b.oac"
    whole, into = b"x" * 3_000_000, io.BytesIO()
    write(url, io.BytesIO(whole))
    assert read(url, into, limit=3_000_000) == hashlib.sha256(whole).hexdigest()
    assert into.getvalue() == whole
    with pytest.raises(
        ArchiveUnreachable,
        match="more than 2999999 bytes, which is the most that is read",
    ):
        read(url, io.BytesIO(), limit=2_999_999)


def test_what_is_unpacked_on_the_way_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run.oac", b"\0" * 20_000_000)
    with pytest.raises(ArchiveUnreachable, match="more than 1000000 bytes"):
        read(
            f"zip://run.oac::file://{tmp_path}/bomb.zip", io.BytesIO(), limit=1_000_000
        )
