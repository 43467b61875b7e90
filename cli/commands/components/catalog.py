"""The catalog of components: registered, found, retired, with its past."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.commands.published.catalog_answers import show_history, tell_status
from cli.completion.types import COMPONENT
from cli.options import (
    Target,
    changing_options,
    knowing_options,
    listing_options,
    page_options,
    reading_options,
)
from cli.render import answer, print_json, show
from cli.times import Time

if TYPE_CHECKING:
    from openagents_json.engine.cataloging.catalog import CatalogRow, CatalogVersion


@click.command("list")
@click.argument("beginning", metavar="[PREFIX]", default="", type=COMPONENT)
@click.option("--as-of", "at", type=Time(), help="As the catalog was at this time.")
@page_options
@listing_options
def list_components(
    target: Target, beginning: str, at: int | None, limit: int, after: str
) -> None:
    """List registered components by name.

    With PREFIX, those that begin with it.

    \b
    Examples:
      openagents components list
      openagents components list text. --as-of 2h
    """
    with target.engine() as engine:
        if at is None:
            rows, behind = engine.catalog.page(beginning, limit=limit, after=after)
        else:
            past = engine.catalog.as_of(at)
            rows = [x for x in past if x.name.startswith(beginning) and x.name > after]
            behind = rows[limit - 1].name if len(rows) > limit else ""
    _show_rows(target, rows[:limit], behind)


@click.command("search")
@click.argument("words", nargs=-1)
@click.option("--type", "kind", default="", help="Only agents, tools or assets.")
@click.option(
    "--tag", "tags", multiple=True, help="Only with this tag; several mean all."
)
@click.option("--agent", default="", help="Only capabilities of this agent.")
@click.option("--capability", default="", help="Only agents that have this capability.")
@click.option("--parameter", default="", help="Only with a parameter of this name.")
@click.option("--takes", default="", help="Only with a parameter of this type.")
@click.option("--worker-type", default="", help="Only those of this worker type.")
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
    kind: str,
    limit: int,
    after: str,
    status: str | None,
    **criteria: Any,
) -> None:
    """Find registered components, the best first.

    WORDS, or beginnings of words, are those of names and descriptions.

    \b
    Examples:
      openagents components search summarize text
      openagents components search --tag billing --takes object
    """
    from openagents_json.engine.cataloging.catalog import CatalogFilter

    chosen = CatalogFilter(" ".join(words), type=kind, status=status or "", **criteria)
    with target.engine() as engine:
        page = engine.catalog.search(chosen, limit=limit, after=after)
    _show_rows(target, list(page.items), page.next)


def _show_rows(target: Target, rows: list[CatalogRow], behind: str) -> None:
    header = ("component", "version", "type", "status", "tags", "description")
    cells = (
        (
            row.name,
            row.version,
            row.type,
            row.status,
            ", ".join(row.tags),
            row.description,
        )
        for row in rows
    )
    if target.as_json:
        answer({"items": rows, "next": behind}, "", as_json=True)
        return
    show(rows, header, cells, as_json=False)
    if behind:
        answer(None, f"more: --after {behind}", as_json=False)


@click.command("show")
@click.argument("reference", metavar="NAME[@RANGE|@ALIAS]", type=COMPONENT)
@click.option("--as-of", "at", type=Time(), help="As it was at this time.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["spec", "schema", "mcp", "function"]),
    default="spec",
    show_default=True,
    help="With --json: all of it, the schema of its inputs, or a tool for language models.",
)
@reading_options
def show_component(target: Target, reference: str, at: int | None, form: str) -> None:
    """Show a registered component and its versions.

    \b
    Examples:
      openagents components show text.summarize@^1
      openagents components show text.summarize --as mcp --json
    """
    with target.engine() as engine:
        version = engine.catalog.show(reference, as_of_ms=at)
    if form != "spec":
        print_json(version.tool(form))
        return
    answer(version, _sentences(version), as_json=target.as_json)


def _sentences(version: CatalogVersion) -> Iterator[str]:
    spec = version.spec
    yield f"component    {version.name}@{version.version}"
    yield f"status       {version.status} {version.reason}".rstrip()
    if version.instead:
        yield f"instead      {version.instead}"
    for name in ("description", "author", "build", "effect"):
        if spec.get(name):
            yield f"{name:<12} {spec[name]}"
    yield f"type         {spec.get('kind', 'tool')}"
    yield f"worker type  {spec.get('queue', 'tool')}"
    for name in ("tags", "dependencies", "examples", "resources"):
        if spec.get(name):
            yield f"{name:<12} {_listed(spec[name])}"
    takes = [_input(parameter) for parameter in spec.get("inputs", ())]
    yield f"takes        {', '.join(takes) or 'nothing' if 'inputs' in spec else 'anything'}"
    yield f"versions     {', '.join(version.versions)}"
    for alias, means in version.aliases.items():
        yield f"alias        {alias} is {means['version']}"


def _listed(value: Any) -> str:
    """Return a list, or what stands under some names, in one line for people."""
    text = json.dumps(value, ensure_ascii=False)
    return text.strip("[]{}").replace('"', "")


def _input(parameter: Mapping[str, Any]) -> str:
    kind = parameter.get("type", "any")
    optional = "" if parameter.get("required", True) else ", optional"
    return f"{parameter['name']} ({kind}{optional})"


@click.command("register")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=True))
@click.option("--reason", default="", help="Why, for the history.")
@knowing_options
def register(target: Target, files: tuple[str, ...], reason: str) -> int:
    """Register components. A version never changes.

    Those of -c, and those of FILES: specs in JSON or YAML, OpenAPI documents, or directories of such files.

    Exit code: 0 when all are registered, 1 when one was refused; the others are registered all the same.

    \b
    Examples:
      openagents components register -c components.py
      openagents components register specs/ --reason "first release"
    """
    from openagents_json.engine.cataloging.spec_files import specs_in

    with target.engine(create=True) as engine:
        own = list(engine.registry.published().values()) if target.components else []
        specs = [*own, *specs_in(map(Path, files))]
        results = engine.catalog.register_all(specs, reason=reason)
    lines = (
        f"{result.name} {result.outcome} {result.error or ''}".rstrip()
        for result in results
    )
    answered = [
        {
            "name": result.name,
            "outcome": result.outcome,
            "error": str(result.error or ""),
        }
        for result in results
    ]
    answer(answered, lines, as_json=target.as_json)
    return 1 if any(result.error for result in results) else 0


@click.command("deprecate")
@click.argument("reference", metavar="NAME[@VERSION]", type=COMPONENT)
@click.option("--reason", required=True, help="Why, for whoever uses it.")
@click.option("--instead", default="", help="What to use in its place.")
@changing_options
def deprecate(target: Target, reference: str, reason: str, instead: str) -> None:
    """Advise against a component. It goes on to work.

    Without a version, that is all of its versions.

    \b
    Example: openagents components deprecate pay@1.0.0 --reason "rounds wrongly" --instead pay@^2
    """
    name, _, version = reference.partition("@")
    with target.engine() as engine:
        changed = engine.catalog.deprecate(
            name, version, reason=reason, instead=instead
        )
    tell_status(target, reference, "deprecated", changed=changed)


@click.command("withdraw")
@click.argument("reference", metavar="NAME[@VERSION]", type=COMPONENT)
@click.option("--reason", required=True, help="Why, for whoever misses it.")
@changing_options
def withdraw(target: Target, reference: str, reason: str) -> None:
    """Let no document find a component. Runs of it go on.

    Without a version, that is all of its versions.

    \b
    Example: openagents components withdraw pay@1.0.0 --reason "charges twice"
    """
    name, _, version = reference.partition("@")
    with target.engine() as engine:
        changed = engine.catalog.withdraw(name, version, reason=reason)
    tell_status(target, reference, "withdrawn", changed=changed)


@click.command("alias")
@click.argument("name", metavar="NAME@ALIAS", type=COMPONENT)
@click.argument("version", required=False)
@click.option("--remove", is_flag=True, help="Let it mean nothing any more.")
@click.option("--reason", default="", help="Why, for the history.")
@changing_options
def alias(
    target: Target, name: str, version: str | None, remove: bool, reason: str
) -> None:
    """Let NAME@ALIAS mean a version of a component.

    \b
    Example: openagents components alias pay@stable 1.0.0
    """
    component, _, word = name.partition("@")
    if not word:
        raise click.BadParameter(f"{name!r} is not NAME@ALIAS", param_hint="NAME@ALIAS")
    if remove == (version is not None):
        raise click.UsageError("give a VERSION, or --remove")
    with target.engine() as engine:
        changed = engine.catalog.alias(component, word, version, reason=reason)
    means = "nothing" if version is None else version
    document = {"alias": name, "version": version, "changed": changed}
    answer(document, f"{name} is {means}", as_json=target.as_json)


@click.command("history")
@click.argument("name", type=COMPONENT)
@listing_options
def history(target: Target, name: str) -> None:
    """Show what happened to a component in the catalog.

    \b
    Example: openagents components history pay
    """
    with target.engine() as engine:
        changes = engine.catalog.history(name)
    show_history(target, changes)
