"""The same document is the same definition, however it is handed over, also where its components are elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from click.testing import CliRunner

from cli.root import cli
from openagents_json import Registry, Workflow
from openagents_json.engine import DocumentUnreadable, Engine
from openagents_json.workflow.errors import InvalidDefinition
from tests.conftest import Server

DOCUMENT: dict[str, Any] = {
    "id": "w",
    "steps": [
        {
            "id": "a",
            "component": "elsewhere",
            "inputs": {"k": ["é", 1, None]},
            "depends_on": [],
        }
    ],
    "output": "{{a.output}}",
}
TEXT = json.dumps(DOCUMENT, ensure_ascii=False, indent=2)
TEXTS = {
    "plain": TEXT,
    "line feed at the end": TEXT + "\n",
    "blanks around it": f" \t\r\n{TEXT}\n\n ",
    "byte order mark": f"\ufeff{TEXT}\n",
    "mark and blanks": f"\ufeff \n{TEXT}",
    "carriage returns": TEXT.replace("\n", "\r\n") + "\r\n",
    "escaped": json.dumps(DOCUMENT),
    "other order": json.dumps(dict(reversed(DOCUMENT.items()))),
}


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    """An engine without components, beside a worker that has them."""
    prefix, registry = server.prefix(), Registry()
    registry.tool("elsewhere")(lambda k: k)
    with (
        Engine.connect(
            server.url, prefix=prefix, components=registry, workers=1, partitions=1
        ),
        Engine.connect(server.url, prefix=prefix, workers=0, partitions=1) as opened,
    ):
        yield opened


def _file(text: str, folder: Path) -> Path:
    path = folder / "w.json"
    path.write_bytes(text.encode())
    return path


WAYS: dict[str, Callable[[str, Path], Any]] = {
    "path": _file,
    "name of a file": lambda text, folder: str(_file(text, folder)),
    "text": lambda text, folder: text,
    "bytes": lambda text, folder: text.encode(),
    "workflow": lambda text, folder: Workflow.load(_file(text, folder)),
}


def test_the_same_document_is_the_same_definition(
    engine: Engine, tmp_path: Path
) -> None:
    expected = engine.plan(DOCUMENT).hash
    for name, text in TEXTS.items():
        for way, document in WAYS.items():
            assert engine.plan(document(text, tmp_path)).hash == expected, (name, way)
            assert engine.validate(document(text, tmp_path)).valid, (name, way)
    steps = tuple(
        MappingProxyType({**step, "depends_on": ()}) for step in DOCUMENT["steps"]
    )
    for mapping in (
        MappingProxyType(DOCUMENT),
        {**DOCUMENT, "steps": steps},
        Workflow(MappingProxyType(DOCUMENT)),
    ):
        assert engine.plan(mapping).hash == expected
    assert engine.run(TEXT + "\n", timeout=120).output == ["é", 1, None]


def test_a_document_that_is_changed_later_is_the_one_that_it_was(
    engine: Engine,
) -> None:
    document = json.loads(TEXT)
    plan = engine.plan(document)
    document["steps"][0]["inputs"]["k"] = "changed"
    assert plan.definition["document"]["steps"][0]["inputs"]["k"] == ["é", 1, None]
    assert engine.plan(document).hash != plan.hash


def test_what_is_no_document_is_told_in_every_form(
    engine: Engine, tmp_path: Path
) -> None:
    for text in ('{"id": "w"', '{"id": "w"}\n', "{]", '\ufeff{"id": 1}'):
        for way in ("path", "text", "bytes"):
            with pytest.raises(InvalidDefinition):
                engine.plan(WAYS[way](text, tmp_path))
    for path in ("no/such.json", "nul\0.json", "x" * 5000 + ".json"):
        with pytest.raises(DocumentUnreadable):
            engine.plan(Path(path))


def test_standard_input(tmp_path: Path) -> None:
    document = {"id": "w", "steps": [{"id": "a", "terminate": {"output": 7}}]}
    for text in (json.dumps(document), f"\ufeff{json.dumps(document)}\r\n"):
        at = ["--data", str(tmp_path / "store")]
        validated = CliRunner().invoke(
            cli, ["validate", "-"], input=text, standalone_mode=False
        )
        assert (validated.exit_code, validated.output) == (0, "-: valid\n")
        done = CliRunner().invoke(
            cli, ["run", "-", *at], input=text, standalone_mode=False
        )
        assert '"output": 7' in done.output


def test_run_shows_warnings_of_a_document_and_refuses_what_is_misspelt(
    tmp_path: Path,
) -> None:
    step = {"id": "a", "terminate": {"output": 7}, "on_eror": []}
    path, at = tmp_path / "w.json", ["--data", str(tmp_path / "store")]
    path.write_text(json.dumps({"id": "w", "steps": [step]}, indent=1))
    done = CliRunner().invoke(cli, ["run", str(path), *at], standalone_mode=False)
    assert (
        f"{path}:9:15: warning unknown_key: 'on_eror' means nothing in a step"
        in done.stderr
    )
    assert "did you mean 'on_error'?" in done.stderr
    assert json.loads(done.stdout)["output"] == 7
    path.write_text(
        json.dumps({"id": "w", "steps": [{**step, "retry": {"max_retrys": 1}}]})
    )
    refused = CliRunner().invoke(cli, ["run", str(path), *at], standalone_mode=False)
    assert isinstance(refused.exception, InvalidDefinition)
    assert "did you mean 'max_retries'?" in str(refused.exception)
