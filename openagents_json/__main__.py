"""The program: `openagents`, or `python -m openagents_json`."""

from __future__ import annotations

from openagents_json.rooms import COMMAND, settle


def main() -> None:
    """Run the command line of the room beside this package, whatever else is called `cli` here."""
    settle([COMMAND])
    from cli.main import main as run

    run()


if __name__ == "__main__":
    main()
