"""Which Cachet is read and which database is filled: one resource, configured or from the environment.

Nothing is looked up before a run needs it, so the code location always loads, and what is missing or
wrong is said by the run. Where no Cachet is configured the embedded one is started for the run, and its
rows go into a database of their own.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from dagster import ConfigurableResource
from dotenv import dotenv_values
from pydantic import Field

from cachet_dagster.source.errors import SettingsError
from cachet_dagster.source.settings import PREFIX, CachetSettings
from cachet_dagster.warehouse import Database

from .settings import PageSettings, page_settings

DEMO_DATABASE = "cachet_demo.duckdb"
DEMO_SEED = 1


@dataclass(frozen=True)
class Connection:
    """What a run works with.

    Attributes:
        settings: How to read Cachet.
        database: What is loaded into.
        demo: Whether it is the demo.
        max_loss: Fraction of its rows that a table may lose in a load before its check fails.
        log: Told in words what a person may want to know while waiting.
    """

    settings: CachetSettings
    database: Database
    demo: bool
    max_loss: float
    log: Callable[[str], None]

    @property
    def page_url(self) -> str | None:
        """The status page's address; none for the demo, whose server is gone when the run is."""
        return None if self.demo else self.settings.base_url


class CachetResource(ConfigurableResource):
    """A Cachet and the DuckDB file that it is loaded into.

    Each field left out comes from the environment or a `.env` file in the current folder.
    """

    base_url: str | None = Field(
        default=None,
        description="The status page's address (CACHET_BASE_URL); the embedded demo where there is none.",
    )
    api_token: str | None = Field(
        default=None, description="API token (CACHET_API_TOKEN); a guest sees public rows only."
    )
    timezone: str | None = Field(
        default=None, description="The server's time zone (CACHET_TIMEZONE, default UTC)."
    )
    database: str | None = Field(
        default=None, description="DuckDB file (CACHET_DATABASE, default cachet.duckdb)."
    )
    max_loss: str | None = Field(
        default=None,
        description="Fraction of its rows that a table may lose in a load before its check fails "
        "(CACHET_MAX_LOSS, default 0.5).",
    )

    @contextlib.contextmanager
    def connect(self, log: Callable[[str], None]) -> Iterator[Connection]:
        """Resolve the settings, starting the embedded Cachet where none is configured.

        Args:
            log: Told in words what a person may want to know.

        Raises:
            SettingsError: A setting is missing or wrong; the message says which.
        """
        given = {
            "base_url": self.base_url,
            "api_key": self.api_token,
            "timezone": self.timezone,
            "database": self.database,
            "max_loss": self.max_loss,
        }
        settings = page_settings(PREFIX, {name: value for name, value in given.items() if value is not None})
        database = _database(settings, settings.database, log)
        if settings.base_url:
            yield Connection(settings.cachet(), database, demo=False, max_loss=settings.max_loss, log=log)
            return
        if settings.api_key:
            raise SettingsError(
                "there is an API token but no Cachet to use it with",
                "Set CACHET_BASE_URL to the status page's address, or unset CACHET_API_TOKEN for the demo.",
            )
        # Imported where it is needed: a configured Cachet takes no web server.
        from cachet_dagster.demo import DEMO_TOKEN, DemoServer, living_world

        log("no Cachet is configured (CACHET_BASE_URL): loading the embedded demo page")
        with DemoServer(partial(living_world, DEMO_SEED), me=True) as server:
            demo = settings.cachet(base_url=server.url, api_key=DEMO_TOKEN)
            database = _database(settings, str(database.path.with_name(DEMO_DATABASE)), log)
            yield Connection(demo, database, demo=True, max_loss=settings.max_loss, log=log)


def _database(settings: PageSettings, path: str, log: Callable[[str], None]) -> Database:
    return Database(path, wait=settings.lock_wait, keep_loads=settings.keep_loads, log=log)


def load_environment() -> Mapping[str, str]:
    """Return the environment, and below it what a `.env` file in the current folder sets."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**from_file, **os.environ}
