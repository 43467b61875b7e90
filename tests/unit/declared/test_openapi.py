"""Operations of OpenAPI documents as components: called from documents alone, against a server of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load, resolve
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.declared.openapi.document import import_openapi
from openagents_json.components.errors import (
    CannotLoad,
    InvalidComponentInput,
    NonRetryableError,
)
from openagents_json.testing import play

CONTEXT = Context(
    "r-1", "s", "w", 1, "key-1", None, CancelToken(), lambda: 0, lambda _: None
)

SHOP = """
openapi: 3.0.3
info: {title: The Lamp Shop, version: v2}
servers:
  - url: https://{region}.example.com/v1
    variables: {region: {default: eu}}
security:
  - key: []
paths:
  /lamps/{lamp-id}:
    parameters:
      - $ref: '#/components/parameters/LampId'
      - {name: verbose, in: query, schema: {type: boolean}}
    get:
      operationId: getLamp
      summary: Get a lamp.
      tags: [lamps]
      parameters:
        - {name: tags, in: query, schema: {type: array, items: {type: string}}}
        - {name: near, in: query, style: deepObject, explode: true, schema: {type: object}}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: lamp-id, in: query, schema: {type: integer}}
        - {name: Authorization, in: header, schema: {type: string}}
      responses:
        200:
          description: It.
          content:
            application/json: {schema: {$ref: '#/components/schemas/Lamp'}}
        default:
          description: Wrong.
          content:
            application/json: {schema: {type: object}}
    delete:
      responses: {204: {description: Gone.}}
  /lamps:
    post:
      operationId: addLamp
      requestBody:
        required: true
        content:
          text/plain: {schema: {type: string}}
          application/json: {schema: {$ref: '#/components/schemas/Lamp'}}
      security: [{token: []}, {login: []}]
      responses: {201: {description: Added.}}
    put:
      operationId: addLamp
      parameters:
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      requestBody:
        content:
          application/x-www-form-urlencoded: {schema: {type: object}}
      responses: {200: {description: Changed.}}
components:
  parameters:
    LampId: {name: lamp-id, in: path, required: true, schema: {type: string}, description: Which.}
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    token: {type: http, scheme: bearer}
    login: {type: http, scheme: basic}
  schemas:
    Thing:
      type: object
      required: [id, name]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, minLength: 1, nullable: true}
    Lamp:
      allOf:
        - $ref: '#/components/schemas/Thing'
        - type: object
          properties:
            power: {type: number, minimum: 0, exclusiveMinimum: true}
            shade: {$ref: '#/components/schemas/Lamp'}
            added: {type: string, format: date, example: 2020-01-01}
