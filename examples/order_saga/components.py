"""A shop: its stock, its payments and its deliveries, in a database of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from openagents_json import Context, NonRetryableError, RetryableError, tool

SHOP: Final = "shop.sqlite"

TABLES: Final = """
create table if not exists stock (item text primary key, pieces integer check (pieces >= 0));
create table if not exists orders (id integer primary key, item text, price real, card text, country text, status text);
create table if not exists reservations ("order" integer primary key, item text);
create table if not exists payments (key text primary key, "order" integer, amount real);
create table if not exists parcels ("order" integer primary key);
"""


@contextmanager
def shop() -> Iterator[sqlite3.Connection]:
    """Open the database for one transaction."""
    connection = sqlite3.connect(SHOP, timeout=30)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@tool("orders.new")
def new_orders() -> list[dict[str, Any]]:
    """Return the orders that nobody has looked at yet."""
    with shop() as db:
        db.row_factory = sqlite3.Row
        return [
            dict(row) for row in db.execute("select * from orders where status = 'new'")
        ]


@tool("orders.close")
def close_order(order: int, status: str) -> str:
    """Write down what became of an order."""
    with shop() as db:
        db.execute("update orders set status = ? where id = ?", (status, order))
    return status


@tool("stock.reserve", effect="compensable")
def reserve(order: int, item: str) -> str:
    """Take a piece off the shelf; the order has it once, however often this is called."""
    with shop() as db:
        if db.execute(
            'select 1 from reservations where "order" = ?', (order,)
        ).fetchone():
            return item
        if not db.execute(
            "update stock set pieces = pieces - 1 where item = ? and pieces > 0",
            (item,),
        ).rowcount:
            raise NonRetryableError(f"there is no {item} left")
        db.execute("insert into reservations values (?, ?)", (order, item))
    return item


@tool("stock.release")
def release(order: int) -> None:
    """Put a piece back."""
    with shop() as db:
        for (item,) in db.execute(
            'delete from reservations where "order" = ? returning item', (order,)
        ).fetchall():
            db.execute("update stock set pieces = pieces + 1 where item = ?", (item,))


@tool(
    "payment.charge",
    effect="compensable",
    retry={"max_retries": 3, "delay_seconds": 0.1},
)
def charge(order: int, amount: float, card: str, context: Context) -> str:
    """Charge a card; the key is the same in all attempts, so it is charged once."""
    if card == "declined":
        raise NonRetryableError("the card was declined")
    with shop() as db:
        db.execute(
            "insert or ignore into payments values (?, ?, ?)",
            (context.idempotency_key, order, amount),
        )
    if card == "slow" and context.attempt == 1:
        raise RetryableError("the bank did not answer; perhaps it has charged the card")
    return context.idempotency_key


@tool("payment.refund")
def refund(payment: str) -> None:
    """Give the money back."""
    with shop() as db:
        db.execute("delete from payments where key = ?", (payment,))


@tool("parcels.book")
def book_parcel(order: int, country: str) -> str:
    """Book a parcel."""
    if country == "Atlantis":
        raise NonRetryableError("nobody delivers to Atlantis")
    with shop() as db:
        db.execute("insert or ignore into parcels values (?)", (order,))
    return f"parcel {order}"
