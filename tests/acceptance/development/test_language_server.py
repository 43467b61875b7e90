"""`openagents lsp` as an editor has it: a process that is spoken to over its standard streams, one for all tests."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.components.declared.openapi.document import import_openapi
from tests.fork_server import ROOT

pytestmark = pytest.mark.xdist_group("language_server")

COMPONENTS = '''
from openagents_json import tool

print("printed while it is imported")


@tool("shop.lamp", effect="idempotent", tags=("shop",), version="1.2.0")
def lamp(kind: str, most: int = 10) -> list:
    """Find lamps."""
    return []
'''
API = """
openapi: 3.1.0
info: {title: api, version: 1.0.0}
paths:
  /price/{id}:
    get:
      operationId: price
      responses:
        '200': {content: {application/json: {schema: {type: object, properties: {euros: {type: number}}}}}}
"""


class Editor:
    """Speaks the protocol with a server: answers to what is asked, and the latest diagnostics of each text."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "openagents_json", "lsp", "--stdio"]
        for file in ("parts.py", "api.yaml", "edited.py"):
            command += ["-c", file]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
        self._ids = itertools.count(1)
        self._versions = itertools.count(2)
        self.diagnostics: dict[str, list[dict[str, Any]]] = {}
        self.shown: list[str] = []
        self.watched: list[str] = []
        watching = {"didChangeWatchedFiles": {"dynamicRegistration": True}}
        self.capabilities = self.ask(
            "initialize", capabilities={"workspace": watching}, processId=None
        )
        self.tell("initialized")

    def ask(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        while (message := self._receive()).get("id") != number:
            self._take(message)
        assert "error" not in message, message
        return message["result"]

    def tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def open(self, uri: str, text: str) -> list[dict[str, Any]]:
        """Show a text, and return what is wrong with it."""
        document = {"uri": uri, "languageId": "x", "version": 1, "text": text}
        return self._changed(uri, "textDocument/didOpen", textDocument=document)

    def change(self, uri: str, text: str) -> list[dict[str, Any]]:
        document = {"uri": uri, "version": next(self._versions)}
        return self._changed(
            uri,
            "textDocument/didChange",
            textDocument=document,
            contentChanges=[{"text": text}],
        )

    def change_file(self, file: Path, text: str) -> None:
        """Write a file, and tell of it as an editor does that watches files."""
        file.write_text(text)
        change = {"uri": file.as_uri(), "type": 2}
        self.tell("workspace/didChangeWatchedFiles", changes=[change])

    def _changed(self, uri: str, method: str, **params: Any) -> list[dict[str, Any]]:
        self.diagnostics.pop(uri, None)
        self.tell(method, **params)
        self.wait(lambda: uri in self.diagnostics)
        return self.diagnostics[uri]

    def at(self, method: str, uri: str, text: str) -> Any:
        """Ask at the place of the mark | of a text, which is shown without it."""
        before, _, after = text.partition("|")
        show = self.change if uri in self.diagnostics else self.open
        show(uri, before + after)
        line, character = before.count("\n"), len(before) - before.rfind("\n") - 1
        position = {"line": line, "character": character}
        return self.ask(method, textDocument={"uri": uri}, position=position)

    def end(self) -> int:
        self.ask("shutdown")
        self.tell("exit")
        code = self._process.wait(60)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        return code

    def _send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(content))
        self._process.stdin.write(content)
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        lines = list(
            itertools.takewhile(
                str.strip, (x.decode() for x in iter(stdout.readline, b""))
            )
        )
        [length] = [x for x in lines if x.lower().startswith("content-length")]
        message: dict[str, Any] = json.loads(stdout.read(int(length.split(":")[1])))
        return message

    def wait(self, is_there: Callable[[], bool]) -> None:
        """Take what the server says until something is there."""
        while not is_there():
            self._take(self._receive())

    def _take(self, message: dict[str, Any]) -> None:
        params = message["params"]
        match message["method"]:
            case "textDocument/publishDiagnostics":
                self.diagnostics[params["uri"]] = params["diagnostics"]
            case "window/showMessage":
                self.shown.append(params["message"])
            case "client/registerCapability":
                self.watched += [x["method"] for x in params["registrations"]]
                self._send({"id": message["id"], "result": None})
            case other:
                raise AssertionError(other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("editor")
    (base / "parts.py").write_text(COMPONENTS)
    (base / "api.yaml").write_text(API)
    (base / "edited.py").write_text("")
    return base


@pytest.fixture(scope="module")
def editor(folder: Path) -> Iterator[Editor]:
    editor = Editor(folder)
    yield editor
    assert editor.end() == 0


JSON = "file:///w.json"
YAML = "file:///w.yaml"
LAMPS = """id: w
inputs:
  kind: {type: string, description: Which lamps.}
steps:
  - id: find-lamps
    component: shop.lamp
    inputs:
      kind: "{{input.kind}}"
  - id: ask
    component: api.price
    depends_on: [find-lamps]
    inputs: {id: "{{find-lamps.output}}"}
output: "{{ask.output.body.euros}}"
"""


def labels(items: list[dict[str, Any]]) -> list[str]:
    return [item["label"] for item in items]


def as_json(text: str) -> str:
    """Return a document in JSON, as an editor shows it; the mark | may stand in one of its texts."""
    step = {"id": "find", "component": "shop.lamp", "inputs": {"kind": "desk"}}
    document = {"id": "w", "inputs": {"kind": {}}, "steps": [step, {"id": "b"}]}
    return json.dumps(document, indent=2).replace('"id": "b"', text)


def test_problems_are_shown_where_they_are_while_the_text_is_edited(
    editor: Editor,
) -> None:
    text = '{"id": "w", "\u00e9\U0001f600": 1, "steps": [{"id": "a", "component": "shop.lamb"}]}'
    [warning, error] = sorted(editor.open(JSON, text), key=lambda x: x["severity"])[
        ::-1
    ]
    assert warning["severity"] == 2
    assert (error["code"], error["severity"], error["source"]) == (
        "unknown_component",
        1,
        "openagents",
    )
    assert "did you mean 'shop.lamp'?" in error["message"]
    # An editor counts in UTF-16, in which one of the characters before it is two.
    start = len(text[: text.index('"shop.lamb')].encode("utf-16-le")) // 2
    assert error["range"]["start"] == {"line": 0, "character": start}
    assert error["range"]["end"]["character"] == start + len('"shop.lamb"')
    good = text.replace('lamb"', 'lamp", "inputs": {"kind": "x"}')
    assert [x["severity"] for x in editor.change(JSON, good)] == [2]
    [broken] = editor.change(JSON, good[:-2])
    assert broken["code"] == "invalid_json"
    assert editor.change(JSON, '{"name": "no workflow"}') == []
    wrong = (
        "steps:\n  - id: a\n    component: shop.lamp\n    inputs: {kynd: yes}\nid: w\n"
    )
    codes = {(x["code"], x["range"]["start"]["line"]) for x in editor.open(YAML, wrong)}
    assert codes == {
        ("unknown_component_input", 3),
        ("missing_component_input", 3),
        ("ambiguous_word", 3),
    }
    assert editor.change(YAML, LAMPS) == []


@pytest.mark.parametrize(
    ("uri", "text", "expected"),
    [
        (
            JSON,
            as_json('"id": "b", "component": "|"'),
            {"shop.lamp", "api.price", "http.request"},
        ),
        (
            JSON,
            as_json('"id": "b", "component": "shop.lamp", "inputs": {"|"}'),
            {"kind", "most"},
        ),
        (
            JSON,
            as_json('"id": "b", "component": "shop.lamp", "inputs": {"kind": 1, |}'),
            {"most"},
        ),
        (JSON, as_json('"id": "b", "depends_on": ["|"]'), {"find", "b"}),
        (JSON, as_json('"id": "b", "|"'), {"component", "retry", "timeout"}),
        (JSON, as_json('"id": "b", "condition": "fi|"'), {"find", "input"}),
        (JSON, as_json('"id": "b", "inputs": {"a": "x {{ input.|'), {"kind"}),
        (YAML, LAMPS + "extra: {{|", set()),
        (YAML, LAMPS.replace("shop.lamp", "|"), {"shop.lamp"}),
        (YAML, LAMPS.replace("      kind: ", "      |\n      kind: "), {"most"}),
        (
            YAML,
            LAMPS.replace("{{find-lamps.output}}", "{{find-lamps.|"),
            {"output", "success"},
        ),
        (YAML, LAMPS.replace("body.euros", "body.|"), {"euros"}),
        (YAML, LAMPS.replace("body.euros", "|"), {"body", "status"}),
        (YAML, LAMPS.replace("[find-lamps]", "[|]"), {"find-lamps", "ask"}),
        (YAML, LAMPS.replace("output: ", "|\noutput: "), {"connections"}),
    ],
)
def test_what_may_stand_at_the_cursor_is_proposed(
    editor: Editor, uri: str, text: str, expected: set[str]
) -> None:
    items = editor.at("textDocument/completion", uri, text)
    assert expected <= set(labels(items))
    if not expected:
        assert items == []
    if "most" in expected and "kind" not in expected:
        assert "kind" not in labels(items)


def test_a_proposal_is_written_as_the_text_needs_it(editor: Editor) -> None:
    def written(uri: str, text: str, label: str) -> str:
        [item] = [
            x
            for x in editor.at("textDocument/completion", uri, text)
            if x["label"] == label
        ]
        span, shown = item["textEdit"]["range"], text.replace("|", "")
        lines = shown.split("\n")
        line = lines[span["start"]["line"]]
        begin, end = span["start"]["character"], span["end"]["character"]
        return f"{line[:begin]}{item['textEdit']['newText']}{line[end:]}"

    step = '{"id": "w", "steps": [{"id": "a", "component": %s}]}'
    assert written(JSON, step % '"sh|op"', "shop.lamp") == step % '"shop.lamp"'
    assert written(JSON, step % "|", "shop.lamp") == step % '"shop.lamp"'
    inner = (
        '{"id": "w", "steps": [{"id": "a", "component": "shop.lamp", "inputs": {%s}}]}'
    )
    assert written(JSON, inner % "|", "kind") == inner % '"kind": '
    assert written(JSON, inner % '"k|": 1', "kind") == inner % '"kind": 1'
    text = LAMPS.replace("{{input.kind}}", "{{input.ki|}} and more")
    assert written(YAML, text, "kind") == '      kind: "{{input.kind}} and more"'
    text = LAMPS.replace("      kind: ", "      mo|\n      kind: ")
    assert written(YAML, text, "most") == "      most: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LAMPS.replace("shop.lamp", "shop.l|amp"), "Find lamps."),
        (LAMPS.replace("shop.lamp", "shop.l|amp"), "| `most` | integer, 10 |"),
        (LAMPS.replace("{{input.kind}}", "{{input.ki|nd}}"), "Which lamps."),
        (
            LAMPS.replace("{{find-lamps", "{{find-l|amps"),
            "`shop.lamp@1.2.0` · idempotent · shop",
        ),
        (LAMPS.replace("[find-lamps]", "[find|-lamps]"), "step `find-lamps`"),
        (LAMPS.replace("      kind:", "      ki|nd:"), "string, required"),
        (LAMPS.replace("depends_on", "depends|_on"), "steps"),
    ],
)
def test_what_stands_at_the_cursor_is_explained(
    editor: Editor, text: str, expected: str
) -> None:
    hover = editor.at("textDocument/hover", YAML, text)
    assert expected in hover["contents"]["value"]


