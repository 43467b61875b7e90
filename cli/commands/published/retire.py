"""Published workflows in the catalog: registered with a reason, searched, retired, with their past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.commands.published.catalog_answers import show_history, tell_status
from cli.commands.run import show_warnings
from cli.completion.types import WORKFLOW
from cli.options import (
    Target,
    changing_options,
    knowing_options,
    listing_options,
    page_options,
)
from cli.render import answer, show


@click.command("register")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--reason", default="", help="Why, for the history.")
@knowing_options
def register(target: Target, files: tuple[str, ...], reason: str) -> None:
    """Publish workflows, and say why. A version never changes.

    \b
    Example: openagents workflows register order.json --reason "first release"
    """
    names = []
    with target.engine(create=True) as engine:
        for file in files:
            show_warnings(engine, file, Path(file))
            names.append(engine.workflows.register(engine.plan(file), reason=reason))
    messages = [f"{name} published" for name in names]
    answer(names, messages, as_json=target.as_json)


@click.command("search")
@click.argument("words", nargs=-1)
@click.option("--parameter", default="", help="Only with this input.")
@click.option("--takes", default="", help="Only with an input of this type.")
@click.option(
    "--status",
    type=click.Choice(["active", "deprecated", "withdrawn"]),
    default=None,
    help="Only of this status.  [default: all but withdrawn]",
)
@page_options
@listing_options
def search(
    target: Target,
    words: tuple[str, ...],
    limit: int,
    after: str,
    status: str | None,
    **criteria: Any,
) -> None:
    """Find published workflows, the best first.

    WORDS, or beginnings of words, are those of ids, descriptions and inputs.

    \b
    Example: openagents workflows search order --parameter amount
    """
    from openagents_json.engine.cataloging.catalog import CatalogFilter

    chosen = CatalogFilter(" ".join(words), status=status or "", **criteria)
    with target.engine() as engine:
        page = engine.workflows.search(chosen, limit=limit, after=after)
    if target.as_json:
        answer({"items": page.items, "next": page.next}, "", as_json=True)
        return
    header = ("workflow", "version", "status", "aliases", "description")
    cells = (
        (x.name, x.version, x.status, ", ".join(x.aliases), x.description)
        for x in page.items
    )
    show(list(page.items), header, cells, as_json=False)
    if page.next:
        answer(None, f"more: --after {page.next}", as_json=False)


@click.command("deprecate")
@click.argument("reference", metavar="ID[@VERSION]", type=WORKFLOW)
@click.option("--reason", required=True, help="Why, for whoever uses it.")
@click.option("--instead", default="", help="What to use in its place.")
@changing_options
def deprecate(target: Target, reference: str, reason: str, instead: str) -> None:
    """Advise against a published workflow. It goes on to work.

    Without a version, that is all of its versions.

    \b
    Example: openagents workflows deprecate order@1.0.0 --reason "slow" --instead order@^2
    """
    name, _, version = reference.partition("@")
    with target.engine() as engine:
        changed = engine.workflows.deprecate(
            name, version, reason=reason, instead=instead
        )
    tell_status(target, reference, "deprecated", changed=changed)


@click.command("withdraw")
@click.argument("reference", metavar="ID[@VERSION]", type=WORKFLOW)
@click.option("--reason", required=True, help="Why, for whoever misses it.")
@changing_options
def withdraw(target: Target, reference: str, reason: str) -> None:
    """Let nobody find a published workflow. Runs of it go on.

    Without a version, that is all of its versions. Its number stays taken, unlike that of one that is deleted.

    \b
    Example: openagents workflows withdraw order@1.0.0 --reason "charges twice"
    """
    name, _, version = reference.partition("@")
    with target.engine() as engine:
        changed = engine.workflows.withdraw(name, version, reason=reason)
    tell_status(target, reference, "withdrawn", changed=changed)


@click.command("history")
@click.argument("name", metavar="ID", type=WORKFLOW)
@listing_options
def history(target: Target, name: str) -> None:
    """Show what happened to a published workflow.

    \b
    Example: openagents workflows history order
    """
    with target.engine() as engine:
        changes = engine.workflows.history(name)
    show_history(target, changes)
