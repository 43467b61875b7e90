"""Pictures of workflows: all kinds of steps are there, and what is in a document is text in them, never markup."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from openagents_json.engine.pictures.canvas import text_of
from openagents_json.engine.pictures.drawing import drawing_of
from openagents_json.engine.pictures.graph import Graph, Node
from openagents_json.engine.pictures.mermaid import mermaid_of
from openagents_json.engine.pictures.sources import document_graph
from openagents_json.engine.pictures.svg import svg_of
from openagents_json.workflow.errors import InvalidDefinition

STEP = {"id": "a", "component": "c"}
KINDS: dict[str, Any] = {
    "id": "kinds",
    "inputs": {"n": {}},
    "steps": [
        {"id": "one", "component": "fetch", "compensate": "forget"},
        {"id": "sub", "workflow": "other@^1", "depends_on": ["one"]},
        {
            "id": "ask",
            "wait_for": {"signal": "go", "timeout": 5},
            "depends_on": ["one"],
        },
        {"id": "nap", "sleep": {"minutes": 5}, "depends_on": ["one"]},
        {
            "id": "again",
            "depends_on": ["sub", "ask", "nap"],
            "loop": {"until": "{{a.output}}", "max_iterations": 3, "steps": [STEP]},
        },
        {
            "id": "each",
            "depends_on": ["again"],
            "foreach": "{{input.n}}",
            "component": "parse",
            "condition": "{{item > 3}}",
        },
        {"id": "end", "depends_on": ["each"], "terminate": "success"},
    ],
    "on_failure": {"component": "alarm"},
}


def text(graph: Graph, room: int = 80, *, plain: bool = False) -> str:
    rows = text_of(drawing_of(graph, room), plain=plain)
    return "\n".join("".join(piece.text for piece in row) for row in rows)


def test_every_kind_of_step_is_drawn_with_what_it_does() -> None:
    graph = document_graph(KINDS)
    notes = (
        "fetch",
        "undone by forget",
        "workflow other@^1",
        "waits for signal go",
        "sleeps 5 minutes",
        "until a.output, at most 3 times",
        "for each of input.n",
        "if item > 3",
        "ends the run: success",
        "on failure",
        "alarm",
    )
    for width in (80, 120):
        seen = text(graph, width)
        assert max(map(len, seen.splitlines())) <= width
        assert [note for note in notes if note not in seen] == [], seen
    svg = "".join(
        ElementTree.fromstring(svg_of(drawing_of(graph, 120), "x")).itertext()
    )
    assert [note for note in notes if note not in svg] == []
    flowchart = mermaid_of(graph)
    names = re.findall(r'^ +(?:subgraph )?(\w+)\["(\w+)', flowchart, re.MULTILINE)
    number = {name: key for key, name in names}
    assert f"  {number['one']} --> {number['sub']}" in flowchart.splitlines()
    assert f"    {number['a']}" in flowchart


def test_a_terminal_without_box_characters_gets_a_picture_too() -> None:
    seen = text(document_graph({"id": "w", "steps": [STEP]}), plain=True)
    assert seen.isascii()
    assert seen.splitlines()[0] == "+---+"


def test_conditions_of_connections_stand_with_them() -> None:
    document = {
        "id": "w",
        "steps": [STEP, {"id": "b", "component": "c"}],
        "connections": [{"source": "a", "target": "b", "condition": "value > 3"}],
    }
    graph = document_graph(document)
    assert "from a: value > 3" in text(graph)
    assert '-->|"value #62; 3"|' in mermaid_of(graph)


EVIL = (
    '"]; click n0 "javascript:alert(1)" %%{init: {}}%%\n</text><script>alert(1)</script>'
    "`**x**` ]]> &amp; &#60; <!-- --> \x1b[2J \u202e \ud800 -- end 1. x"
)


@pytest.mark.parametrize("inner", [False, True])
def test_what_is_in_a_document_is_text_and_never_markup(inner: bool) -> None:
    document = {"id": "w", "steps": [{"id": "a", "component": EVIL}]}
    if inner:
        document = {"id": "w", "steps": [{"id": "b", "steps": document["steps"]}]}
    graph = document_graph(document)
    hostile = Node(EVIL, EVIL, "component", (EVIL,), progress=EVIL)
    for drawn in (graph, Graph(EVIL, (hostile,), ())):
        svg = ElementTree.fromstring(svg_of(drawing_of(drawn, 100), EVIL))
        tags = {tag.tag.rpartition("}")[2] for tag in svg.iter()}
        assert tags <= {"svg", "title", "style", "rect", "path", "text"}
        names = {name for tag in svg.iter() for name in tag.attrib}
        assert not [name for name in names if name.startswith("on") or "href" in name]
        for line in mermaid_of(drawn).splitlines()[1:]:
            assert re.fullmatch(
                r' *((subgraph )?n[0-9_]+\["(<br/>|[^"<>`&%\[\]{}()\x00-\x1f])*"\]|end)',
                line,
            ), line
    assert text(graph).isprintable() or text(graph).replace("\n", "").isprintable()


def test_deep_nests_and_dense_graphs_fit_into_any_terminal() -> None:
    block: dict[str, Any] = {"id": "x0", "component": "c"}
    for depth in range(1, 25):
        block = {"id": f"x{depth}", "steps": [block]}
    deep = text(document_graph({"id": "w", "steps": [block]}))
    assert max(map(len, deep.splitlines())) <= 80
    assert "steps inside" in deep
    names = [f"step-number-{number}" for number in range(40)]
    steps = [
        {"id": name, "component": "c", "depends_on": names[:at]}
        for at, name in enumerate(names)
    ]
    dense = text(document_graph({"id": "w", "execution": "graph", "steps": steps}))
    assert max(map(len, dense.splitlines())) <= 80
    assert "after step-number-0, step-number-1" in dense
    assert "after step-number-0, step-number-1" in dense
    many = [{"id": f"s{number}", "component": "c"} for number in range(2000)]
    assert "s1999" in text(document_graph({"id": "w", "steps": many}))


def test_a_document_that_is_none_is_refused_with_its_problems() -> None:
    with pytest.raises(InvalidDefinition):
        document_graph({"id": "w", "steps": [{"id": "a"}]})
