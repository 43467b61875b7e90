"""Kept inputs and a few made of them, of every target; `make fuzz` goes on for as long as one wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.campaign import Target, failure_of, fuzz, save, seeds
from tests.fuzz.evidence import KEYS, Capsules, Exports, Receipts
from tests.fuzz.mutations import mutate_bytes
from tests.fuzz.shrinking import smaller_bytes
from tests.fuzz.targets import ALONE, NAMES, opened

COUNTS = {
    "documents": 40,
    "expressions": 100,
    "capsules": 80,
    "exports": 25,
    "receipts": 100,
    "imports": 20,
    "arguments": 60,
}
pytestmark = pytest.mark.one_worker


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    with opened(request.param) as opened_target:
        yield opened_target


def test_nothing_is_wrong_with_what_is_kept_and_what_is_made_of_it(
    target: Target,
) -> None:
    most = len(seeds(target)) + COUNTS[target.name]
    result = None
    for result in fuzz(target, lambda inputs: inputs < most, Random(1)):
        assert not result.failures, next(iter(result.failures.values()))
    assert result is not None
    assert result.inputs == most
    assert len(result.outcomes) > 5


class Picky:
    """A target that fails at two letters together."""

    name = folder = "documents"
    extension = ".json"

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        return mutate_bytes(raw, others, random)

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        return smaller_bytes(raw)

    def check(self, raw: bytes) -> str:
        assert b"ud" not in raw, "ud"
        return str(len(raw))


def test_a_failure_is_found_made_small_saved_and_replayed(tmp_path: Path) -> None:
    target = Picky()
    *_, result = fuzz(target, lambda inputs: inputs < 60, Random(1))
    [failure] = result.failures.values()
    path = save(target, failure, folder=tmp_path)
    assert path.read_bytes() == b"ud"
    assert "AssertionError" in path.with_suffix(".txt").read_text()
    again = failure_of(target, path.read_bytes())
    assert again is not None
    assert again.where == failure.where


def test_the_same_seed_makes_the_same_inputs() -> None:
    target = ALONE["receipts"]()
    kept = list(seeds(target).values())
    inputs = [
        [target.mutate(kept[0], kept, random) for _ in range(50)]
        for random in (Random(3), Random(3))
    ]
    assert inputs[0] == inputs[1]


def test_what_was_never_changed_is_intact(tmp_path: Path) -> None:
    assert len(list(KEYS.glob("*.pub"))) == 2
    for kind in (Capsules(), Exports(), Receipts()):
        whole = {
            name: raw for name, raw in seeds(kind).items() if name.startswith("whole")
        }
        assert whole
        for name, raw in whole.items():
            assert kind.check(raw).startswith("True"), name