"""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        answer = json.dumps({"id": 7, "name": "desk"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - as http.server names it

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("OPENAGENTS_HTTP_PRIVATE", "127.0.0.0/8")
    address = f"http://127.0.0.1:{server.server_port}/v1"
    monkeypatch.setenv("OPENAGENTS_CONNECTION_THE_LAMP_SHOP", address)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


def call(file: Path, operation: str, /, **inputs: Any) -> Any:
    component = load([str(file)]).resolve(f"the_lamp_shop.{operation}")
    return component.invoke(inputs, CONTEXT)


def specs(file: Path, **options: str) -> dict[str, dict[str, Any]]:
    listed = import_openapi(file, **options).specs["components"]
    return {spec["name"].partition(".")[2]: spec for spec in listed}


def test_a_document_calls_an_operation_and_needs_no_code(
    shop: Path, web: _Server
) -> None:
    document = {
        "id": "price",
        "steps": [
            {
                "id": "get",
                "component": "the_lamp_shop.getLamp@^2",
                "inputs": {"lamp-id": "{{input.lamp}}", "tags": ["a b", "c&d"]},
            }
        ],
        "output": "{{get.output.body.name}}",
    }
    given = play(document, {"lamp": "x/y"}, real=[load([str(shop)])])
    assert given.output == "desk"
    [(method, path, _, _)] = web.asked
    assert (method, path) == ("GET", "/v1/lamps/x%2Fy?tags=a%20b&tags=c%26d")


def test_inputs_go_where_the_document_says(shop: Path, web: _Server) -> None:
    inputs = {"lamp-id": "1", "query_lamp-id": 2, "verbose": True, "X-Trace": "t"}
    near = {"lat": 1.5, "lon": "a b"}
    given = call(shop, "getLamp", **inputs, near=near, key="k1")
    assert given["status"] == 200
    [(_, path, headers, _)] = web.asked
    expected = "verbose=true&near%5Blat%5D=1.5&near%5Blon%5D=a%20b&lamp-id=2"
    assert path == f"/v1/lamps/1?{expected}"
    assert (headers["x-trace"], headers["x-key"]) == ("t", "k1")
    assert "authorization" not in headers


def test_bodies_and_proofs_are_written_as_the_document_says(
    shop: Path, web: _Server
) -> None:
    lamp = {"name": "desk", "shade": {"name": None}}
    call(shop, "addLamp", body=lamp, token="t")
    call(shop, "addLamp", body=lamp, login="u:p")
    call(shop, "put_lamps", body={"a": "x y", "b": [1, 2]})
    posted, logged_in, put = web.asked
    assert (json.loads(posted[3]), posted[2]["content-type"]) == (
        lamp,
        "application/json",
    )
    assert posted[2]["authorization"] == "Bearer t"
    assert logged_in[2]["authorization"] == "Basic dTpw"
    assert put[3] == b"a=x%20y&b=1&b=2"
    assert put[2]["idempotency-key"] == "key-1"


@pytest.mark.parametrize(
    ("operation", "inputs", "message"),
    [
        ("getLamp", {}, "lamp-id: is required"),
        ("getLamp", {"lamp-id": "1", "lamp": 2}, "no such input"),
        ("getLamp", {"lamp-id": 1}, "lamp-id: 1 is not of type 'string'"),
        ("getLamp", {"lamp-id": "1", "tags": [1]}, "tags/0"),
        ("addLamp", {"body": {"power": 1}}, "'name' is a required property"),
        ("addLamp", {"body": {"name": ""}}, "body/name"),
        ("addLamp", {"body": {"name": "a", "power": 0}}, "body/power"),
        ("addLamp", {"body": {"name": "a", "shade": {}}}, "body/shade"),
    ],
)
def test_inputs_are_checked_before_anything_is_sent(
    shop: Path, web: _Server, operation: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidComponentInput, match=message):
        call(shop, operation, **inputs)
    assert web.asked == []


@pytest.mark.parametrize("value", [".", "..", ""])
def test_no_input_leads_to_another_path(shop: Path, web: _Server, value: str) -> None:
    with pytest.raises(NonRetryableError, match="another path"):
        call(shop, "getLamp", **{"lamp-id": value})
    assert web.asked == []


def test_an_operation_is_described_as_a_component(shop: Path) -> None:
    named = specs(shop)
    assert list(named) == ["getLamp", "delete_lamps_lamp-id", "addLamp", "put_lamps"]
    get = named["getLamp"]
    assert (get["version"], get["description"], get["tags"]) == (
        "2.0.0",
        "Get a lamp.",
        ["lamps"],
    )
    assert get["http"]["base"] == "https://eu.example.com/v1"
    body = get["result"]["properties"]["body"]
    assert body == {"$ref": "#/$defs/Lamp"}
    thing = get["result"]["$defs"]["Thing"]
    assert (thing["required"], thing["properties"]["name"]["type"]) == (
        ["id", "name"],
        ["string", "null"],
    )
    effects = {name: spec["effect"] for name, spec in named.items()}
    assert effects == {
        "getLamp": "idempotent",
        "delete_lamps_lamp-id": "idempotent",
        "addLamp": "at_most_once",
        "put_lamps": "idempotent",
    }


def test_a_validated_document_knows_the_inputs_of_operations(shop: Path) -> None:
    spec = load([str(shop)]).resolve("the_lamp_shop.getLamp").spec
    parameters = {item.name: item for item in spec.inputs or ()}
    lamp = parameters["lamp-id"]
    assert (lamp.type, lamp.required, lamp.description) == ("string", True, "Which.")
    assert parameters["tags"].type == "array"
    body = load([str(shop)]).resolve("the_lamp_shop.addLamp").spec.inputs or ()
    assert {item.name: item.type for item in body}["body"] == "object"


def test_operations_of_one_name_are_two_components(shop: Path) -> None:
    [note] = import_openapi(shop).notes
    assert "the_lamp_shop.addLamp is another operation's name" in note


def test_what_is_imported_can_be_written_and_loaded_again(
    shop: Path, tmp_path: Path, web: _Server
) -> None:
    again = tmp_path / "specs" / "again.json"
    again.parent.mkdir()
    again.write_text(json.dumps(import_openapi(shop).specs))
    assert load([str(shop)]).published() == load([f"{tmp_path}/specs/"]).published()
    call(again, "getLamp", **{"lamp-id": "1"})
    assert len(web.asked) == 1


def test_references_lead_into_files_beside_it_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "types.yaml").write_text(
        "Node: {type: object, properties: {next: {$ref: '#/Node'}, 'a/b~c': {type: string}}}"
    )
    (tmp_path.parent / f"{tmp_path.name}.yaml").write_text("{type: object}")
    (tmp_path / "types.txt").write_text("{type: object}")
    path = tmp_path / "api.json"

    def document(reference: str) -> None:
        schema = {"schema": {"$ref": reference}}
        operation = {"requestBody": {"content": {"application/json": schema}}}
        content = {"openapi": "3.1.0", "paths": {"/a": {"post": operation}}}
        path.write_text(json.dumps(content))

    document("types.yaml#/Node")
    defined = specs(path)["post_a"]["parameters"]["$defs"]
    assert defined["Node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    document("types.yaml#/Node/properties/a~1b~0c")
    assert specs(path)["post_a"]["parameters"]["$defs"]["a_1b_0c"] == {"type": "string"}
    for elsewhere in (
        f"../{tmp_path.name}.yaml",
        f"{tmp_path}.yaml",
        "types.txt",
        "https://example.com/x.json",
    ):
        document(elsewhere)
        with pytest.raises(CannotLoad, match="is not followed"):
            import_openapi(path)
    for wrong in (
        "#/nowhere",
        "types.yaml#/None",
        "#/paths/~1a/post/requestBody/content/application~1json/schema",
    ):
        document(wrong)
        with pytest.raises(CannotLoad):
            import_openapi(path)


MODERN = """
openapi: 3.1.0
info: {title: Modern, version: 1.4.2}
paths:
  /v{version}/files:
    post:
      requestBody:
        content:
          multipart/form-data:
            schema:
              type: object
              properties:
                file: {type: string, contentMediaType: image/png}
                note: {type: string}
      responses:
        '200': {content: {application/json: {schema: {type: [object, 'null'], pattern: '(?=x)'}}}}
        '201': {content: {application/hal+json: {schema: {const: 1}}}}
  /plain:
    put:
      requestBody: {content: {application/octet-stream: {}}}
  /search:
    get:
      parameters:
        - {name: ids, in: query, explode: false, schema: {type: array}}
        - {name: pipes, in: query, style: pipeDelimited, explode: false, schema: {type: array}}
        - {name: filter, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: session, in: cookie, schema: {type: string}}
        - {name: X-Ids, in: header, schema: {type: array}}
