"""What an editor shows of a component, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from openagents_json.workflow.component_spec import ComponentSpec, Parameter

NOTHING: Final = ComponentSpec("", inputs=())
"""Stands for a component that there is not."""


def component_text(spec: ComponentSpec) -> str:
    """Return what a component does, takes and gives; nothing for one that there is not."""
    facts = [f"`{spec.name}@{spec.version}`", spec.effect or "", *spec.tags]
    parameters = spec.inputs or ()
    parts = [
        " · ".join(filter(None, facts)),
        spec.description,
        "\n".join([*_HEAD, *map(_row, parameters)]) if parameters else "",
        f"gives: {spec.output}",
    ]
    return _paragraphs(parts) if spec.name else ""


_HEAD: Final = ("| input | | |", "|---|---|---|")


def _paragraphs(parts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, parts))


def parameter_text(parameter: Parameter) -> str:
    """Return what an input of a component means."""
    return _paragraphs((parameter_facts(parameter), parameter.description))


def parameter_facts(parameter: Parameter) -> str:
    """Return in a few words what an input may be."""
    if parameter.required:
        return f"{parameter.type}, required"
    is_plain = parameter.default is None
    return parameter.type if is_plain else f"{parameter.type}, {parameter.default!r}"


def _row(parameter: Parameter) -> str:
    text = parameter.description.replace("\n", " ").replace("|", "\\|")
    return f"| `{parameter.name}` | {parameter_facts(parameter)} | {text} |"
