"""The MCP server, for hosts that start it as a process."""

from __future__ import annotations

import click

from cli.commands.services.requirements import require
from cli.options import Target, worker_options


@click.command()
@click.option("--read-only", is_flag=True, help="Without tools that change anything.")
@click.option(
    "--workers",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="Threads that run the given components.",
)
@worker_options
def mcp(target: Target, read_only: bool, workers: int) -> None:
    """Serve tools for language models (MCP).

    It speaks over standard input and output, and ends with its input: hosts start it. Each published workflow is a tool
    of its own.

    \b
    Example: openagents mcp --read-only --url redis://localhost:6379
    """
    require("mcp", "mcp")
    from openagents_json.server.mcp.service import serve_stdio

    with target.engine(workers=workers, create=True) as engine:
        serve_stdio(engine, only_reads=read_only)
