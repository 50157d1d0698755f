"""The table of endpoints: what Cachet offers, which tables it fills and how those are loaded.

The dlt resources, the Dagster assets, the requests and the embedded server's tests are derived from it. How
each API is asked stands with that API: `cachet3/endpoints.py`, `cachet2/endpoints.py`; an endpoint that an API
lacks has no entry there.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import cachet2, cachet3
from .listing import Listing


@dataclass(frozen=True)
class Kind:
    """How an endpoint is read, and how what was read reaches its tables.

    Attributes:
        how: What happens to the tables at a load, as a sentence.
        has_ids: Whether it is a list of rows with ids, read page by page.
        appends: Whether rows are added when the answer changes; else tables are replaced or merged.
        per_metric: Whether it is asked for once a metric, so that each metric is a partition.
    """

    how: str
    has_ids: bool = False
    appends: bool = False
    per_metric: bool = False

    @property
    def replaces(self) -> bool:
        """Whether its tables are replaced whole."""
        return not (self.appends or self.per_metric)


LIST = Kind("Replaced whole at each load, since the API cannot tell what changed.", has_ids=True)
DETAILS = Kind("Rows of `{of}`, asked for singly only where that answer can differ.", has_ids=True)
OBSERVED = Kind("A row is added when the answer differs from the newest one.", appends=True)
SINGLE = Kind("Replaced whole at each load.")
POINTS = Kind("Merged on `id`, from where the database ends. Each metric is a partition.", per_metric=True)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint.

    Attributes:
        name: Name of the endpoint, of its dlt resource and of its asset.
        tables: Tables that it fills, always in one load.
        kind: How it is read and loaded.
        of: For details, the endpoint whose list it shares.
        docs: Path of its page in Cachet's API reference; empty where that has none.
    """

    name: str
    tables: tuple[str, ...]
    kind: Kind
    of: str = ""
    docs: str = ""

    @property
    def v3(self) -> Listing | None:
        """How Cachet 3 is asked; None where it does not offer it."""
        return cachet3.LISTINGS.get(self.name)

    @property
    def v2(self) -> Listing | None:
        """How Cachet 2 is asked; None where it does not offer it."""
        return cachet2.LISTINGS.get(self.name)

    def listing(self, version: int) -> Listing | None:
        """Return how the API of a Cachet version is asked; None where it does not offer the endpoint."""
        return {3: self.v3, 2: self.v2}[version]


_DECLARED = (
    Endpoint("incidents", ("incidents", "incident_updates"), LIST, docs="incidents/list-incidents"),
    Endpoint(
        "incidents_by_id",
        ("incidents_by_id", "incident_components"),
        DETAILS,
        of="incidents",
        docs="incidents/get-incident",
    ),
    Endpoint("components", ("components",), LIST, docs="components/list-components"),
    Endpoint(
        "components_by_id", ("components_by_id",), DETAILS, of="components", docs="components/get-component"
    ),
    Endpoint(
        "components_groups", ("components_groups",), LIST, docs="component-groups/list-component-groups"
    ),
    Endpoint("metrics", ("metrics",), LIST, docs="metrics/list-metrics"),
    Endpoint("metric_points", ("metric_points",), POINTS, docs="metric-points/list-metric-points"),
    Endpoint(
        "schedules",
        ("schedules", "schedule_updates", "schedule_components"),
        LIST,
        docs="schedules/list-schedules",
    ),
    Endpoint("subscribers", ("subscribers", "subscriber_components"), LIST),
    Endpoint(
        "incident_templates",
        ("incident_templates",),
        LIST,
        docs="incident-templates/list-incident-templates",
    ),
    Endpoint("system_status", ("system_status",), OBSERVED),
    Endpoint("versions", ("versions",), OBSERVED, docs="cachet/get-version"),
    Endpoint("dashboards", ("dashboards",), SINGLE),
)

ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _DECLARED}

FILLED_BY: dict[str, Endpoint] = {table: endpoint for endpoint in _DECLARED for table in endpoint.tables}
"""Table → the endpoint that fills it."""
