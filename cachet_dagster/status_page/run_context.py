"""What a run works with: how to read Cachet, and where to load it; the embedded Cachet where none is configured.

The embedded Cachet is started for the run, and its rows go into a database of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr

from cachet_dagster.source.errors import SettingsError, named
from cachet_dagster.source.settings import CachetSettings
from cachet_dagster.warehouse import Warehouse, place_beside

from .configuration import Log
from .page import StatusPage
from .settings import PageSettings

DEMO = "the embedded demo page"
DEMO_SEED = 1


@dataclass(frozen=True)
class RunContext:
    """What a run works with.

    Attributes:
        settings: How to read Cachet.
        warehouse: What is loaded into.
        page: What else is set of the page.
        demo: Whether it is the demo.
        log: Takes in words what a person may want to know while waiting.
    """

    settings: CachetSettings
    warehouse: Warehouse
    page: PageSettings
    demo: bool
    log: Log

    @property
    def page_url(self) -> str | None:
        """The status page's address; none for the demo, whose server is gone when the run is."""
        return None if self.demo else self.settings.base_url

    @property
    def identity(self) -> str:
        """What tells this page from any other, for people too: its address."""
        return DEMO if self.demo else self.settings.base_url

    @property
    def place(self) -> str:
        """Where it is loaded, in words."""
        return f"the dataset {self.warehouse.dataset} of {self.warehouse.name}"


@contextlib.contextmanager
def open_run(page: StatusPage, log: Log) -> Iterator[RunContext]:
    """Resolve the settings, starting the embedded Cachet where none is configured.

    Args:
        page: The page.
        log: Takes in words what a person may want to know.

    Raises:
        SettingsError: A setting is missing or wrong; the message says which.
    """
    log = _with_page_log(page, log)
    configuration = page.configuration
    settings = configuration.settings()
    if page.load_time.unknown_endpoint:
        raise page.load_time.unknown_endpoint
    if bool(settings.base_url) != bool(page.load_time.base_url):
        raise SettingsError(
            "{base_url} was set or unset since this code location was loaded, and the demo's partitions are "
            "not those of a page",
            "Reload the code location.",
        )
    if settings.base_url:
        warehouse = configuration.warehouse(settings, log)
        yield RunContext(settings.cachet(), warehouse, settings, demo=False, log=log)
        return
    if settings.api_key:
        raise SettingsError(
            "there is an API token but no Cachet to use it with",
            "Set {base_url} to the status page's address, or unset {api_key} for the demo.",
        )
    # Imported where it is needed: a configured Cachet takes no web server.
    try:
        from cachet_dagster.demo import DEMO_TOKEN, DemoServer, living_world
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"no Cachet is configured, and the demo's {error.name} is not installed",
            "Set {base_url} to the status page's address, or install cachet_dagster[demo].",
        ) from error

    log(
        "no Cachet is configured ({base_url}): loading the embedded demo page, which promises 99.9 % for each "
        "component unless {slo_targets} is set"
    )
    warehouse = configuration.warehouse(_for_demo(page, settings), log)
    with DemoServer(partial(living_world, DEMO_SEED), me=True) as server:
        demo = settings.cachet(base_url=server.url, api_key=SecretStr(DEMO_TOKEN))
        yield RunContext(demo, warehouse, settings, demo=True, log=log)


def _for_demo(page: StatusPage, settings: PageSettings) -> PageSettings:
    """Return settings by which the demo is loaded beside the page's own data, never into it."""
    # What is wrong with the database of the page is said for the demo as well.
    page.configuration.warehouse(settings, lambda _: None)
    database, dataset = place_beside(
        settings.destination,
        database=settings.database,
        dataset=settings.dataset,
        file=f"{page.name}_demo.duckdb",
        suffix="_demo",
    )
    return settings.model_copy(update={"database": database, "dataset": dataset})


def _with_page_log(page: StatusPage, log: Log) -> Log:
    def both(message: str) -> None:
        message = named(message, page.configuration.setting_name)
        log(message)
        if page.log:
            page.log(message)

    return both
