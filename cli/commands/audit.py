"""The audit ledger: keys, sealing, checking, receipts, exports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.failing.interrupts import notice_at_interrupt, notice_of_repeatable
from cli.options import (
    RenamedOption,
    Target,
    changing_options,
    quiet_option,
    reading_options,
)
from cli.render import answer, print_line
from cli.run_ids import RUN
from cli.terminal import bytes_out, give, note, say
from openagents_json.errors import file_errors

if TYPE_CHECKING:
    from openagents_json.engine import Audit

key_option = click.option(
    "--public-key",
    "keys",
    cls=RenamedOption,
    formerly="--key",
    multiple=True,
    metavar="FILE",
    help="A public key that you trust.  [default: those of the ledger]",
)
witness_option = click.option(
    "--witness",
    metavar="FILE",
    help="What `audit witness` printed before: it has to be there still.",
)


@click.group()
def audit() -> None:
    """Prove what the log says: seal it, check it, give receipts."""


@audit.command()
@click.option(
    "--output",
    "-o",
    default="audit.key",
    show_default=True,
    metavar="FILE",
    help="The private key.",
)
@quiet_option()
def keygen(output: str) -> None:
    """Make a pair of keys. FILE is for those who seal, and for nobody else; FILE.pub is for everybody.

    \b
    Example: openagents audit keygen --output audit.key
    """
    from openagents_json.engine import is_there, new_signer, public_pem

    signer = new_signer()
    private = Path(output)
    public = Path(f"{output}.pub")
    if is_there(private) or is_there(public):
        raise click.ClickException(
            f"{private} or {public} is there already; name another file with --output"
        )
    with file_errors(private, "name a file that can be written with --output"):
        # Readable to nobody else from its first moment on, and never through a link that lies there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(private, flags, 0o600), "wb") as out:
            out.write(signer.private_pem())
        with public.open("xb") as out:
            out.write(public_pem(signer.public))
    say(f"key {signer.id}: {private} signs, {public} verifies")


@audit.command()
@click.option(
    "--private-key",
    metavar="FILE",
    help="The key that signs.  [default: OPENAGENTS_AUDIT_KEY]",
)
@changing_options
def seal(target: Target, private_key: str | None) -> None:
    """Seal and sign all that is in the log by now. Workers with OPENAGENTS_AUDIT_KEY do so by themselves.

    \b
    Example: openagents audit seal --private-key audit.key
    """
    from openagents_json.engine.audit import read_signer

    signer = read_signer(private_key) if private_key else None
    with target.engine() as engine, notice_at_interrupt(notice_of_repeatable):
        sealed = engine.audit.seal(signer)
    message = f"{sealed.events} events sealed, {sealed.epochs} epochs signed"
    answer(sealed, message, as_json=target.as_json)


@audit.command()
@reading_options
def status(target: Target) -> None:
    """Tell how the ledger stands.

    \b
    Example: openagents audit status
    """
    with target.engine() as engine:
        ledger = engine.audit.status()
    messages = (
        f"ledger {ledger.ledger}, keys {', '.join(ledger.keys)}",
        f"{ledger.sealed} events sealed in {ledger.epochs} signed epochs, {ledger.open} of them not signed yet",
        f"{ledger.waiting} events not sealed yet",
    )
    answer(ledger, messages, as_json=target.as_json)


@audit.command()
@click.argument("file", required=False)
@click.option("--run", "run_id", metavar="RUN", type=RUN, help="Only this run.")
@key_option
@witness_option
@reading_options
def verify(
    target: Target,
    file: str | None,
    run_id: str | None,
    keys: tuple[str, ...],
    witness: str | None,
) -> int:
    """Check the store, a run, an export or a receipt. For a FILE, no store is needed.

    Exit code: 0 when all is as it was sealed, 1 when something is not, or nothing could be verified.

    \b
    Examples:
      openagents audit verify --public-key audit.key.pub
      openagents audit verify ledger.zip --public-key audit.key.pub
    """
    from openagents_json.engine.audit import read_keys, read_witness, verify_file

    if file and run_id:
        raise click.UsageError("a file is checked as a whole: leave --run out")
    trusted = read_keys(keys)
    seen = read_witness(witness) if witness else ()
    if file:
        return _tell(target, verify_file(file, trusted, seen))
    with target.engine() as engine:
        if run_id:
            return _tell(target, engine.audit.verify_run(run_id, trusted))
        return _tell(target, engine.audit.verify(trusted, seen))


def _tell(target: Target, report: Audit) -> int:
    answer(report, report.lines(), as_json=target.as_json)
    if not report.verified and not target.as_json:
        note("nothing is signed yet: `openagents audit seal` signs it")
    return 0 if report.verified and report.intact else 1


@audit.command()
@click.argument("run", type=RUN)
@click.argument("event", type=click.IntRange(1))
@click.option(
    "--output", "-o", metavar="FILE", help="Where it goes.  [default: stdout]"
)
@click.option(
    "--without-payload",
    is_flag=True,
    help="Prove that it happened, without what it carried.",
)
@reading_options
def receipt(
    target: Target, run: str, event: int, output: str | None, without_payload: bool
) -> None:
    """Give a receipt: a proof that EVENT of RUN was sealed as it is. A third party checks it with the public key alone.

    \b
    Example: openagents audit receipt RUN 3 --output receipt.json
    """
    from openagents_json.engine import replacing

    with target.engine() as engine:
        document = engine.audit.receipt(run, event, with_payload=not without_payload)
    if output is None:
        give(document.decode())
    else:
        with replacing(Path(output)) as out:
            out.write(document + b"\n")
        note(f"{output}: event {event} of {run}")


@audit.command()
@click.option(
    "--output", "-o", required=True, metavar="FILE", help="Where it goes; - is stdout."
)
@reading_options
def export(target: Target, output: str) -> None:
    """Write log and ledger as one file. An auditor needs no access to the store then.

    \b
    Example: openagents audit export --output ledger.zip
    """
    from openagents_json.engine import replacing

    with target.engine() as engine:
        if output == "-":
            with bytes_out("an export") as out:
                engine.audit.export(out)
            return
        with replacing(Path(output)) as out:
            engine.audit.export(out)
    with file_errors(output, "it was written, and taken away"):
        note(f"{output}: {Path(output).stat().st_size} bytes")


@audit.command("witness")
@reading_options
def show_witness(target: Target) -> None:
    """Print the newest signed records. Keep them where nobody of the store can write.

    With them, `audit verify --witness` finds out even if the whole ledger was made anew with the private key.

    \b
    Example: openagents audit witness > witness.jsonl
    """
    with target.engine() as engine:
        _lines(engine.audit.witness())


def _lines(records: Sequence[object]) -> None:
    for record in records:
        print_line(record)
