"""`doctor`: two or three requests, and a report of what a load would find."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Console

from cachet_dagster.defs.resources import CachetResource, Connection
from cachet_dagster.source.bridge import run
from cachet_dagster.source.errors import CachetError, Refused
from cachet_dagster.source.reader import CachetReader


def doctor() -> int:
    """Print the report and return 0 where a load could work."""
    console = Console(highlight=False)
    healthy = True

    def line(name: str, text: str, *, good: bool = True) -> None:
        nonlocal healthy
        healthy = healthy and good
        mark = "[green]✓[/green]" if good else "[red]✗[/red]"
        console.print(f"{mark} {name:12}", end="")
        console.print(text, markup=False)

    try:
        with CachetResource().connect(lambda _: None) as connection:
            line("page", "the embedded demo page" if connection.demo else connection.settings.base_url)
            reader = CachetReader(connection.settings)
            try:
                for name, text in _asked(reader):
                    line(name, text)
            except CachetError as error:
                line("cachet", str(error), good=False)
            line("requests", f"{reader.client.request_count} for this report")
            _report_database(connection, line)
    except CachetError as error:
        line("settings", str(error), good=False)
    return 0 if healthy else 1


def _asked(reader: CachetReader) -> Iterator[tuple[str, str]]:
    """Yield what is found in turn; the token is checked with the version, one request each."""
    versions = reader.read(["versions"])["versions"]
    if versions.error:
        raise versions.error
    api, version = reader.api, versions.rows["versions"][0]["version"]
    yield "cachet", f"{version}, read through {api.root if api else 'its API'}"
    if reader.settings.api_key is None:
        yield "token", "none: a guest, who sees public rows and no subscribers"
    else:
        yield "token", "accepted: hidden rows and disabled components are seen"
        yield "subscribers", run(_subscribers(reader))
    granted = reader.client.granted_per_minute
    yield "rate limit", f"{granted:,} requests a minute" if granted else "the server names none"


async def _subscribers(reader: CachetReader) -> str:
    async with reader.client as client:
        try:
            await client.get("subscribers", {"per_page": "1"}, endpoint="subscribers", bucket="subscribers")
        except Refused as error:
            return f"would not be loaded: {error.what}"
        return "may be read"


def _report_database(connection: Connection, line: Callable[..., None]) -> None:
    database = connection.database
    state = "exists" if database.path.exists() else "will be created"
    database.wait = 0
    try:
        database.probe()
        line("database", f"{database.path} {state}, nobody holds it")
    except CachetError as error:
        line("database", str(error), good=False)
