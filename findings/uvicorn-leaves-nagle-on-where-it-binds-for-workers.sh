#!/usr/bin/env bash
# uvicorn (PyPI) 0.54.0 on CPython 3.11 with its asyncio loop, as without uvloop.
# Good guess: asyncio turns Nagle's algorithm off for each TCP connection, so it is off however uvicorn has come to its socket.
# Behaviour: with one process, where asyncio binds host and port, it is off. A socket of Config.bind_socket, which --workers and
# --reload use, does not say that it is TCP (its proto is 0), and asyncio looks at that: Nagle stays on. An answer that is
# written in two parts then waits for the caller's delayed acknowledgement, some 40 ms on Linux.
# Seen: TCP_NODELAY of an accepted connection, both ways. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0
cd "$dir"
"$dir/venv/bin/python" - <<'PY'
import asyncio
import socket

import uvicorn


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def has_no_delay(*, bound_by_uvicorn: bool) -> bool:
    config = uvicorn.Config(app, port=0, loop="asyncio", log_level="error", lifespan="off")
    sockets = [config.bind_socket()] if bound_by_uvicorn else None
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    while not server.started:
        await asyncio.sleep(0.01)
    address = (sockets or server.servers[0].sockets)[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"ok")
    [protocol] = server.server_state.connections
    accepted = protocol.transport.get_extra_info("socket")
    flag = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    server.should_exit = True
    await serving
    return bool(flag)


alone = asyncio.run(has_no_delay(bound_by_uvicorn=False))
for_workers = asyncio.run(has_no_delay(bound_by_uvicorn=True))
print("TCP_NODELAY with one process:", alone, "- with the socket for workers:", for_workers)
assert (alone, for_workers) == (True, False)
print("as found")
PY