def test_what_is_named_is_found_where_it_is_defined(
    editor: Editor, folder: Path
) -> None:
    def defined(text: str, uri: str = YAML) -> tuple[str, int]:
        location = editor.at("textDocument/definition", uri, text)
        return location["uri"], location["range"]["start"]["line"]

    for named in (("{{find-lamps", "{{find-l|amps"), ("[find-lamps]", "[find-la|mps]")):
        assert defined(LAMPS.replace(*named)) == (YAML, 4)
    assert defined(LAMPS.replace("{{input.kind}}", "{{input.k|ind}}")) == (YAML, 2)
    of_lamp = defined(LAMPS.replace("shop.lamp", "shop|.lamp"))
    line = COMPONENTS[: COMPONENTS.index("@tool")].count("\n")
    assert of_lamp == ((folder / "parts.py").as_uri(), line)
    assert defined(LAMPS.replace("api.price", "api|.price"))[0].endswith("/api.yaml")
    assert import_openapi(folder / "api.yaml").specs["components"]
    in_json = as_json(
        '"id": "b", "component": "echo", "inputs": {"a": "{{fi|nd.output}}"}'
    )
    assert defined(in_json, JSON)[0] == JSON
    nothing = editor.at(
        "textDocument/definition", YAML, LAMPS.replace("id: w", "id: |w")
    )
    assert nothing is None


