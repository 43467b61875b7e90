"""The command line from its arguments to its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from cli.failing.failures import fail, tell, wants_json
from cli.root import cli


def carry_out(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    as_json = wants_json(arguments)
    try:
        code = cli.main(args=arguments, prog_name="openagents", standalone_mode=False)
    except click.exceptions.Abort:
        fail("interrupted", 130, kind="interrupted", as_json=as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        where = "openagents"
        if isinstance(error, click.UsageError) and error.ctx:
            where = error.ctx.command_path
        message = error.format_message().rstrip(".")
        fail(
            message,
            error.exit_code,
            kind="usage",
            remedy=f"see `{where} --help`",
            as_json=as_json,
        )
    except Exception as error:
        tell(error, as_json=as_json)
    else:
        return code if isinstance(code, int) else 0
