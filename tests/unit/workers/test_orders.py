"""What workers are told from elsewhere, and what they make of it."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

from executor.worker.orders import OrderBook, Orders, orders_for, told_as_main

QUEUES = ("agent", "tool")
ME = "shop:7:abcde"


def test_a_process_heeds_what_it_or_its_types_were_told_and_of_two_limits_the_lower() -> (
    None
):
    in_force = {
        "pause type:agent": {},
        "pause type:gpu": {},
        "pause worker:shop:8:abcde": {},
        "concurrency type:tool": {"at_most": 3},
        f"concurrency worker:{ME}": {"at_most": 2},
    }
    orders = orders_for(ME, QUEUES, in_force)
    assert orders == Orders(frozenset({"agent"}), {"agent": 2, "tool": 2}, ends=False)
    assert [orders.limit_of(x) for x in ("agent.async", "tool.async")] == [0, 2]
    drained = orders_for(ME, QUEUES, {f"drain worker:{ME}": {}})
    assert drained.ends
    assert drained.limit_of("tool") == 0
    assert orders_for(ME, QUEUES, {}) == Orders()


def test_drains_beyond_a_limit_end_and_those_within_it_go_on() -> None:
    book, stopping = OrderBook(), threading.Event()
    with ExitStack() as slots:
        stops = [slots.enter_context(book.slot("tool", stopping)) for _ in range(3)]
        book.heed(Orders(at_most={"tool": 2}))
        assert [stop is not None and stop.is_set() for stop in stops] == [
            False,
            False,
            True,
        ]
        with (
            book.slot("tool", stopping) as fourth,
            book.slot("other", stopping) as any_,
        ):
            assert fourth is None
            assert any_ is not None
        book.heed(Orders(frozenset({"tool"})))
        assert all(stop is not None and stop.is_set() for stop in stops)
    book.heed(Orders())
    with book.slot("tool", stopping) as stop:
        assert stop is not None
        assert not stop.is_set()
        stopping.set()
        assert stop.is_set()


def test_a_process_is_told_to_end_once() -> None:
    book, ends = OrderBook(), list[None]()
    book.on_end = lambda: ends.append(None)
    for orders in (Orders(ends=True), Orders(ends=True, at_most={"tool": 1})):
        book.heed(orders)
    assert len(ends) == 1


def test_a_child_heeds_what_its_main_process_was_told_and_nothing_that_was_for_an_earlier_one() -> (
    None
):
    orders: dict[str, dict[str, Any]] = {
        "drain worker:shop:7:earlier": {},
        "pause type:tool": {},
    }
    assert told_as_main("shop:7:", orders, {ME: {}}) == ""
    orders[f"pause worker:{ME}"] = {}
    assert told_as_main("shop:7:", orders, {ME: {}, "shop:77:x": {}}) == ME