def test_a_text_that_is_closed_has_no_problems(editor: Editor) -> None:
    uri = "file:///closed.json"
    assert editor.open(uri, '{"steps": []}') != []
    editor.diagnostics.pop(uri)
    editor.tell("textDocument/didClose", textDocument={"uri": uri})
    editor.wait(lambda: uri in editor.diagnostics)
    assert editor.diagnostics[uri] == []


SAW = """
from openagents_json import tool
from widths import WIDTHS


@tool("shop.saw")
def saw(width: int) -> list:
    return [WIDTHS]
"""
CALL = """id: w
steps:
  - id: cut
    component: shop.saw
    inputs: {width: 1}
"""


def test_components_are_loaded_again_when_their_files_change(
    editor: Editor, folder: Path
) -> None:
    uri, file = "file:///reloaded.yaml", folder / "edited.py"

    def codes() -> list[str]:
        editor.wait(lambda: uri in editor.diagnostics)
        return [x["code"] for x in editor.diagnostics.pop(uri)]

    editor.wait(lambda: bool(editor.watched))
    assert editor.watched == ["workspace/didChangeWatchedFiles"]
    editor.open(uri, CALL)
    assert codes() == ["unknown_component"]
    # A module that is not there yet, then one that cannot be read: the components of before stay.
    editor.change_file(file, SAW)
    editor.wait(lambda: "No module named 'widths'" in "".join(editor.shown))
    editor.change_file(folder / "widths.py", "WIDTHS = 1\n")
    assert codes() == []
    for broken, words in (
        ("WIDTHS = (\n", "SyntaxError"),
        ("import sys\n\nsys.exit(3)\n", "SystemExit: 3"),
    ):
        editor.change_file(folder / "widths.py", broken)
        editor.wait(lambda words=words: words in editor.shown[-1])  # type: ignore[misc]
        assert "widths.py" in editor.shown[-1]
        assert editor.change(uri, CALL) == []
    # An editor that watches no files shows it with the next change of the text.
    (folder / "widths.py").write_text("WIDTHS = [1, 2]\n")
    file.write_text(SAW.replace("width: int", "wide: int"))
    editor.diagnostics.pop(uri)
    assert {x["code"] for x in editor.change(uri, CALL + "# changed\n")} == {
        "unknown_component_input",
        "missing_component_input",
    }
    editor.tell("textDocument/didClose", textDocument={"uri": uri})


