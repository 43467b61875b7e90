"""A capsule is gone through piece by piece: what is held of it is a piece, not the file and not what is in it."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from eventstore.errors import TooLarge
from eventstore.zip_reader import Unpacking
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsule_file import Capsule, Payloads, unpack
from openagents_json.engine.archive.capsule_writer import write
from openagents_json.engine.archive.capsules import adopt, take
from openagents_json.engine.audit import verify_file
from openagents_json.engine.errors import CapsuleUnreadable
from projections.errors import EvidenceUnreadable
from tests.conftest import Server
from tests.integration.ledger.ledgers import Open, opening, ran

MIB = 1024**2
COUNT = 24
T = TypeVar("T")


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


def large(capsule: Capsule) -> Capsule:
    """Return a capsule with many payloads of a MiB each, which do not shrink."""
    blobs = {
        hashlib.sha256(raw).hexdigest(): raw
        for raw in (os.urandom(MIB) for _ in range(COUNT))
    }
    return replace(capsule, blobs=blobs)


def peak(work: Callable[[], T]) -> tuple[T, float]:
    """Return what comes of it, and how many MiB were held beyond what was before, at most."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def test_no_more_than_a_few_pieces_of_a_capsule_are_held_when_it_comes_in(
    opened: Open, tmp_path: Path
) -> None:
    here = opened(workers=2)
    run = ran(here, "a")[0]
    path = tmp_path / "run.oac"
    path.write_bytes(write(large(take(here.core, run, actor="me"))))
    unpack(path)  # what is imported for it is not held for the file
    capsule, held = peak(lambda: unpack(path))
    assert held < COUNT / 4
    assert (len(capsule.blobs), sorted(capsule.blobs)) == (
        COUNT,
        sorted(set(capsule.blobs)),
    )
    there = opening_elsewhere(here)
    try:
        arrived, held = peak(lambda: adopt(there.core, capsule, actor="me"))
        assert (arrived.changed, held < COUNT / 2) == (True, True)
        name = next(iter(capsule.blobs))
        assert there.core.store.blobs(
            [(there.core.store.keys.partition_of(run), name)]
        ) == [capsule.blobs[name]]
    finally:
        there.close()


def opening_elsewhere(here: Engine) -> Engine:
    return Engine.connect(
        here.url,
        prefix=f"{here.core.store.keys.prefix}-there",
        components=[],
        partitions=2,
    )


def test_a_line_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lines.zip", "w") as archive:
        archive.writestr("lines", b"a\n" + b"b" * (5 * MIB) + b"\nc\n")
    with zipfile.ZipFile(tmp_path / "lines.zip") as archive:
        assert [len(line) for line in Unpacking(archive).lines("lines", 6 * MIB)] == [
            1,
            5 * MIB,
            1,
        ]
        with pytest.raises(TooLarge, match="with a line of lines, more than"):
            peak(lambda: list(Unpacking(archive).lines("lines", 2 * MIB)))


def test_more_than_the_limit_is_refused_before_it_is_held(
    opened: Open, tmp_path: Path
) -> None:
    here = opened(workers=2)
    path = tmp_path / "run.oac"
    path.write_bytes(write(large(take(here.core, ran(here, "a")[0], actor="me"))))

    def refused() -> None:
        with pytest.raises(CapsuleUnreadable, match="the most that is read"):
            unpack(path, limit=COUNT // 2 * MIB)

    refused()
    assert peak(refused)[1] < COUNT / 4
    with pytest.raises((EvidenceUnreadable, CapsuleUnreadable)):
        verify_file(path, limit=COUNT // 2 * MIB)


def test_a_payload_that_is_changed_between_two_reads_is_not_used(
    opened: Open, tmp_path: Path
) -> None:
    here = opened(workers=2)
    path = tmp_path / "run.oac"
    raw = write(large(take(here.core, ran(here, "a")[0], actor="me")))
    path.write_bytes(raw)
    capsule = unpack(path)
    assert isinstance(capsule.blobs, Payloads)
    name = next(iter(capsule.blobs))
    at = raw.index(capsule.blobs[name][:64])
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\0" * 64)
    with pytest.raises(CapsuleUnreadable):
        capsule.blobs[name]
    assert capsule.blobs.get("0" * 64) is None
