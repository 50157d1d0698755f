"""`doctor`: two or three requests, and a report of what a load would find."""

from __future__ import annotations

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
        console.print(f"{mark} {name:11}", end="")
        console.print(text, markup=False)

    try:
        with CachetResource().connect(lambda _: None) as connection:
            line("page", "the embedded demo page" if connection.demo else connection.settings.base_url)
            reader = CachetReader(connection.settings)
            try:
                for name, text in run(_asked(reader)):
                    line(name, text)
            except CachetError as error:
                line("cachet", str(error), good=False)
            line("requests", f"{reader.client.request_count} for this report")
            _report_database(connection, line)
    except CachetError as error:
        line("settings", str(error), good=False)
    return 0 if healthy else 1


async def _asked(reader: CachetReader) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    async with reader.client as client:
        api = await reader.connect()
        found.append(("cachet", f"answers as Cachet {api.version} ({api.root}){await reader.version()}"))
        if reader.settings.api_key is None:
            found.append(("token", "none: a guest, who sees public rows and no subscribers"))
        else:
            await reader.check_token()
            found.append(("token", "accepted: hidden rows and disabled components are seen"))
            try:
                await client.get(
                    "subscribers", {"per_page": "1"}, endpoint="subscribers", bucket="subscribers"
                )
                found.append(("subscribers", "may be read"))
            except Refused as error:
                found.append(("subscribers", f"{error.what}: they would not be loaded"))
        granted = client.granted_per_minute
        found.append(("rate limit", f"{granted:,} requests a minute" if granted else "none announced"))
    return found


def _report_database(connection: Connection, line: object) -> None:
    database = connection.database
    holder = database.holder()
    state = "exists" if database.path.exists() else "will be created"
    if holder:
        line("database", f"{database.path} {state}, held by process {holder}", good=False)  # type: ignore[operator]
        return
    database.wait = 0
    try:
        database.probe()
        line("database", f"{database.path} {state}, nobody holds it")  # type: ignore[operator]
    except CachetError as error:
        line("database", str(error), good=False)  # type: ignore[operator]
