"""What commands say of the catalog alike, whether of components or of workflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.options import Target
from cli.render import answer, second, show

if TYPE_CHECKING:
    from openagents_json.engine.cataloging.past import CatalogChange


def tell_status(target: Target, reference: str, status: str, *, changed: bool) -> None:
    """Say that something is deprecated or withdrawn now, or is so already."""
    is_now = f"{reference} {status}"
    message = is_now if changed else f"{reference} is {status} already"
    result = {"name": reference, "status": status, "changed": changed}
    answer(result, message, as_json=target.as_json)


def show_history(target: Target, changes: Sequence[CatalogChange]) -> None:
    """Show what happened to a name of the catalog."""
    rows = ((second(x.time_ms), x.type, x.version, x.actor, x.reason) for x in changes)
    header = ("time (UTC)", "event", "version", "by", "reason")
    show(changes, header, rows, as_json=target.as_json)