"""


def test_other_forms_of_bodies_and_parameters(
    tmp_path: Path, web: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "modern.yaml"
    path.write_text(MODERN)
    registry = load([str(path)])
    with pytest.raises(NonRetryableError, match="OPENAGENTS_CONNECTION_MODERN"):
        registry.resolve("modern.get_search").invoke({}, CONTEXT)
    address = f"http://127.0.0.1:{web.server_port}"
    monkeypatch.setenv("OPENAGENTS_CONNECTION_MODERN", address)

    def send(name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
        registry.resolve(f"modern.{name}").invoke(inputs, CONTEXT)
        return web.asked[-1][1:]

    body = {"file": "AP8=", "note": "hi"}
    url, headers, content = send("post_v_version_files", {"version": 3, "body": body})
    assert url == "/v3/files"
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"\x00\xff" in content
    assert b'name="note"\r\n\r\nhi\r\n' in content
    assert send("put_plain", {"body": "AP8="})[2] == b"\x00\xff"
    inputs = {"ids": [1, 2], "pipes": ["a", "b"], "filter": {"a": 1}}
    more = {"session": "s 1", "X-Ids": [1, 2]}
    url, headers, _ = send("get_search", {**inputs, **more})
    query = "ids=1,2&pipes=a%7Cb&filter=%7B%22a%22%3A%201%7D"
    assert url == f"/search?{query}"
    assert (headers["cookie"], headers["x-ids"]) == ("session=s%201", "1,2")
    result = specs(path)["post_v_version_files"]["result"]["properties"]["body"]
    assert result == {"anyOf": [{"type": ["object", "null"]}, {"const": 1}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("swagger: '2.0'", "convert it to version 3.0 or 3.1"),
        ("openapi: 3.0.0\npaths: [1]", "describes no operation"),
        (
            "openapi: 3.0.0\npaths: {/a: {3: {}}}\nservers: [1]",
            "describes no|not as OpenAPI",
        ),
        ("openapi: [", "line 2"),
        ("a: &a [*a]", "neither|declares no|recursive|more than|found undefined"),
        ("- 1", "declares no components"),
    ],
)
def test_what_is_no_openapi_document_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(CannotLoad, match=message):
        resolve(str(path))