WRONG_YAML = """id: w   # kept
inputs: {kind: {type: string}}
steps:
  - id: find-lamps
    component: "shop.lampp"   # a lamp
    inputs: {kimd: "{{input.kindd}} {{input.kind}}"}
output:   {lamps: "{{find-lamp.output}}"}
"""
MENDED_YAML = """id: w   # kept
inputs: {kind: {type: string}}
steps:
  - id: find-lamps
    component: "shop.lamp"   # a lamp
    inputs: {kind: "{{input.kind}} {{input.kind}}"}
output:   {lamps: "{{find-lamps.output}}"}
"""


def fixes(
    editor: Editor, uri: str, line: int, character: int, *only: str
) -> list[dict[str, Any]]:
    """Ask what can be done at a place of a text."""
    position = {"line": line, "character": character}
    context: dict[str, Any] = {"diagnostics": []}
    if only:
        context["only"] = list(only)
    actions: list[dict[str, Any]] = editor.ask(
        "textDocument/codeAction",
        textDocument={"uri": uri},
        range={"start": position, "end": position},
        context=context,
    )
    return actions


def edited(text: str, action: dict[str, Any], uri: str) -> str:
    """Carry out an action as an editor does, in a text whose characters are one unit of UTF-16 each."""
    lines = text.split("\n")
    edits = action["edit"]["changes"][uri]
    for edit in sorted(edits, key=lambda x: str(x["range"]["start"]), reverse=True):
        start, end = edit["range"]["start"], edit["range"]["end"]
        assert start["line"] == end["line"]
        line = lines[start["line"]]
        before, after = line[: start["character"]], line[end["character"] :]
        lines[start["line"]] = f"{before}{edit['newText']}{after}"
    return "\n".join(lines)


