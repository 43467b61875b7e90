"""The page of the HTTP API: each operation with its path, from the OpenAPI document."""

from typing import Any

from openagents_json.server.application import document

HEAD = """# The HTTP API

Two services, served together or apart ([how to serve them](../how-to/serve-over-http.md)). `openagents openapi`
prints their OpenAPI 3.1 document, and a service gives it at `/openapi.json`. Requests and answers are JSON; what is
asked of runs means the same in an address, in a search and in [the command line](cli.md), and records have the fields
that [commands print with `--json`](json-output.md).

- **Errors** are problem details (RFC 9457): `code` is that of [the error](errors.md), `remedy` says what to do,
  `retryable` whether the same request may succeed later (with `Retry-After`), `source` whether the request or a run
  has failed. A document that is refused has all of its `problems`, a body the `pointer` to what is wrong with it.
- **`Idempotency-Key`** goes with everything that is posted: with the same key, the same request of a caller is carried
  out once, and what is answered to a repetition has `Idempotency-Replayed: true`. A body is the same however it is
  written. Another request to the same address with the same key is refused with 422 and the hashes of both (`asked`,
  `recorded`); while the first is carried out, a repetition is a 409 with `Retry-After`, but for starts, which lead to
  the same run at once. What was refused leaves its key free. Keys are known for 24 hours, those of starts as long as
  their runs. What is done to a run is in its log under its key, so it is not done again where a service died before it
  could answer. What says how something is to be is done again then (publishing the same document, pausing a schedule),
  as is what is only shown (`emitOfLease`). Searching and validating change nothing, and are carried out again.
- **`Prefer: wait=30`**: the answer waits for the end of the run, at most so many seconds (300 at most). 200 when it
  has ended, 202 when it goes on.
- **Feeds** (`text/event-stream`): the id of each event is its position; with `Last-Event-ID` a feed goes on behind
  it. A comment comes every 15 seconds when nothing else does, and `event: end` when the run has ended.
- **Reads follow writes**: what a caller was told is in the next answer of any instance, lists included. An instance
  may know for half a second what the catalog was before, and a server that takes the place of another one may be
  behind it. So each write is answered with `X-Log-Position`; a request with that as `If-Position` is answered from
  behind it, and waits up to 5 seconds for a store that is not there yet (then 503, `position_not_reached`, with
  `Retry-After`). A position is opaque; several are parted by commas, and that of the next write is behind all of them.
  The [clients](../how-to/call-a-service.md) hand them on by themselves.
- **Roles** of API keys: `viewer` looks, `operator` starts and steers runs, `developer` publishes workflows and
  schedules, `admin` erases and holds. Each may do what those before it may. A `worker`
  runs steps and does nothing else, and `admin` may too.
- **Rates**: a key that was given one says in each answer what is left of it (`RateLimit`, `RateLimit-Policy`). One
  request too many is a 429 (`too_many_requests`) with `Retry-After`, and was not carried out.
- **Long lists**: `listRuns` and `getRunHistory` answer `Accept: application/x-ndjson` with all of a list, a line of
  JSON for each item and no page; `limit` is how many are read at a time. One that is cut, as the store went away, has
  no proper end (HTTP clients raise an error), and can be asked for again from `after` on.
- **`X-Request-Id`** is in each answer, and in [the log](../how-to/read-logs.md#read-what-a-service-says): the id that
  the request brought, or one that was made for it.
- **Limits**: bodies up to 16 MB, 1,000 runs in a batch, 1,000 rows on a page. JSON is read strictly: a name that
  stands twice in an object, NaN, and what is no UTF-8 are refused.

"""


_LEGACY = """## The paths of 0.1.4

Programs that call 0.1.4 find its paths and its fields here ([what is
different](../how-to/come-from-0-1-4.md#over-http)). New programs take those above.

| Operation | Request | What it does |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for service, title in (("execution", "Execution"), ("registry", "Registry")):
        parts.append(
            f"## {title} service\n\n| Operation | Request | What it does |\n|---|---|---|\n"
        )
        paths: dict[str, Any] = document(service)["paths"]  # type: ignore[arg-type]
        for path, methods in paths.items():
            if path.startswith("/v1/"):
                parts += [
                    _row(path, method, operation)
                    for method, operation in methods.items()
                ]
        parts.append("\n")
    parts.append(_LEGACY)
    for path, methods in document("all")["paths"].items():
        if path.startswith("/api/"):
            parts += [
                _row(path, method, operation) for method, operation in methods.items()
            ]
    parts.append("\n")
    parts.append(
        "`GET /live` says that the process answers, `GET /ready` that its store does too and whether "
        "runs make progress ([probes](../how-to/serve-over-http.md#probes)).\n"
    )
    return "".join(parts)


def _row(path: str, method: str, operation: dict[str, Any]) -> str:
    summary = operation["description"].split("\n\n")[0].replace("\n", " ")
    return f"| `{operation['operationId']}` | `{method.upper()} {path}` | {summary} |\n"
