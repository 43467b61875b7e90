"""Published workflows: versions, aliases, canaries, and whether a new version fits the runs of the old one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from cli.commands.run import show_warnings
from cli.completion.types import WORKFLOW
from cli.inputs.questions import is_wanted
from cli.lazy import LazyGroup
from cli.options import (
    Target,
    changing_options,
    knowing_options,
    listing_options,
    reading_options,
    yes_option,
)
from cli.render import answer, second, show
from cli.terminal import say
from cli.times import Time

HOMES = {
    "draw": "cli.commands.draw:draw",
    "schema": "cli.commands.schema:schema",
    "diff": "cli.commands.published.compare:diff",
    "register": "cli.commands.published.retire:register",
    "search": "cli.commands.published.retire:search",
    "deprecate": "cli.commands.published.retire:deprecate",
    "withdraw": "cli.commands.published.retire:withdraw",
    "history": "cli.commands.published.retire:history",
}


@click.group(cls=LazyGroup, homes=HOMES)
def workflows() -> None:
    """Publish workflows, name versions, check new ones, draw."""


@workflows.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--alias", help="Let ID@ALIAS mean this version from now on.")
@knowing_options
def add(target: Target, files: tuple[str, ...], alias: str | None) -> None:
    """Publish workflows under their id and version. Runs, schedules and other workflows call them by name.

    \b
    Example: openagents workflows add order.json --alias stable
    """
    with target.engine(create=True) as engine:
        for file in files:
            show_warnings(engine, file, Path(file))
        names = [engine.publish(file, alias=alias) for file in files]
    messages = [f"{name} published" for name in names]
    answer(names, messages, as_json=target.as_json)


@workflows.command("list")
@click.option("--as-of", "at", type=Time(), help="As they were at this time.")
@listing_options
def list_workflows(target: Target, at: int | None) -> None:
    """List published workflows with their aliases.

    \b
    Examples:
      openagents workflows list
      openagents workflows list --as-of 2h
    """
    if at is not None:
        _list_past(target, at)
        return
    with target.engine() as engine:
        published = engine.workflows.published()
        aliases = engine.workflows.aliases()
    documents = []
    for name, entry in sorted(published.items()):
        id_, _, version = name.partition("@")
        documents.append(
            {
                "id": id_,
                "version": version,
                "aliases": _aliases_of(id_, version, aliases),
                "definition": entry["definition"],
            }
        )
    rows = [
        [x["id"], x["version"], ", ".join(x["aliases"]), str(x["definition"])[:12]]
        for x in documents
    ]
    header = ["workflow", "version", "aliases", "definition"]
    show(documents, header, rows, as_json=target.as_json)


def _list_past(target: Target, at: int) -> None:
    with target.engine() as engine:
        rows = engine.workflows.as_of(at)
    header = ["workflow", "versions", "aliases", "status", "description"]
    cells = (
        [
            x.name,
            ", ".join(x.versions),
            ", ".join(x.aliases),
            x.status,
            x.description,
        ]
        for x in rows
    )
    show(rows, header, cells, as_json=target.as_json)


@workflows.command("show")
@click.argument("name", metavar="ID[@VERSION|@ALIAS]", type=WORKFLOW)
@reading_options
def show_workflow(target: Target, name: str) -> None:
    """Show a published workflow: versions, inputs, who uses it. With --json, its document too.

    \b
    Examples:
      openagents workflows show order
      openagents workflows show order@stable --json
    """
    with target.engine() as engine:
        plan = engine.workflows.resolve(name)
        full_name = f"{plan.id}@{plan.version}"
        published = engine.workflows.published()
        aliases = engine.workflows.aliases()
        uses = engine.uses(full_name)
    document = plan.definition["document"]
    versions = [
        key.partition("@")[2] for key in published if key.partition("@")[0] == plan.id
    ]
    shown = {
        "id": plan.id,
        "version": plan.version,
        "versions": sorted(versions),
        "aliases": _aliases_of(plan.id, plan.version, aliases),
        "definition": plan.hash,
        "added_ms": published[full_name]["added_ms"],
        "status": published[full_name].get("status", "active"),
        "reason": published[full_name].get("reason", ""),
        "uses": uses,
        "document": document,
    }
    answer(shown, _sentences(shown, document), as_json=target.as_json)


def _sentences(shown: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f"workflow    {shown['id']}@{shown['version']}"
    if document.get("description"):
        yield f"description {document['description']}"
    yield f"published   {second(shown['added_ms'])} UTC, definition {shown['definition'][:12]}"
    if shown["reason"]:
        yield f"status      {shown['status']}: {shown['reason']}"
    yield f"versions    {', '.join(shown['versions'])}"
    if shown["aliases"]:
        yield f"aliases     {', '.join(shown['aliases'])}"
    inputs = document.get("inputs") or {}
    if inputs:
        yield f"inputs      {', '.join(map(_input, inputs.items()))}"
    yield f"steps       {', '.join(str(step['id']) for step in document['steps'])}"
    for reason in shown["uses"].reasons():
        yield f"used        {reason}"


def _input(pair: tuple[str, Any]) -> str:
    name, declared = pair
    kind = declared.get("type", "any") if isinstance(declared, Mapping) else "any"
    is_required = isinstance(declared, Mapping) and declared.get("required")
    if is_required:
        return f"{name} ({kind}, required)"
    return f"{name} ({kind})"


@workflows.command("delete")
@click.argument("name", metavar="ID@VERSION", type=WORKFLOW)
@click.option(
    "--force",
    is_flag=True,
    help="Even if it is used: steps and schedules that call it fail from then on.",
)
@yes_option
@changing_options
def delete_workflow(target: Target, name: str, force: bool, yes: bool) -> int:
    """Delete a published version, with the aliases that mean it. Runs of it keep their definition and go on.

    It is refused while runs, schedules or other workflows use it; `workflows show` names them. It asks first.

    \b
    Example: openagents workflows delete order@1.0.0 --yes
    """
    with target.engine() as engine:
        # First of all: nobody is asked about a version that there is not.
        uses = engine.uses(name)
        for reason in uses.reasons():
            say(f"used: {reason}", err=True)
        if not is_wanted(f"delete workflow {name}", yes=yes):
            return 1
        engine.unpublish(name, force=force)
    deleted = {"name": name, "deleted": True, "uses": uses}
    answer(deleted, f"{name} deleted", as_json=target.as_json)
    return 0


def _aliases_of(
    id_: str, version: str, aliases: Mapping[str, dict[str, Any]]
) -> list[str]:
    return sorted(
        key.partition("@")[2]
        for key, alias_ in aliases.items()
        if key.startswith(f"{id_}@") and _means(alias_, version)
    )


def _means(alias: dict[str, object], version: str) -> bool:
    versions = [alias.get("version")]
    canary = alias.get("canary")
    if isinstance(canary, dict):
        versions.append(canary.get("version"))
    return version in versions


@workflows.command()
@click.argument("name", metavar="ID@ALIAS", type=WORKFLOW)
@click.argument("version")
@click.option(
    "--canary",
    metavar="VERSION=PERCENT",
    help="Give a percentage of starts another version.",
)
@changing_options
def alias(target: Target, name: str, version: str, canary: str | None) -> None:
    """Let ID@ALIAS mean a version; runs that have begun keep theirs.

    \b
    Example: openagents workflows alias order@stable 1.0.0 --canary 2.0.0=10
    """
    id_, at, word = name.partition("@")
    if not at:
        raise click.BadParameter(f"{name!r} is not ID@ALIAS", param_hint="ID@ALIAS")
    other = None
    percent = 0.0
    if canary is not None:
        other, _, share = canary.partition("=")
        try:
            percent = float(share)
        except ValueError as error:
            raise click.BadParameter(
                f"{canary!r} is not VERSION=PERCENT", param_hint="--canary"
            ) from error
    with target.engine() as engine:
        engine.workflows.point(id_, word, version, canary=other, percent=percent)
    message = f"{name} is {version}"
    if other:
        message += f", and {other} for {percent:g} % of starts"
    document = {
        "alias": name,
        "version": version,
        "canary": other,
        "percent": percent,
    }
    answer(document, message, as_json=target.as_json)


@workflows.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Runs to look at.",
)
@knowing_options
def check(target: Target, file: str, limit: int) -> int:
    """Check a new version: would past runs have gone the same way?

    Exit code: 0 when every run fits, 1 when one would take another way.

    \b
    Example: openagents workflows check order-2.json
    """
    from openagents_json.engine.inspection.version_check import check_version

    with target.engine() as engine:
        report = check_version(engine, file, limit=limit)
    answer(report, report.lines(), as_json=target.as_json)
    return 1 if report.differing else 0
