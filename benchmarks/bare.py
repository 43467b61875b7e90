"""A FastAPI application that says hello, served as the services are: what they are measured beside."""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI

from openagents_json.server.addresses import listening_at
from openagents_json.server.http_protocol import BoundedHeads

app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    """Say hello."""
    return {"hello": "world"}


def main() -> None:
    """Serve on a free port, and say which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    listening = listening_at("127.0.0.1", 0, 2048)
    print(f"serving on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, http=BoundedHeads, log_config=None, access_log=False, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
