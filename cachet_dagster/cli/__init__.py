"""The command `cachet-dagster`: load pages once, look at Cachet and database, write a report, serve the demo.

Results go to the standard output, failures and warnings to the error output.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cachet_dagster.status_page.page import StatusPage

COMMANDS = ("run", "doctor", "report")

_FORMAT: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "terminal_width": 100,
    "max_content_width": 100,
}
_EXIT_CODES = """\b
Exit codes:
  0  all is well
  1  something failed; what it was is on the error output
  2  the command line is wrong
  130  interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        return cli.main(arguments, prog_name="cachet-dagster", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130


@click.group(context_settings=_FORMAT, epilog=_EXIT_CODES)
@click.version_option(package_name="cachet_dagster", message="cachet-dagster %(version)s")
def cli() -> None:
    """Whole Cachet status pages in a database.

    The pages are those of the Dagster project in this folder. Outside one it is the page that CACHET_… variables or a
    .env file describe; without CACHET_BASE_URL that is the embedded demo page.

    \b
    Examples:
      cachet-dagster run
      CACHET_BASE_URL=https://status.example.com cachet-dagster doctor
      cachet-dagster report --period 2026-Q4
    """


_page = click.option("--page", "name", metavar="NAME", help="Only the page of this name (default: all).")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def _command(name: str, *examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a command whose help ends with examples."""
    shown = "\n".join(f"  cachet-dagster {example}" for example in examples)
    return cli.command(name, context_settings=_FORMAT, epilog=f"\b\nExamples:\n{shown}")


@_command("run", "run", "run --page acme --quiet", "run --full-refresh --json")
@_page
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Ask for every incident and component by id, and read all points from the start.",
)
@click.option("--accept-loss", is_flag=True, help="Load although many stored rows would go.")
@click.option("--quiet", "-q", is_flag=True, help="Print failures and warnings only.")
@_json
def _run(name: str | None, full_refresh: bool, accept_loss: bool, quiet: bool, as_json: bool) -> int:
    """Load everything and print what happened."""
    pages = _pages(name)
    from .run import run

    return run(pages, full_refresh=full_refresh, accept_loss=accept_loss, quiet=quiet, as_json=as_json)


@_command("doctor", "doctor", "doctor --page acme --json")
@_page
@_json
def _doctor(name: str | None, as_json: bool) -> int:
    """Report on each Cachet, for two requests (a Cachet 2: four): version, token, rate limit, database."""
    pages = _pages(name)
    from .doctor import doctor

    return doctor(pages, as_json=as_json)


@_command("report", "report", "report --page acme --period 2026-10 --policy sla")
@_page
@click.option(
    "--period",
    metavar="PERIOD",
    help="2026-10, 2026-Q4, 2026, 2026-10-05..2026-11-20 or last-30-days (default: the last month that is over).",
)
@click.option("--policy", metavar="NAME", help="An uptime policy (default: statuspage).")
def _report(name: str | None, period: str | None, policy: str | None) -> int:
    """Write a period of each page as HTML, Markdown and CSV, from what is loaded."""
    pages = _pages(name)
    from .report import report

    return report(pages, period, policy)


@cli.command(
    "demo",
    context_settings={**_FORMAT, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def _demo(options: Sequence[str]) -> int:
    """Serve an embedded Cachet on this machine, until Ctrl-C."""
    try:
        from cachet_dagster.demo.__main__ import main as serve
    except ImportError as error:
        raise click.ClickException(
            f"{error.name} is not installed: pip install 'cachet_dagster[demo]'"
        ) from None
    return serve(options) or 0


def _pages(name: str | None) -> list[StatusPage]:
    """Return the project's pages, or the one of a name."""
    warnings.filterwarnings("ignore")
    logging.getLogger("dlt").setLevel(logging.ERROR)
    # Imported when it is known what is wanted, so that --help is instant.
    from cachet_dagster.project import project_pages

    pages = project_pages(Path.cwd())
    if name and name not in {page.name for page in pages}:
        known = ", ".join(page.name for page in pages)
        raise click.UsageError(f"There is no page {name!r}. The pages are: {known}.")
    return [page for page in pages if name in (None, page.name)]
