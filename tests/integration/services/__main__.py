"""`make fuzz-api`: requests that are made of the OpenAPI documents, for as many examples as one wants."""

from __future__ import annotations

import argparse
import secrets
import warnings
from collections.abc import Sequence

from openagents_json.server.application import Service
from tests.conftest import Server, serving
from tests.integration.services.api_campaign import Findings, campaign, prepare
from tests.integration.services.calling import engine_on

SERVICES: Sequence[Service] = ("registry", "execution")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz both services on a server of their own; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser("python -m tests.integration.services")
    parser.add_argument(
        "--examples", type=int, default=50, help="for each operation and phase"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(2**32),
        help="for the same requests again",
    )
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    print(f"seed {given.seed}")
    with serving("valkey") as server:
        faults = [fuzz(server, name, given.seed, given.examples) for name in SERVICES]
    return int(any(faults))


def fuzz(server: Server, service: Service, seed: int, examples: int) -> bool:
    """Send requests to a service, tell what is wrong as it is seen, and return whether anything is."""
    findings, told = Findings(), 0
    with engine_on(server) as engine:
        prepare(engine)
        for findings in campaign(engine, service, seed=seed, examples=examples):
            for what in list(findings.wrong)[told:]:
                print(what, findings.wrong[what], sep="\n", flush=True)
            told = len(findings.wrong)
    print(f"{service}: {findings.requests} requests, {told} things wrong")
    return bool(told)


if __name__ == "__main__":
    raise SystemExit(main())
