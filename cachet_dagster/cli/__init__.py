"""The commands: load everything once, or report on the Cachet and the database. Dagster does the work."""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Sequence

COMMANDS = {
    "run": "load everything into DuckDB and print what happened",
    "doctor": "ask the Cachet two or three things and report: version, token, rate limit, database",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 where all is well."""
    parser = argparse.ArgumentParser(
        prog="python -m cachet_dagster",
        description="A whole Cachet status page in DuckDB. Settings come from CACHET_… variables or a .env file; "
        "without CACHET_BASE_URL the embedded demo page is used.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, description=text.capitalize() + ".")
    chosen = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    logging.getLogger("dlt").setLevel(logging.ERROR)
    # Imported when it is known what is wanted, so that --help is instant.
    if chosen.command == "run":
        from .run import run

        return run()
    from .doctor import doctor

    return doctor()