def test_what_is_surely_meant_is_written_for_one_problem_or_for_all(
    editor: Editor,
) -> None:
    uri = "file:///wrong.yaml"
    assert editor.open(uri, WRONG_YAML) != []
    one, all_of_them = fixes(editor, uri, 4, 18)
    assert (one["kind"], one["title"]) == (
        "quickfix",
        "Change 'shop.lampp' to 'shop.lamp'",
    )
    assert [x["code"] for x in one["diagnostics"]] == ["unknown_component"]
    [edit] = one["edit"]["changes"][uri]
    assert (edit["newText"], edit["range"]["start"]["line"]) == ("", 4)
    text = edited(WRONG_YAML, one, uri)
    assert text == WRONG_YAML.replace("lampp", "lamp")
    # What the component does not take is hidden while it is not there, and mended with the rest.
    assert all_of_them["kind"] == "quickfix"
    assert edited(WRONG_YAML, all_of_them, uri) == MENDED_YAML
    [at_save] = fixes(editor, uri, 0, 0, "source.fixAll")
    assert (at_save["kind"], at_save["edit"]) == ("source.fixAll", all_of_them["edit"])
    [misnamed] = [
        x["range"]["start"]
        for x in editor.change(uri, text)
        if x["code"] == "unknown_component_input"
    ]
    assert misnamed == {"line": 5, "character": 13}
    assert [x["title"] for x in fixes(editor, uri, 5, 14)][:1] == [
        "Change 'kimd' to 'kind'"
    ]
    assert fixes(editor, uri, 0, 0) == []
    assert fixes(editor, uri, 5, 14, "refactor") == []
    assert editor.change(uri, MENDED_YAML) == []
    assert fixes(editor, uri, 4, 18, "quickfix", "source") == []


def test_what_stands_in_json_is_mended_where_it_is(editor: Editor) -> None:
    uri = "file:///wrong.json"
    text = (
        '{"id": "\u00e9\U0001f600", "steps": [{"id": "a",  "component": "shop.lammp"}]}'
    )
    editor.open(uri, text)
    start = len(text[: text.index("lammp")].encode("utf-16-le")) // 2
    [action] = fixes(editor, uri, 0, start)
    [edit] = action["edit"]["changes"][uri]
    position = edit["range"]["start"]["character"]
    assert start < position <= start + 4
    assert (edit["range"]["end"]["character"], edit["newText"]) == (position + 1, "")


def test_workflows_in_the_files_beside_a_text_are_known(
    editor: Editor, folder: Path
) -> None:
    called = folder / "called.yaml"
    called.write_text("id: called\ninputs: {number: {required: true}}\nsteps: []\n")
    uri = (folder / "calls.yaml").as_uri()
    text = "id: w\nsteps:\n- {id: c, workflow: called, inputs: {numer: 1}}\n"
    told = {x["code"] for x in editor.open(uri, text)}
    assert told == {"unknown_called_input", "missing_called_input"}
    editor.diagnostics.pop(uri)
    editor.change_file(called, called.read_text().replace("number", "numer"))
    editor.wait(lambda: uri in editor.diagnostics)
    assert editor.diagnostics[uri] == []
