#!/usr/bin/env bash
# fastapi 0.165.0 with starlette, the version that pip chooses for it being printed.
# Good guess: who asks a path for a method that it has not gets 405, and `Allow` names every method that the path has, as
# RFC 9110 asks ("an Allow header field containing a list of the target resource's currently supported methods").
# Behaviour: each decorated function is a route of its own, and the first one whose path fits answers alone. With GET, POST
# and DELETE on one path, a PUT is told `Allow: GET`, and OPTIONS as well.
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check fastapi==0.165.0
"$dir/venv/bin/python" - <<'PY'
import asyncio
from importlib.metadata import version

from fastapi import FastAPI

app = FastAPI()


@app.get("/things")
def list_things() -> list[str]:
    return []


@app.post("/things")
def add_thing() -> str:
    return "added"


@app.delete("/things")
def remove_things() -> str:
    return "removed"


async def allowed(method: str) -> tuple[int, str]:
    answers = []

    async def send(message: dict) -> None:
        answers.append(message)

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": "/things", "raw_path": b"/things", "root_path": "", "query_string": b"", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    headers = dict(answers[0]["headers"])
    return answers[0]["status"], headers.get(b"allow", b"").decode()


print("fastapi", version("fastapi"), "starlette", version("starlette"))
for method in ("PUT", "OPTIONS"):
    answer = asyncio.run(allowed(method))
    print(method, answer)
    assert answer == (405, "GET"), answer
print("as found")
PY
