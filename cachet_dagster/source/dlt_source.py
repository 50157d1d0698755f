"""The dlt source: what it loads and everything that can be set about it, as arguments that dlt resolves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.extract import DltResource
from pydantic import SecretStr

from .errors import SettingsError
from .extraction import Extraction
from .resources import metric_points_resource, table_resource
from .settings import DEFAULT_BASE_URL, ApiVersion, CachetSettings, in_terms
from .tables import TABLES


@dlt.source(name="cachet_source", section="cachet_source", max_table_nesting=0)
def cachet_source(
    base_url: str = DEFAULT_BASE_URL,
    api_key: dlt.TSecretStrValue | None = None,
    timezone: str = "UTC",
    api_version: ApiVersion = "auto",
    full_refresh: bool = False,
    metric_ids: Sequence[int] | None = None,
) -> Iterator[DltResource]:
    """Everything that a Cachet shows, one resource per table.

    All tables but three are replaced whole, since the API cannot tell what changed; `metric_points` is
    merged on id from where the destination ends, and `system_status` and `versions` get a row when the
    answer differs from their newest one.

    Args:
        base_url: The status page's address, as a person pastes it: with or without `/api`, with or without
            a slash.
        api_key: The API token. A guest sees public rows only, and no subscribers.
        timezone: IANA name of the server's time zone, in which it prints times.
        api_version: "3", "2" (Cachet 2's API v1), or "auto" to find out.
        full_refresh: Ask for every incident and component by id, and read all points from the start.
        metric_ids: Metrics whose points to load; None for all.

    Yields:
        A resource for each table of `TABLES`.

    Raises:
        CachetError: On extraction, in words that say what to set or check. As with any dlt source, one
            endpoint's failure then fails the load; what is offered to no one (`/me` on Cachet 3) or to no
            guest (subscribers) is left out instead, and what the destination holds of it stays.
    """
    wording = _wording()
    try:
        settings = CachetSettings(
            base_url=base_url,
            api_key=SecretStr(api_key) if api_key else None,
            timezone=timezone,
            api_version=api_version,
        )
    except SettingsError as error:
        raise error.worded(wording) from None
    extraction = Extraction(settings, full_refresh, wording)
    for name, table in TABLES.items():
        if name == "metric_points":
            yield metric_points_resource(lambda: extraction.points(metric_ids))
        else:
            yield table_resource(table, lambda name=name: extraction.rows(name))


def _wording() -> Callable[[str], str]:
    """Return what names the settings in a message as dlt does, by the keys that it looks for."""
    key = ".".join(dict.fromkeys(Container()[ConfigSectionContext].sections))
    return lambda text: in_terms(text, lambda setting: f"{key}.{setting}")
