"""A picture as a flowchart of Mermaid: what is in a document stands in it as text and never as syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from openagents_json.engine.pictures.graph import Graph, Node

INDENT: Final = "  "

_OTHERS: Final = re.compile(r"(?!(?<=\w)[.,:/-](?=\w))[^\w ]")
"""What may mean something to Mermaid, and is written by its number: all but words, and what joins them."""

STYLES: Final = {
    "completed": "stroke:#1a7f37,stroke-width:2px",
    "failed": "stroke:#cf222e,stroke-width:2px",
    "cancelled": "stroke:#9a6700,stroke-width:2px",
    "skipped": "stroke:#9a6700,stroke-dasharray:4",
    "running": "stroke:#0969da,stroke-width:2px",
}


def mermaid_of(graph: Graph) -> str:
    """Return a graph as a flowchart."""
    lines = ["flowchart TD"]
    statuses: set[str] = set()
    lines += _indented(_graph(graph, "n", statuses))
    # In the order of `STYLES`: the same run has the same picture.
    for status, style in STYLES.items():
        if status in statuses:
            lines.append(f"{INDENT}classDef {status} {style}")
    lines.append("")
    return "\n".join(lines)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return map(INDENT.__add__, lines)


def _graph(graph: Graph, prefix: str, statuses: set[str]) -> Iterator[str]:
    """Return the lines of a graph; steps have numbers, as Mermaid takes some names for words of its own."""
    numbers: dict[str, str] = {}
    for node in (*graph.nodes, *graph.asides):
        number = f"{prefix}{len(numbers)}"
        numbers[node.name] = number
        yield from _node(node, number, statuses)
    for arrow in graph.arrows:
        source = numbers[arrow.source]
        target = numbers[arrow.target]
        label = f'|"{_text(arrow.label)}"|' if arrow.label else ""
        yield f"{source} -->{label} {target}"


def _node(node: Node, number: str, statuses: set[str]) -> Iterator[str]:
    texts = filter(None, (node.name, *node.notes, node.progress))
    label = "<br/>".join(map(_text, texts))
    if node.inner is None:
        yield f'{number}["{label}"]'
    else:
        yield f'subgraph {number}["{label}"]'
        yield from _indented(_graph(node.inner, f"{number}_", statuses))
        yield "end"
    if node.status in STYLES:
        statuses.add(node.status)
        yield f"class {number} {node.status}"


def _text(text: str) -> str:
    return _OTHERS.sub(_by_number, text)


def _by_number(match: re.Match[str]) -> str:
    return f"#{ord(match[0])};"
