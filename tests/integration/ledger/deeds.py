"""What somebody with access to the server does to sealed events, and what a check then finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.integration.ledger.ledgers import Hand

Deed = tuple[Callable[[Hand, str, str], Any], set[tuple[str, int]]]


DEEDS: dict[str, Deed] = {
    "data": (
        lambda hand, run, _: hand.change(
            run, 2, d=b'{"inputs":{"text":"z"},"step":"one"}'
        ),
        {("changed", 2)},
    ),
    "actor": (
        lambda hand, run, _: hand.change(run, 1, a=b"somebody else"),
        {("changed", 1)},
    ),
    "time": (
        lambda hand, run, _: hand.change(run, 3, m=b"1000000000000"),
        {("changed", 3)},
    ),
    "type": (
        lambda hand, run, _: hand.change(run, 4, t=b"StepFailed"),
        {("changed", 4)},
    ),
    "cause": (lambda hand, run, _: hand.change(run, 2, y=b"x"), {("changed", 2)}),
    "metadata": (lambda hand, run, _: hand.change(run, 2, x=b"{}"), {("changed", 2)}),
    "removed": (lambda hand, run, _: hand.remove(run, 3), {("removed", 3)}),
    "removed last": (
        lambda hand, run, _: hand.remove(run, len(hand.entries(run))),
        {("removed", 0)},
    ),
    "swapped": (
        lambda hand, run, _: hand.swap(run, 2, 5),
        {("moved", 2), ("moved", 5)},
    ),
    "swapped with positions": (
        lambda hand, run, _: hand.change(
            run,
            2,
            **{
                k.decode(): v
                for k, v in dict(hand.entries(run))[b"5-0"].items()
                if k != b"n"
            },
        ),
        {("changed", 2)},
    ),
    "inserted": (
        lambda hand, run, _: hand.redis.execute_command(
            b"XADD",
            hand.keys.stream(run),
            "900-0",
            *[x for p in hand.entries(run)[1][1].items() for x in p],
        ),
        {("inserted", 900)},
    ),
    "inserted between": (
        lambda hand, run, _: hand.rewrite(
            run,
            [
                *hand.entries(run)[:2],
                (b"2-7", hand.entries(run)[1][1]),
                *hand.entries(run)[2:],
            ],
        ),
        {("inserted", 2)},
    ),
    "whole run": (
        lambda hand, run, _: hand.redis.execute_command(b"DEL", hand.keys.stream(run)),
        {("removed", version) for version in range(1, 9)},
    ),
}
