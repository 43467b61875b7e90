"""Settings of the environment mean the same wherever the store is, and a program that says them itself finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventstore.errors import NoStore
from openagents_json.engine import Engine, from_environment
from tests.conftest import Server


@contextmanager
def opened(**variables: object) -> Iterator[Engine]:
    settings = from_environment(
        {f"OPENAGENTS_{name.upper()}": str(value) for name, value in variables.items()}
    )
    with Engine.open(settings, components=[]) as engine:
        yield engine


def test_prefix_and_partitions_count_for_a_store_in_a_directory(tmp_path: Path) -> None:
    with opened(data=tmp_path, prefix="mine", partitions=3) as engine:
        assert engine.core.store.partitions == 3
    with Engine.embedded(
        tmp_path, prefix="mine", components=[], create=False
    ) as engine:
        assert engine.core.store.partitions == 3
    with pytest.raises(NoStore):
        Engine.embedded(tmp_path, components=[], create=False)


def test_a_new_store_has_as_many_partitions_as_fit_the_place(
    tmp_path: Path, server: Server
) -> None:
    with (
        opened(data=tmp_path) as engine,
        opened(url=server.url, prefix=server.prefix()) as other,
    ):
        assert (engine.core.store.partitions, other.core.store.partitions) == (8, 64)
