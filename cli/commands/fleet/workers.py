"""Workers: which there are, and what they are told from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.lazy import LazyGroup
from cli.options import Target, changing_options, listing_options
from cli.render import answer, second, show
from cli.terminal import say
from openagents_json.engine import plain

if TYPE_CHECKING:
    from openagents_json.engine.worker_types.control import WorkerOrder

Command = TypeVar("Command", bound=Callable[..., Any])

HEARD = "they hear of it within about three seconds"


class _ListedByDefault(LazyGroup):
    """A group of which one command is carried out where none is named."""

    by_default = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the list where no command is named."""
        is_help = bool({"-h", "--help"} & set(args[:1]))
        if not is_help and (not args or args[0].startswith("-")):
            args = [self.by_default, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_ListedByDefault, homes={"list": "cli.commands.runs.tables:list_workers"}
)
def workers() -> None:
    """List worker processes, and tell them what to do."""


def _whom(command: Command) -> Command:
    """Add whom an order is for, and why."""
    worker = click.argument("worker", required=False, default="", metavar="[ID]")
    of_type = click.option(
        "--type", "worker_type", default="", help="All workers of this worker type."
    )
    reason = click.option("--reason", default="", help="Why; it is kept in the log.")
    return worker(of_type(reason(command)))


def _checked(worker: str, worker_type: str) -> dict[str, str]:
    if bool(worker) == bool(worker_type):
        raise click.UsageError("name a worker by its ID, or a worker type with --type")
    return {"worker": worker, "worker_type": worker_type}


def _tell(target: Target, order: WorkerOrder, what: str) -> None:
    who = order.target.partition(":")[2]
    kind = "workers of type " if order.target.startswith("type:") else "worker "
    answer(order, f"{kind}{who}: {what}; {HEARD}", as_json=target.as_json)


@workers.command("pause")
@_whom
@changing_options
def pause(target: Target, worker: str, worker_type: str, reason: str) -> None:
    """Let workers take no new steps; what runs goes on.

    With --type, it holds for workers that begin later, too.

    \b
    Examples:
      openagents workers pause --type gpu --reason "the cards are replaced"
      openagents workers pause shop-1:4711:0k3xa
    """
    whom = _checked(worker, worker_type)
    with target.engine() as engine:
        order = engine.control.pause(**whom, reason=reason)
    _tell(target, order, "no new steps")


@workers.command("resume")
@_whom
@changing_options
def resume(target: Target, worker: str, worker_type: str, reason: str) -> None:
    """Take a pause back.

    \b
    Example: openagents workers resume --type gpu
    """
    whom = _checked(worker, worker_type)
    with target.engine() as engine:
        order = engine.control.resume(**whom, reason=reason)
    _tell(target, order, "new steps again")


@workers.command("concurrency")
@click.option(
    "--at-most",
    type=click.IntRange(1, 100_000),
    help="How many steps of a type run at a time.  [default: as many as it has slots]",
)
@_whom
@changing_options
def concurrency(
    target: Target, at_most: int | None, worker: str, worker_type: str, reason: str
) -> None:
    """Let each worker run fewer steps at a time.

    Without --at-most, it is as many as it began with again.

    \b
    Examples:
      openagents workers concurrency --type agent --at-most 2 --reason "the model is slow"
      openagents workers concurrency --type agent
    """
    whom = _checked(worker, worker_type)
    with target.engine() as engine:
        order = engine.control.concurrency(at_most, **whom, reason=reason)
    what = f"{at_most} steps at a time" if at_most else "as many steps as slots"
    _tell(target, order, what)


@workers.command("drain")
@_whom
@changing_options
def drain(target: Target, worker: str, worker_type: str, reason: str) -> int:
    """Let workers end in good order.

    They take nothing more, and finish what runs within their grace; those of `worker --type` as long as it takes. What
    has not ended by then is given back, and begins anew elsewhere. Whatever looks after a worker may start another in
    its place. Exit code: 1 when nobody serves the type.

    \b
    Example: openagents workers drain shop-1:4711:0k3xa --reason "the machine is replaced"
    """
    whom = _checked(worker, worker_type)
    with target.engine() as engine:
        orders = engine.control.drain(**whom, reason=reason)
    if not orders:
        say(f"no live worker serves the type {worker_type}", err=True)
        return 1
    names = ", ".join(order.target.partition(":")[2] for order in orders)
    answer(orders, f"{names}: told to end; {HEARD}", as_json=target.as_json)
    return 0


@workers.command("log")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many at most.",
)
@listing_options
def log(target: Target, limit: int) -> None:
    """List what workers were told, with who said it and why.

    \b
    Example: openagents workers log
    """
    with target.engine() as engine:
        orders = engine.control.log(limit)
    header = ("at (UTC)", "what", "to", "by", "reason")
    rows = (
        (second(order.at_ms), _what(order), order.target, order.by, order.reason)
        for order in orders
    )
    show(plain(orders), header, rows, as_json=target.as_json)


def _what(order: WorkerOrder) -> str:
    if not order.holds:
        return f"{order.what} taken back"
    return f"{order.what} {order.at_most or ''}".strip()


def told_of(told: Mapping[str, Any]) -> str:
    """Return what a worker heeds, for people."""
    if told.get("draining"):
        return "draining"
    paused: Sequence[str] = told.get("paused", ())
    at_most: dict[str, int] = told.get("at_most", {})
    limits = [f"{name} {count} at a time" for name, count in sorted(at_most.items())]
    return "; ".join([*(f"{name} paused" for name in paused), *limits])
