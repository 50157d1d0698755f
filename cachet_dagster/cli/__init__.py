"""The commands: load everything once, look at the Cachet and the database, or write a report."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

COMMANDS = {
    "run": "load everything and print what happened",
    "doctor": "report on each Cachet, for two requests (a Cachet 2: four): version, token, rate limit, database",
    "report": "write a period of each page as HTML, Markdown and CSV, from what is loaded",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 where all is well."""
    parser = argparse.ArgumentParser(
        prog="python -m cachet_dagster",
        description="Whole Cachet status pages in a database. The pages are those of the Dagster project in this "
        "folder; outside one it is the page that CACHET_… variables or a .env file describe. Without "
        "CACHET_BASE_URL that is the embedded demo page.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.add_argument("--page", metavar="NAME", help="only the page of this name (default: all)")
        if name == "report":
            command.add_argument(
                "--period",
                metavar="PERIOD",
                help="2026-10, 2026-Q4, 2026, 2026-10-05..2026-11-20 or last-30-days (default: the last month "
                "that is over)",
            )
            command.add_argument("--policy", metavar="NAME", help="an uptime policy (default: statuspage)")
    chosen = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    logging.getLogger("dlt").setLevel(logging.ERROR)
    # Imported when it is known what is wanted, so that --help is instant.
    from cachet_dagster.project import project_pages

    pages = project_pages(Path.cwd())
    if chosen.page and chosen.page not in {page.name for page in pages}:
        known = ", ".join(page.name for page in pages)
        print(f"There is no page {chosen.page!r}. The pages are: {known}.", file=sys.stderr)
        return 2
    pages = [page for page in pages if chosen.page in (None, page.name)]
    if chosen.command == "run":
        from .run import run

        return run(pages)
    if chosen.command == "report":
        from .report import report

        return report(pages, chosen.period, chosen.policy)
    from .doctor import doctor

    return doctor(pages)
