"""What a worker reads when it starts: it grows with the components that it runs, and not with the catalog."""

from __future__ import annotations

from openagents_json.engine import Engine
from tests.conftest import Server, wait_for

PING = {"id": "w", "steps": [{"id": "a", "component": "ping"}]}
MANY = 500


def ping() -> str:
    return "pong"


def is_folded(engine: Engine) -> bool:
    return all(x.lag == 0 for x in engine.projections.status())


def start(server: Server, prefix: str) -> Engine:
    return Engine.connect(
        server.url, components=[ping], workers=1, partitions=1, prefix=prefix
    )


def read_at_start(server: Server, prefix: str) -> int:
    """Return how many bytes a server has sent until a new worker has done its first run."""
    before = sent(server)
    with start(server, prefix) as engine:
        assert engine.run(PING, timeout=120).output == {"a": "pong"}
        return sent(server) - before


def sent(server: Server) -> int:
    client = server.connect().client
    return int(client.info("stats")["total_net_output_bytes"])


def test_a_worker_does_not_read_the_catalog_when_it_starts(
    private_server: Server,
) -> None:
    specs = [
        {"name": f"tools.part{n}", "version": "1.0.0", "description": "x" * 300}
        for n in range(MANY)
    ]
    reads = {}
    for count in (10, MANY):
        prefix = private_server.prefix()
        with start(private_server, prefix) as engine:
            engine.catalog.register(specs[:count])
            engine.run(PING, timeout=120)
            wait_for(lambda: is_folded(engine))
        reads[count] = min(read_at_start(private_server, prefix) for _ in range(2))
    # Each name that it read would be more than 300 bytes.
    assert reads[MANY] < reads[10] + 20_000
