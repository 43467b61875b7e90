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
from pathlib import Path
from typing import Any

from openagents_json import Context, tool


@tool("fine")
def fine(context: Context, x: Any = None) -> dict[str, Any]:
    print("a component may print what it likes")
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("scratch")
    Path("here").write_text("also")
    Path("here").rename("there")
    shutil.rmtree(tempfile.mkdtemp())
    return {"x": x, "key": context.idempotency_key, "attempt": context.attempt, "pid": os.getpid()}


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
    address = (2).to_bytes(2, "little") + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    found = libc.socket(2, 1, 0)
    return int(libc.connect(found, address, len(address)))


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
            multiprocessing.get_context("spawn").Process(target=Path(path).touch).start()


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
            Path("mine").touch()
            os.rename("mine", path)
        case "link":
            os.symlink(Path(path).parent, "out")
            (Path("out") / "new").touch()
        case _:
            sqlite3.connect(path).execute("create table t (x)")


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
