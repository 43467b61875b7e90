"""Components that do what a backtest must not let them do."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from openagents_json import Context, tool


@tool("fine")
def fine(context: Context, x: Any = None) -> dict[str, Any]:
    print("a component may print what it likes")
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("scratch")
    here = Path(tempfile.gettempdir(), "here")
    here.write_text("also")
    here.rename(here.with_name("there"))
    shutil.rmtree(tempfile.mkdtemp())
    return {
        "x": x,
        "key": context.idempotency_key,
        "attempt": context.attempt,
        "pid": os.getpid(),
    }


@tool("awaits")
async def awaits(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


@tool("connects")
def connects(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1)


@tool("hides")
def hides(port: int) -> str:
    """Try the network, and go on as if nothing had been."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
    except Exception:
        return "a guess"
    return "it answered"


@tool("connects_in_c")
def connects_in_c(port: int) -> int:
    """Connect without Python's knowledge."""
    libc = ctypes.CDLL(None)
    address = (
        (2).to_bytes(2, "little")
        + port.to_bytes(2, "big")
        + bytes([127, 0, 0, 1])
        + bytes(8)
    )
    descriptor = libc.socket(2, 1, 0)
    return int(libc.connect(descriptor, address, len(address)))


@tool("starts")
def starts(how: str, path: str) -> None:
    match how:
        case "subprocess":
            subprocess.run(["touch", path], check=True)
        case "system":
            os.system(f"touch {path}")
        case "fork":
            if os.fork() == 0:
                Path(path).touch()
                os._exit(0)
        case _:
            multiprocessing.get_context("spawn").Process(
                target=Path(path).touch
            ).start()


@tool("writes")
def writes(how: str, path: str) -> None:
    match how:
        case "open":
            Path(path).write_text("x")
        case "low":
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        case "remove":
            Path(path).unlink()
        case "tree":
            shutil.rmtree(Path(path).parent)
        case "rename":
            mine = Path(tempfile.gettempdir(), "mine")
            mine.touch()
            mine.rename(path)
        case "link":
            out = Path(tempfile.mkdtemp(), "out")
            out.symlink_to(Path(path).parent)
            (out / "new").touch()
        case "relative":
            Path("new").touch()
        case _:
            sqlite3.connect(path).execute("create table t (x)")


@tool("goes")
def goes(path: str) -> None:
    os.chdir(path)


@tool("reads")
def reads(path: str, link: bool = False) -> str:
    if link:
        other = Path(tempfile.mkdtemp(), "harmless")
        other.symlink_to(path)
        path = str(other)
    return Path(path).read_text()


@tool("hides_secrets")
def hides_secrets(path: str) -> str:
    """Try to read a secret, and go on as if nothing had been."""
    with suppress(Exception):
        return Path(path).read_text()
    return "a guess"


@tool("counts")
def counts(path: str) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return int(database.execute("select count(*) from t").fetchone()[0])


@tool("works_in_c")
def works_in_c(folder: str) -> dict[str, bool]:
    """Try without Python's knowledge what it would refuse; tells what worked."""
    libc, folder_name = ctypes.CDLL(None), tempfile.gettempdir().encode()
    kept, secret, stolen = (
        f"{folder}/kept".encode(),
        f"{folder}/.env".encode(),
        ctypes.create_string_buffer(100),
    )
    write, create = os.O_WRONLY, os.O_WRONLY | os.O_CREAT

    def runs() -> bool:
        return bool(libc.system(f"touch {folder}/ran".encode()) == 0)

    return {
        "changing files": libc.open(f"{folder}/new".encode(), create, 0o600) >= 0
        or libc.open(kept, write) >= 0,
        "removing files": libc.rename(kept, kept + b"2") == 0,
        "changing modes and times of files": libc.chmod(kept, 0o640) == 0,
        "other programs and processes": runs() or libc.kill(os.getppid(), 0) == 0,
        "reading secrets": libc.read(libc.open(secret, os.O_RDONLY), stolen, 100) > 0,
        "its own files": libc.open(folder_name + b"/new", create, 0o600) >= 0,
    }


@tool("looks")
def looks(names: list[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


@tool("leaves")
def leaves(code: int) -> None:
    os._exit(code)


@tool("exits")
def exits() -> None:
    raise SystemExit(3)


@tool("hangs")
def hangs() -> None:
    threading.Event().wait(600)


@tool("eats")
def eats() -> int:
    return len(bytearray(64 << 30))


@tool("sends_once", effect="at_most_once")
def sends_once() -> str:
    return "sent"


@tool("fails")
def fails(text: str) -> None:
    raise ValueError(text)


@tool("odd")
def odd() -> object:
    return object()
