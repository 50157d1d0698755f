"""`doctor`: two requests, of a Cachet 2 four, and a report of what a load would find.

A line is red where a run would fail, if only for one endpoint, or go by a default where something else was wanted, and
the exit status says whether one is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from cachet_dagster.source.errors import CachetError, Refused, named
from cachet_dagster.source.reader import CachetReader
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.run_context import RunContext, open_run

_Finding = tuple[str, str, bool]


def doctor(pages: Sequence[StatusPage], *, as_json: bool = False) -> int:
    """Print a report on each page and return 0 where a run would load all that there is for its token.

    Args:
        pages: The pages.
        as_json: Print the report as one JSON document.
    """
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    findings: dict[str, list[_Finding]] = {}
    for page in pages:
        if len(pages) > 1:
            console.print(f"[bold]{page.name}[/bold]")
        findings[page.name] = _report(page, console)
    if as_json:
        documents = [
            {
                "page": name,
                "findings": [{"name": what, "says": text, "good": good} for what, text, good in found],
            }
            for name, found in findings.items()
        ]
        print(json.dumps({"pages": documents}, indent=2))
    return 0 if all(good for found in findings.values() for _, _, good in found) else 1


def _report(page: StatusPage, console: Console) -> list[_Finding]:
    findings: list[_Finding] = []

    def line(name: str, text: str, good: bool = True) -> None:
        text = named(text, page.configuration.setting_name)
        findings.append((name, text, good))
        mark = "[green]✓[/green]" if good else "[red]✗[/red]"
        console.print(f"{mark} {name:12}", end="")
        console.print(text, markup=False)

    try:
        for problem in page.load_time.problems:
            line("settings", _said(problem), False)
        if page.load_time.unknown_endpoint:
            return findings
        with open_run(page, lambda _: None) as connection:
            line("page", connection.identity)
            reader = CachetReader(connection.settings)
            for finding in _asked(reader):
                line(*finding)
            if reader.api:
                granted = reader.client.granted_per_minute
                line("rate limit", f"{granted:,} requests a minute" if granted else "the server names none")
                line("requests", f"{reader.client.request_count} for this report")
            _report_database(connection, line)
    except CachetError as error:
        line("settings", _said(error), False)
    return findings


def _asked(reader: CachetReader) -> Iterator[_Finding]:
    """Yield what the server tells, in turn: a name, a sentence, and whether it is good."""
    try:
        versions = reader.read(["versions"])["versions"]
    except CachetError as error:
        if reader.api:
            yield "cachet", f"Cachet {reader.api.version}, read through {reader.api.root}", True
        # Once the API is known only the token is left to fail; a protected page wants it before.
        yield "token" if reader.api or isinstance(error, Refused) else "cachet", _said(error), False
        return
    assert reader.api is not None
    name = f"Cachet {reader.api.version}"
    if versions.error is None:
        # A Cachet 2 that cannot ask for the newest release does not say its own version either.
        name = versions.rows["versions"][0].get("version") or name
    yield "cachet", f"{name}, read through {reader.api.root}", True
    if versions.error:
        yield "version", f"a run would fail for versions, and load the rest: {_said(versions.error)}", False
    yield from _access(reader)


def _access(reader: CachetReader) -> Iterator[_Finding]:
    """Yield what the token is good for; `subscribers` is the only list that a guest is refused."""
    if reader.settings.api_key is None:
        # Cachet 2's version is for all, even where its setting always_authenticate keeps the rest from guests.
        if reader.api and reader.api.version == 2 and (error := reader.read(["metrics"])["metrics"].error):
            yield "token", f"a run would fail: {_said(error)}", False
            return
        yield "token", "none: a guest, who sees public rows and no subscribers", True
        return
    error = reader.token_error
    if error and reader.token_unproven:
        yield "token", f"could not be checked, since subscribers fails: {_said(error)}", False
        return
    yield "token", "accepted: hidden rows and disabled components are seen", True
    if isinstance(error, Refused):
        yield "subscribers", "may not be read with this token, and are left out; the rest is loaded", True
    elif error:
        yield "subscribers", f"a run would fail for subscribers, and load the rest: {_said(error)}", False
    else:
        yield "subscribers", "may be read", True


def _report_database(connection: RunContext, line: Callable[[str, str, bool], None]) -> None:
    warehouse = connection.warehouse
    warehouse.wait = 0
    try:
        warehouse.probe()
        line("database", f"{warehouse.name} can be written, and nobody holds it", True)
    except CachetError as error:
        line("database", _said(error), False)


def _said(error: CachetError) -> str:
    """Return an error without what it says of tables, since nothing is loaded here."""
    return f"{error.what}. {error.remedy}".rstrip()
