"""A worker with Python's standard library alone: claims steps over HTTP, keeps their leases, says what came of them.

python worker.py http://127.0.0.1:8080 py-1
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError

API, NAME, LEASE_SECONDS = [*sys.argv[1:], "10"][:3]
KEY = os.environ.get("OPENAGENTS_API_KEY", "")


def page_text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as page:
        return str(page.read(), "utf-8")


def count(text: str) -> int:
    return len(text.split())


COMPONENTS: dict[str, Any] = {"page.text": page_text, "text.count": count}
PAUSE = threading.Event()


def post(path: str, body: Any, **headers: str) -> Any:
    headers |= {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{API}/v1{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def run(step: dict[str, Any]) -> None:
    lease, over = step["lease"], threading.Event()
    threading.Thread(target=keep, args=(step, over), daemon=True).start()
    try:
        output = COMPONENTS[step["component"]](**step["inputs"])
        tell(lease, "complete", {"output": output})
    except KeyboardInterrupt:
        tell(lease, "release", {"reason": "the worker stops"})
        raise
    except Exception as error:
        failure = {"type": type(error).__name__, "message": str(error)}
        tell(lease, "fail", {"error": failure})
    finally:
        over.set()


def keep(step: dict[str, Any], over: threading.Event) -> None:
    """Extend a lease; one that is cancelled or lost is kept no longer."""
    while not over.wait(step["lease_ms"] / 3000):
        try:
            if post(f"/leases/{step['lease']}/heartbeat", {})["cancel"]:
                return
        except HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass  # the service is away, and the lease lasts a while


def tell(lease: str, what: str, body: Any) -> None:
    """Say what came of a step, again where nobody knows whether that arrived: it counts once."""
    for _ in range(20):
        try:
            post(f"/leases/{lease}/{what}", body)
            return
        except HTTPError as error:
            if error.code == 413 and what == "complete":
                failure = {"type": "TooLarge", "message": "the output is too large"}
                tell(lease, "fail", {"error": failure | {"retryable": False}})
            if error.code < 500:
                return  # refused for good: others have the step
        except OSError:
            pass
        PAUSE.wait(0.5)


def main() -> None:
    served = [{"name": name, "version": "1.0.0"} for name in COMPONENTS]
    claim = {
        "components": served,
        "worker": NAME,
        "lease_seconds": float(LEASE_SECONDS),
    }
    number = 0
    while True:
        # A claim whose answer was lost is asked for again, by the same key.
        headers = {"Prefer": "wait=30", "Idempotency-Key": f"{os.getpid()}-{number}"}
        try:
            steps = post("/queues/tool/claim", claim, **headers)["steps"]
        except OSError:
            PAUSE.wait(0.5)
            continue
        number += 1
        for step in steps:
            run(step)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        main()
