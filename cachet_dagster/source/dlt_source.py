"""The dlt source: what it loads and everything that can be set about it, as arguments that dlt resolves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.extract import DltResource

from .errors import SettingsError
from .extraction import Extraction
from .resources import metric_points_resource, table_resource
from .settings import DEFAULT_BASE_URL, ApiVersion, CachetSettings, Emails
from .tables import TABLES


@dlt.source(name="cachet_source", section="cachet_source", max_table_nesting=0)
def cachet_source(
    base_url: str = DEFAULT_BASE_URL,
    api_key: dlt.TSecretStrValue | None = None,
    timezone: str = "UTC",
    api_version: ApiVersion = "auto",
    full_refresh: bool = False,
    metric_ids: Sequence[int] | None = None,
    *,
    requests_per_minute: int | None = None,
    subscriber_emails: Emails = "keep",
    email_hash_key: dlt.TSecretStrValue | None = None,
    basic_auth: dlt.TSecretStrValue | None = None,
    headers: dlt.TSecretStrValue | None = None,
    impact_requests: int = 30,
    points_overlap: int = 1,
    ca_bundle: str | None = None,
    connect_timeout: float = 10.0,
    timeout: float = 120.0,
    attempts: int = 5,
    retry_delay: float = 0.5,
    max_wait: float = 900.0,
    max_body: int = 64 * 1024 * 1024,
    connections: int = 8,
    rate_window: float = 60.0,
) -> Iterator[DltResource]:
    """Everything that a Cachet shows, one resource per table.

    All tables but three are replaced whole, since the API cannot tell what changed; `metric_points` is
    merged on id from where the destination ends, and `system_status` and `versions` get a row when the
    answer differs from their newest one. Two loads at once may each add the same such row.

    Args:
        base_url: The status page's address, as a person pastes it: with or without `/api`, with or without
            a slash.
        api_key: The API token. A guest sees public rows only, and no subscribers.
        timezone: IANA name of the server's time zone, in which it prints times.
        api_version: "3", "2" (Cachet 2's API v1), or "auto" to find out.
        full_refresh: Read how every incident and schedule hit its components, and all points from the start.
        metric_ids: Metrics whose points to load; None for all.
        requests_per_minute: Cap on requests a minute, to leave room for others; None spends what is granted.
        subscriber_emails: "keep", "hash" (HMAC-SHA-256 of the lower-case address) or "omit".
        email_hash_key: Secret text of 16 characters or more, with which addresses are hashed.
        basic_auth: "user:password" of a server in front of Cachet that asks for them.
        headers: Further headers for what stands in front of Cachet: "Name: value; Other: value".
        impact_requests: Requests up to which each load reads how every incident and schedule hit its components.
        points_overlap: Pages of newest points read again at each load, since points change.
        ca_bundle: PEM file of a private CA.
        connect_timeout: Seconds to wait for a connection.
        timeout: Seconds that a whole answer may take, however slowly it drips.
        attempts: How often a request is sent before a transport fault is a failure.
        retry_delay: Seconds before the first retry; doubles.
        max_wait: Seconds that a request may take in all, with retries and waiting for the rate limit.
        max_body: Bytes that an answer may have.
        connections: Requests under way at once.
        rate_window: Seconds of the server's rate-limit window.

    Yields:
        A resource for each table of `TABLES`.

    Raises:
        SettingsError: A setting cannot be used; it is named by the key that dlt looks for.
        CachetError: On extraction, in words that say what to set or check. As with any dlt source, one
            endpoint's failure then fails the load. What is offered to no one (`/me` on Cachet 3), or not to
            this reader (subscribers), is left out instead, and what the destination holds of it stays; only
            a token that could read it before fails the load.
    """
    given = locals()
    key_of = _key_of()
    try:
        settings = CachetSettings(**{name: given[name] for name in CachetSettings.model_fields})
    except SettingsError as error:
        raise error.with_setting_names(key_of) from None
    extraction = Extraction(settings, full_refresh, key_of)
    for name, table in TABLES.items():
        if name == "metric_points":
            yield metric_points_resource(lambda: extraction.points(metric_ids))
        else:
            yield table_resource(table, lambda name=name: extraction.rows(name))


def _key_of() -> Callable[[str], str]:
    """Return what names a setting as dlt does, by the key that it looks for."""
    key = ".".join(dict.fromkeys(Container()[ConfigSectionContext].sections))
    return lambda setting: f"{key}.{setting}"
