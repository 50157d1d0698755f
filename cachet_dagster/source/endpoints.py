"""The table of endpoints: what Cachet offers, how each API is asked for it, and which tables it fills.

The dlt resources, the Dagster assets, the requests and the embedded server's tests are derived from it, so adding an
endpoint adds an entry here, beside its tables in `tables.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from . import cachet2, cachet3
from .listing import Listing, TableMapping


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


LIST = Kind("Replaced whole at each load, since the API cannot tell what changed.", has_ids=True)
DETAILS = Kind("Rows of `{of}`, replaced whole at each load.", has_ids=True)
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
        mapping: Which tables its documents fill.
        v3: How Cachet 3 is asked; None where it does not offer it.
        v2: How Cachet 2 is asked; None where it does not offer it.
        of: For details, the endpoint whose list it shares.
        docs: Path of its page in Cachet's API reference; empty where that has none.
    """

    name: str
    tables: tuple[str, ...]
    kind: Kind
    mapping: TableMapping
    v3: Listing | None
    v2: Listing | None
    of: str = ""
    docs: str = ""

    def listing(self, version: int) -> Listing | None:
        """Return how the API of a Cachet version is asked; None where it does not offer the endpoint."""
        return {3: self.v3, 2: self.v2}[version]

    @property
    def has_details(self) -> bool:
        """Whether rows of its list are asked for by id where that answer can differ."""
        own_links = self.mapping.links in self.tables
        return bool(self.of) or (own_links and self.v3 is not None and bool(self.v3.by_id))


_v3 = partial(Listing, paging=cachet3.BY_ID, parse=cachet3.parse)
_v2 = partial(Listing, paging=cachet2.SORTED, parse=cachet2.parse, resolve=cachet2.resolve)
_v2_unsorted = partial(_v2, paging=cachet2.UNSORTED)

_INCIDENTS = TableMapping("incidents", "incident", "incident_updates", "incident_components", final_status=4)
_INCIDENTS_3 = _v3("incidents", include="updates,components,user,meta", by_id="incidents/{id}")
_INCIDENTS_2 = _v2("incidents", links_lack_names=True)
_COMPONENTS = TableMapping("components")
# The default shows enabled components only, even to an administrator.
_COMPONENTS_3 = _v3(
    "components", include="group,meta", params={"filter[enabled]": "0,1"}, by_id="components/{id}"
)
_COMPONENTS_2 = _v2("components")

_DECLARED = (
    Endpoint(
        "incidents",
        ("incidents", "incident_updates"),
        LIST,
        _INCIDENTS,
        _INCIDENTS_3,
        _INCIDENTS_2,
        docs="incidents/list-incidents",
    ),
    Endpoint(
        "incidents_by_id",
        ("incidents_by_id", "incident_components"),
        DETAILS,
        _INCIDENTS,
        _INCIDENTS_3,
        _INCIDENTS_2,
        of="incidents",
        docs="incidents/get-incident",
    ),
    Endpoint(
        "components",
        ("components",),
        LIST,
        _COMPONENTS,
        _COMPONENTS_3,
        _COMPONENTS_2,
        docs="components/list-components",
    ),
    Endpoint(
        "components_by_id",
        ("components_by_id",),
        DETAILS,
        _COMPONENTS,
        _COMPONENTS_3,
        _COMPONENTS_2,
        of="components",
        docs="components/get-component",
    ),
    Endpoint(
        "components_groups",
        ("components_groups",),
        LIST,
        TableMapping("components_groups"),
        _v3("component-groups", include="meta"),
        _v2("components/groups"),
        docs="component-groups/list-component-groups",
    ),
    Endpoint(
        "metrics",
        ("metrics",),
        LIST,
        TableMapping("metrics"),
        _v3("metrics"),
        _v2("metrics"),
        docs="metrics/list-metrics",
    ),
    Endpoint(
        "metric_points",
        ("metric_points",),
        POINTS,
        TableMapping("metric_points"),
        cachet3.points("metrics/{id}/points"),
        cachet2.points("metrics/{id}/points"),
        docs="metric-points/list-metric-points",
    ),
    Endpoint(
        "schedules",
        ("schedules", "schedule_updates", "schedule_components"),
        LIST,
        TableMapping("schedules", "schedule", "schedule_updates", "schedule_components", final_status=2),
        _v3("schedules", include="updates,components,meta", by_id="schedules/{id}"),
        _v2("schedules", optional=True, links_lack_names=True),
        docs="schedules/list-schedules",
    ),
    Endpoint(
        "subscribers",
        ("subscribers", "subscriber_components"),
        LIST,
        TableMapping("subscribers", "subscriber", links="subscriber_components"),
        _v3("subscribers", include="components,meta", bucket="subscribers", private=True),
        _v2_unsorted("subscribers", private=True, links_lack_names=True),
    ),
    Endpoint(
        "incident_templates",
        ("incident_templates",),
        LIST,
        TableMapping("incident_templates"),
        _v3("incident-templates"),
        _v2_unsorted("incidents/templates", optional=True),
        docs="incident-templates/list-incident-templates",
    ),
    Endpoint(
        "system_status",
        ("system_status",),
        OBSERVED,
        TableMapping("system_status"),
        _v3("status", parse=cachet3.observation),
        _v2("status", parse=cachet2.observation),
    ),
    Endpoint(
        "versions",
        ("versions",),
        OBSERVED,
        TableMapping("versions"),
        _v3("version", parse=cachet3.observation),
        # It asks GitHub for the newest release, and is a 500 where GitHub cannot be reached.
        _v2("version", parse=cachet2.observation, flaky=True),
        docs="cachet/get-version",
    ),
    Endpoint(
        "dashboards",
        ("dashboards",),
        SINGLE,
        TableMapping("dashboards"),
        _v3("me", private=True, optional=True),
        None,
    ),
)

ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _DECLARED}

FILLED_BY: dict[str, Endpoint] = {table: endpoint for endpoint in _DECLARED for table in endpoint.tables}
"""Table → the endpoint that fills it."""
