"""A shop for a few seconds: a schedule takes the orders, and a saga carries each of them out, or undoes it."""

from __future__ import annotations

import time
from pathlib import Path

import components
from components import TABLES, shop

from openagents_json.engine import Engine, RunFilter, Schedule

HERE = Path(__file__).parent

ORDERS = [
    ("lamp", 40.0, "good", "France"),
    ("lamp", 40.0, "slow", "Spain"),
    ("chair", 90.0, "declined", "Italy"),
    ("chair", 90.0, "good", "Atlantis"),
    ("sofa", 500.0, "good", "France"),
]


def main() -> None:
    """Open the shop, wait until every order is answered, and close it."""
    with shop() as db:
        db.executescript(TABLES)
        db.executemany(
            "insert or ignore into stock values (?, ?)",
            [("lamp", 5), ("chair", 2), ("sofa", 0)],
        )
        db.executemany(
            "insert into orders (item, price, card, country, status) values (?, ?, ?, ?, 'new')",
            ORDERS,
        )
    with Engine.embedded(".openagents", components=[components]) as engine:
        engine.publish(HERE / "order.json")
        engine.publish(HERE / "take-orders.json")
        # The runs of one firing end before the next begins (overlap "skip"), so no order is taken twice.
        schedule = Schedule("orders", "take-orders", every_seconds=1, overlap="skip")
        engine.schedules.create(schedule, replace_it=True)
        while orders_with("new"):
            time.sleep(0.1)
        engine.schedules.pause("orders")
        show_orders()
        show_what_was_undone(engine)


def orders_with(status: str) -> int:
    """Count orders."""
    with shop() as db:
        (count,) = db.execute(
            "select count(*) from orders where status = ?", (status,)
        ).fetchone()
    return int(count)


def show_orders() -> None:
    """Print what became of the orders, and what the shop has."""
    with shop() as db:
        for number, item, status in db.execute("select id, item, status from orders"):
            print(f"order {number}: {item}: {status}")
        for item, pieces in db.execute("select item, pieces from stock order by item"):
            print(f"stock: {pieces} {item}")
        (paid,) = db.execute("select sum(amount) from payments").fetchone()
        print(f"paid: {paid:.2f}")


def show_what_was_undone(engine: Engine) -> None:
    """Print what each refused order took back, in its order."""
    chosen = RunFilter(workflow=("order",), status=("failed",))
    for row in engine.views.runs(chosen).items:
        undone = [
            event.step
            for event in engine.history(row.id)
            if event.type == "StepCompleted" and "~compensate" in str(event.step)
        ]
        print(f"{row.id}: undone: {', '.join(map(str, undone)) or 'nothing'}")


if __name__ == "__main__":
    main()
