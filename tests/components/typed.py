"""Components of two worker types, whose first attempts do not come to an end."""

from __future__ import annotations

from openagents_json import Context, tool


def _hang_at_first(context: Context) -> int:
    if context.attempt == 1:
        context.token.wait(600)
    return context.attempt


@tool("brief", queue="brief", effect="idempotent")
def brief(context: Context) -> int:
    """Hang in the first attempt."""
    return _hang_at_first(context)


@tool("lengthy", queue="lengthy", effect="idempotent")
def lengthy(context: Context) -> int:
    """Hang in the first attempt."""
    return _hang_at_first(context)
