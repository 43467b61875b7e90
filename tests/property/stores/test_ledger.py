"""Whatever is done to sealed events, one thing or several, a check finds it; and what was not touched verifies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as some

from eventstore import codec
from eventstore.intervals import joined, within
from eventstore.redis.ledger import Epoch, LogEntry, Stored
from projections.ledger.evidence import Partition
from projections.ledger.leaves import Leaves
from projections.ledger.merkle import root
from projections.ledger.reconciliation import TRIED
from projections.ledger.records import (
    ABSENT,
    EpochRecord,
    Statement,
    chained,
    commitment,
    decode_record,
    decode_statement,
    digest,
    encode_record,
    encode_statement,
    leaf,
)
from projections.ledger.signing import new_signer
from projections.ledger.verify import PAGE, check_partition

SIGNER = new_signer()
KEYS = {SIGNER.id: SIGNER.public}
RUNS = ("0-a", "0-b", "0-c")
EPOCH = 7


def events() -> list[Stored]:
    """Return the events of three runs that took turns."""
    out, versions = [], dict.fromkeys(RUNS, 0)
    for n in range(1, 25):
        run = RUNS[n % 3]
        versions[run] += 1
        data = codec.encode({"step": "s", "n": n % 4})
        out.append(
            Stored(
                run,
                versions[run],
                n,
                1000 + n // 2,
                f"c{n}",
                "ada",
                "",
                "StepStarted",
                data,
            )
        )
    return out


def evidence(stored: Sequence[Stored]) -> Partition:
    """Seal events in epochs, the last one open."""
    epochs, leaves, salts, chain, previous = (
        [],
        dict[int, bytes](),
        dict[int, bytes](),
        ABSENT,
        "",
    )
    for number, first in enumerate(range(1, len(stored) + 1, EPOCH), 1):
        some_ = stored[first - 1 : first - 1 + EPOCH]
        mine = [hashlib.sha256(str(event.n).encode()).digest()[:16] for event in some_]
        hashed = [
            leaf(0, event, commitment(salt, event))
            for event, salt in zip(some_, mine, strict=True)
        ]
        leaves[number], salts[number], chain = (
            b"".join(hashed),
            b"".join(mine),
            chained(chain, hashed),
        )
        if len(some_) == EPOCH:
            last = first + EPOCH - 1
            record = encode_record(
                EpochRecord(
                    "l",
                    0,
                    number,
                    first,
                    last,
                    root(hashed).hex(),
                    chain.hex(),
                    previous,
                    9,
                    SIGNER.id,
                )
            )
            epochs.append(Epoch(number, record, SIGNER.sign(record)))
            previous = digest(record)
    log = [
        LogEntry(event.n, event.time_ms, event.stream, event.version, event.version)
        for event in stored
    ]
    open_first = len(epochs) * EPOCH + 1
    head = len(stored)
    return Partition(
        0,
        head,
        head,
        len(epochs) + 1,
        open_first,
        epochs,
        leaves,
        salts,
        {},
        log,
        list(stored),
        lambda _: None,
    )


WHOLE = evidence(events())

DEEDS = some.one_of(
    some.tuples(
        some.just("change"),
        some.integers(0, 23),
        some.sampled_from(["data", "actor", "cause", "time_ms", "type"]),
    ),
    some.tuples(some.just("remove"), some.integers(0, 23), some.just("")),
    some.tuples(some.just("copy"), some.integers(0, 23), some.sampled_from(RUNS)),
    some.tuples(some.just("swap"), some.integers(0, 23), some.integers(0, 23)),
)


def done(history: list[Stored], deed: tuple[str, int, Any]) -> list[Stored]:
    """Do something to events."""
    kind, index, how = deed
    index = min(index, len(history) - 1)
    event = history[index]
    match kind:
        case "change":
            value: Any = {"time_ms": event.time_ms + 1, "data": event.data + b" "}.get(
                how, "other"
            )
            return [
                *history[:index],
                replace(event, **{how: value}),
                *history[index + 1 :],
            ]
        case "remove":
            return [*history[:index], *history[index + 1 :]]
        case "copy":
            return [*history, replace(event, stream=how, version=99 + index)]
        case _:
            other = history[min(how, len(history) - 1)]
            swapped = {
                event: replace(other, stream=event.stream, version=event.version),
                other: replace(event, stream=other.stream, version=other.version),
            }
            return [swapped.get(x, x) for x in history]


def test_what_was_not_touched_verifies() -> None:
    audit = check_partition(WHOLE, "l", KEYS)
    assert audit.intact
    assert (audit.verified, audit.chained, audit.epochs) == (21, 3, 3)


@given(some.lists(DEEDS, min_size=1, max_size=4))
def test_whatever_is_done_to_sealed_events_is_found(
    deeds: list[tuple[str, int, Any]],
) -> None:
    history = list(WHOLE.events)
    for deed in deeds:
        history = done(history, deed)
    audit = check_partition(replace(WHOLE, events=history), "l", KEYS)
    assert audit.intact == (sorted(history, key=repr) == sorted(WHOLE.events, key=repr))


@given(DEEDS)
def test_a_single_deed_is_named_where_it_was_done(deed: tuple[str, int, Any]) -> None:
    history = done(list(WHOLE.events), deed)
    before, after = set(WHOLE.events), set(history)
    audit = check_partition(replace(WHOLE, events=history), "l", KEYS)
    assert {(f.run, f.version) for f in audit.findings} == {
        (x.stream, x.version) for x in before ^ after
    }


@given(some.integers(1, 4), some.integers(0, 200), some.binary(min_size=1, max_size=40))
def test_the_ledgers_own_bytes_cannot_be_changed_unseen(
    epoch: int, index: int, put: bytes
) -> None:
    joined = WHOLE.leaves[epoch]
    index %= len(joined)
    changed = (joined[:index] + put + joined[index + len(put) :])[: len(joined)]
    audit = check_partition(
        replace(WHOLE, leaves={**WHOLE.leaves, epoch: changed}), "l", KEYS
    )
    assert audit.intact == (changed == joined)


@given(some.sampled_from([0, 1, 2]), some.integers(0, 300), some.integers(0, 255))
def test_a_record_is_taken_as_it_was_signed_or_not_at_all(
    number: int, index: int, value: int
) -> None:
    epoch = WHOLE.epochs[number]
    raw = bytearray(epoch.record)
    raw[index % len(raw)] = value
    epochs = [replace(x, record=bytes(raw)) if x is epoch else x for x in WHOLE.epochs]
    audit = check_partition(replace(WHOLE, epochs=epochs), "l", KEYS)
    assert audit.intact == (bytes(raw) == epoch.record)


@given(some.sets(some.sampled_from([0, 1, 2]), min_size=1), some.booleans())
def test_epochs_that_are_left_out_or_change_places_are_missed(
    numbers: set[int], swap: bool
) -> None:
    epochs = [epoch for i, epoch in enumerate(WHOLE.epochs) if i not in numbers]
    if swap:
        first, second, *rest = WHOLE.epochs
        epochs = [
            replace(second, number=first.number),
            replace(first, number=second.number),
            *rest,
        ]
    assert not check_partition(replace(WHOLE, epochs=epochs), "l", KEYS).intact


def test_what_others_claim_bounds_no_check() -> None:
    """Whoever made a file may have signed it with a key of its own: its numbers are as large as its maker likes."""
    for text in ("0" * 64, "no hash"):
        huge = encode_record(
            EpochRecord("l", 0, 1, 1, 10**15, text, text, "", 9, SIGNER.id)
        )
        forged = [Epoch(1, huge, SIGNER.sign(huge)), *WHOLE.epochs[1:]]
        assert "ledger" in {
            finding.kind
            for finding in check_partition(
                replace(WHOLE, epochs=forged), "l", KEYS
            ).findings
        }
    log = [*WHOLE.log, *(LogEntry(10**6, 1, "0-a", 1, 10**6) for _ in range(10**5))]
    assert check_partition(replace(WHOLE, log=log), "l", KEYS).verified == 21


def test_looking_for_what_changed_places_has_an_end() -> None:
    """A run was taken away and many events were changed: trying each of them at each place would take for ever."""
    there = [
        Stored(f"0-{n % 2}", n // 2 + 1, n, 1, f"c{n}", "", "", "T", b"{}")
        for n in range(1, 20_001)
    ]
    whole = replace(evidence(there), epochs=[], open_epoch=10**6)
    kept = [replace(x, data=b"[]") for x in there if x.stream == "0-1"][:150]
    findings = check_partition(replace(whole, events=kept), "l", KEYS).findings
    kinds = Counter(x.kind for x in findings)
    assert (kinds["changed"], kinds["removed"]) == (150, 19_850)


class Seen(Stored):
    """An event of which it can be told whether somebody still holds it."""


@pytest.mark.parametrize("changed", [0, 5_000])
def test_a_check_holds_few_events_at_a_time(changed: int) -> None:
    """Also of those that do not fit it holds no payloads, unless they are few."""
    stored = [
        Stored(f"0-{n % 9}", n // 9 + 1, n, 1, f"c{n}", "", "", "T", b"{}")
        for n in range(1, 10_001)
    ]
    whole, there, most = evidence(stored), WeakSet[Seen](), 0

    def events() -> Iterator[Stored]:
        nonlocal most
        for x in stored:
            data = b"[]" if x.n <= changed else x.data
            event = Seen(x.stream, x.version, x.n, 1, x.commit, "", "", x.type, data)
            there.add(event)
            most = max(most, sum(bool(y.data) for y in there) if x.n % 100 == 0 else 0)
            yield event

    audit = check_partition(replace(whole, events=events()), "l", KEYS)
    assert (audit.verified + audit.chained, len(audit.findings)) == (
        10_000 - changed,
        changed,
    )
    assert 0 < most <= 2 * PAGE + TRIED  # a page, while the next one is read


def test_what_has_come_since_one_looked_is_asked_for_once() -> None:
    """Later events, and payloads that are erased meanwhile, are told from those that somebody put there."""
    asked: list[int] = []

    def later() -> tuple[int, dict[int, bytes]]:
        asked.append(1)
        return 26, {}

    more = [
        Stored("0-a", 100 + n, n, 1, f"c{n}", "", "", "T", b"{}") for n in (25, 26, 27)
    ]
    audit = check_partition(
        replace(WHOLE, events=[*WHOLE.events, *more], later=later), "l", KEYS
    )
    assert (audit.unsealed, len(asked)) == (2, 1)
    assert [(finding.kind, finding.n) for finding in audit.findings] == [
        ("inserted", 27)
    ]


@given(some.lists(some.tuples(some.integers(-5, 30), some.integers(0, 9)), max_size=6))
def test_leaves_that_are_entered_twice_are_the_later_ones(
    entered: list[tuple[int, int]],
) -> None:
    leaves, expected = Leaves(), dict[int, bytes]()
    for number, (first, count) in enumerate(entered, 1):
        raw = b"".join(bytes([number, i]) * 16 for i in range(count))
        leaves.add(first, raw, raw[: len(raw) // 2])
        expected |= {first + i: raw[i * 32 : i * 32 + 32] for i in range(count)}
    assert {
        n: leaf_ for n in range(-9, 50) if (leaf_ := leaves.leaf(n)) is not None
    } == expected
    assert list(leaves.missing()) == sorted(expected)
    assert [leaves.take(n) for n in (*expected, *expected)] == [True] * len(
        expected
    ) + [False] * len(expected)


@given(
    some.lists(some.tuples(some.integers(-5, 30), some.integers(-5, 30)), max_size=8)
)
def test_spans_have_the_positions_that_are_in_one_of_them(
    spans: list[tuple[int, int]],
) -> None:
    covered = {n for first, last in spans for n in range(first, last + 1)}
    for first in range(-6, 32):
        for last in range(first, 32):
            assert within(joined(spans), first, last) == (
                set(range(first, last + 1)) <= covered
            )


@given(some.binary(max_size=200))
def test_what_is_no_record_is_none(raw: bytes) -> None:
    assert decode_record(raw) is None
    assert decode_statement(raw) is None


@given(
    some.dictionaries(
        some.integers(0, 60),
        some.tuples(some.integers(1, 9), some.text(max_size=5)),
        max_size=5,
    )
)
def test_a_statement_comes_back_as_it_was(heads: dict[int, tuple[int, str]]) -> None:
    statement = Statement("l", 5, "k", heads)
    assert decode_statement(encode_statement(statement)) == statement
