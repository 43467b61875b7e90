"""Published workflows: versions, aliases, canaries, and whether a new version fits the runs of the old one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cli.commands.run import show_warnings
from cli.options import Target, target_options
from cli.render import answer, show


@click.group()
def workflows() -> None:
    """Publish workflows, name their versions, and check new ones."""


@workflows.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option("--alias", help="Let ID@ALIAS mean this version from now on.")
@target_options
def add(target: Target, files: tuple[str, ...], alias: str | None) -> None:
    """Publish documents under their id and version, for runs, schedules and other workflows to call by name."""
    with target.engine(create=True) as engine:
        for file in files:
            show_warnings(engine, file, Path(file))
        names = [engine.publish(file, alias=alias) for file in files]
    messages = [f"{name} published" for name in names]
    answer(names, messages, as_json=target.as_json)


@workflows.command("list")
@target_options
def list_workflows(target: Target) -> None:
    """List published workflows with their aliases."""
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
@click.argument("name", metavar="ID@ALIAS")
@click.argument("version")
@click.option(
    "--canary",
    metavar="VERSION=PERCENT",
    help="Give a percentage of starts another version.",
)
@target_options
def alias(target: Target, name: str, version: str, canary: str | None) -> None:
    """Let ID@ALIAS mean a version; runs that have begun keep theirs."""
    id_, at, word = name.partition("@")
    if not at:
        raise click.BadParameter(f"{name!r} is not ID@ALIAS", param_hint="ID@ALIAS")
    other, percent = None, 0.0
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
@target_options
def check(target: Target, file: str, limit: int) -> int:
    """Replay the runs of a workflow against a new version of it: would they have gone the same way?

    Exit code: 0 when every run fits, 1 when one would take another way.
    """
    from openagents_json.engine.inspection.version_check import check_version

    with target.engine() as engine:
        report = check_version(engine, file, limit=limit)
    answer(report, report.lines(), as_json=target.as_json)
    return 1 if report.differing else 0
