"""A picture as SVG: what is in a document stands in it as text and never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Final

from openagents_json.engine.pictures.shapes import Box, Drawing, Wire

WIDE: Final = 8
HIGH: Final = 18
"""The size of a character's cell."""

COLOURS: Final = {
    "completed": "#1a7f37",
    "failed": "#cf222e",
    "cancelled": "#9a6700",
    "skipped": "#9a6700",
    "running": "#0969da",
}

_STYLE: Final = """\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#57606a;white-space:pre}
.name{font-weight:600;fill:#1f2328}
rect{fill:none;stroke:#57606a;stroke-width:1.2}
.paper{fill:#ffffff;stroke:none}
path{fill:none;stroke:#57606a;stroke-width:1.2}
.head{fill:#57606a;stroke:none}"""

_NOT_XML: Final = re.compile("[^\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What XML has no way to write, escaped or not."""


def svg_of(drawing: Drawing, title: str) -> str:
    """Return a picture as an SVG file."""
    width = (drawing.width + 2) * WIDE
    height = (drawing.height + 1) * HIGH
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{_text(title)}</title>",
            f"<style>{_STYLE}{_statuses()}</style>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            *(_path(wire) for wire in drawing.wires),
            *(_head(x, y) for x, y in drawing.heads),
            *(line for box in drawing.boxes for line in _box(box)),
            "</svg>",
            "",
        ]
    )


def _statuses() -> str:
    rules = (
        f"\n.{status}{{stroke:{colour};stroke-width:2}}text.{status}{{fill:{colour};stroke:none}}"
        for status, colour in COLOURS.items()
    )
    return "".join(rules)


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text), quote=True)


def _middle(x: int, y: int) -> tuple[int, int]:
    """Return the middle of a cell."""
    return (x + 1) * WIDE + WIDE // 2, y * HIGH + HIGH


def _path(wire: Wire) -> str:
    (x, y), (to_x, to_y) = _middle(wire.x, wire.y), _middle(wire.to_x, wire.to_y)
    return f'<path d="M{x} {y}L{to_x} {to_y}"/>'


def _head(x: int, y: int) -> str:
    middle, top = _middle(x, y)
    points = f"M{middle - 4} {top + 8}L{middle + 4} {top + 8}L{middle} {top + HIGH}Z"
    return f'<path class="head" d="{points}"/><path d="M{middle} {top}L{middle} {top + 9}"/>'


def _box(box: Box) -> Iterator[str]:
    status = box.node.status if box.node.status in COLOURS else ""
    x, y = _middle(box.x, box.y)
    width = (box.width - 1) * WIDE
    height = (box.height - 1) * HIGH
    attributes = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="4"'
    yield f'<rect class="{status}" {attributes}/>'
    for row, text in enumerate(box.texts, 1):
        kind = "name" if row == 1 else "note"
        left, base = _middle(box.x + 2, box.y + row)
        yield (
            f'<text class="{kind} {status}" x="{left - WIDE // 2}" y="{base + 4}">'
            f"{_text(text)}</text>"
        )
