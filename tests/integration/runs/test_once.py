"""A start looks at its document once: it is parsed, compiled and hashed once, and each of its expressions is too."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from openagents_json import Registry
from openagents_json.engine import Engine
from openagents_json.workflow.expressions.forms import compile_form
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.parse import parse
from openagents_json.workflow.language.validate import check
from tests.conftest import Server

DOCUMENT: dict[str, Any] = {
    "id": "counted",
    "inputs": {"word": {"type": "string"}},
    "steps": [
        {
            "id": "a",
            "component": "say",
            "inputs": {"text": "{{input.word}}"},
            "timeout": 9,
        },
        {
            "id": "b",
            "component": "say",
            "inputs": {"text": "{{a.output | upper}}, and"},
            "condition": "a.success",
        },
        {
            "id": "each",
            "foreach": [{"x": "p"}],
            "component": "say",
            "inputs": {"text": "{{item.x}}"},
        },
        {
            "id": "again",
            "loop": {
                "while": "index < 3",
                "max_iterations": 2,
                "steps": [
                    {
                        "id": "c",
                        "component": "say",
                        "inputs": {"text": "{{previous}}{{ b.output }}"},
                    }
                ],
            },
        },
    ],
    "output": {"all": "{{ [again.output, b.output] }}"},
}
EXPRESSIONS = 8


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count what is done to documents in this thread."""
    doing: dict[CodeType, str] = {
        parse.__code__: "parsed",
        check.__code__: "looked through",
        compile_plan.__code__: "compiled",
        compile_form.__code__: "expressions",
    }
    times: Counter[str] = Counter()

    def note(frame: FrameType, event: str, called: Any) -> None:
        if event == "call" and frame.f_code in doing:
            times[doing[frame.f_code]] += 1
        elif event == "c_call" and called is hashlib.sha256:
            times.update(
                ["hashed"]
                if frame.f_globals["__name__"].startswith("openagents_json.workflow")
                else []
            )

    sys.setprofile(note)
    try:
        yield times
    finally:
        sys.setprofile(None)


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    registry = Registry()
    registry.tool("say")(lambda text: text)
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=0
    ) as engine:
        engine.start(
            {
                "id": "first",
                "steps": [{"id": "a", "component": "say", "inputs": {"text": "x"}}],
            }
        )
        yield engine  # what is imported for the first start, and what modules hash then, is not counted


def from_file(path: Path) -> Any:
    (path / "workflow.json").write_text(json.dumps(DOCUMENT))
    return path / "workflow.json"


WAYS: dict[str, Callable[[Path], Any]] = {
    "a file": from_file,
    "a value": lambda path: DOCUMENT,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", ["", "its warnings are shown"])
def test_a_start_looks_at_its_document_once(
    engine: Engine, tmp_path: Path, way: str, before: str
) -> None:
    document = WAYS[way](tmp_path)
    with counted() as times:
        if before:
            assert engine.validate(document).valid
        engine.start(document, {"word": "x"})
    once = {"looked through": 1, "compiled": 1, "hashed": 1, "expressions": EXPRESSIONS}
    assert times == once | ({"parsed": 1} if way == "a file" else {})
    with counted() as times:
        engine.start(document, {"word": "y"})
    assert times == {}
