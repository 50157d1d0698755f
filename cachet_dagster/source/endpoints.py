"""The table of endpoints: what Cachet offers, how each API version is asked for it, and what it fills.

One entry is all that an endpoint takes: the dlt resources, the Dagster assets, the requests and the
embedded server's tests are derived from it. An endpoint that an API lacks has None there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from . import cachet2_rows
from .cachet2_pages import SORTED, UNSORTED
from .pages import BY_ID, Paging
from .rows import Parsed, RowContext, Shape, observation, parse

Kind = Literal["list", "by_id", "observed", "single", "points"]


@dataclass(frozen=True)
class Listing:
    """How one API version is asked for an endpoint.

    Attributes:
        path: Path below the API's root; `{id}` stands for a row's id.
        shape: Which tables its documents fill.
        params: Query parameters beside those of paging.
        bucket: Which rate limit counts it.
        paging: How its list is paged, and so how points are read on.
        parse: A document → its rows.
        single: How it is asked for a single row of a list.
        private: Whether guests are refused.
        optional: Whether a Cachet of this version may lack it without anything being wrong.
        unnamed: Whether its links lack the components' names, which then come from the list of components.
        flaky: Whether it fails at times though all else works.
    """

    path: str
    shape: Shape
    params: Mapping[str, str] = field(default_factory=dict)
    bucket: str = "api"
    paging: Paging = BY_ID
    parse: Callable[[Any, Shape, RowContext], Parsed] = parse
    single: Listing | None = None
    private: bool = False
    optional: bool = False
    unnamed: bool = False
    flaky: bool = False


@dataclass(frozen=True)
class Endpoint:
    """One endpoint.

    Attributes:
        name: Name of the endpoint, of its dlt resource and of its asset.
        tables: Tables that it fills, always in one load.
        kind: `list` and `by_id` are read page by page, and single rows where their answer can differ;
            `observed` is one answer, kept when it changes; `single` is one document; `points` are the points
            of each metric.
        v3: How Cachet 3 is asked; None where it does not offer it.
        v2: How Cachet 2 is asked; None where it does not offer it.
        of: For `by_id`, the endpoint whose list it shares.
        docs: Path of its page in Cachet's API reference; empty where that has none.
    """

    name: str
    tables: tuple[str, ...]
    kind: Kind
    v3: Listing | None
    v2: Listing | None
    of: str = ""
    docs: str = ""

    def listing(self, version: int) -> Listing | None:
        """Return how the API of a Cachet version is asked; None where it does not offer the endpoint."""
        return {3: self.v3, 2: self.v2}[version]


def _cachet2(path: str, shape: Shape, **more: Any) -> Listing:
    return Listing(path, shape, **{"paging": SORTED, "parse": cachet2_rows.parse, **more})


_INCIDENT = Shape(
    "incidents", "incident", updates="incident_updates", links="incident_components", final_status=4
)
_COMPONENT = Shape("components")
_SCHEDULE = Shape(
    "schedules", "schedule", updates="schedule_updates", links="schedule_components", final_status=2
)

_SUBSCRIBER = Shape("subscribers", "subscriber", links="subscriber_components")
_GROUP = Shape("components_groups")
_METRIC = Shape("metrics")
_POINT = Shape("metric_points")
_TEMPLATE = Shape("incident_templates")
_STATUS = Shape("system_status")
_VERSION = Shape("versions")

_INCIDENTS = Listing("incidents", _INCIDENT, {"include": "updates,components,user,meta"})
# The default shows enabled components only, even to an administrator.
_COMPONENTS = Listing("components", _COMPONENT, {"filter[enabled]": "0,1", "include": "group,meta"})
_SCHEDULES = Listing("schedules", _SCHEDULE, {"include": "updates,components,meta"})

_INCIDENTS_2 = _cachet2("incidents", _INCIDENT)
_COMPONENTS_2 = _cachet2("components", _COMPONENT)

_DECLARED = (
    Endpoint(
        "incidents",
        ("incidents", "incident_updates"),
        "list",
        v3=_INCIDENTS,
        v2=_INCIDENTS_2,
        docs="incidents/list-incidents",
    ),
    Endpoint(
        "incidents_by_id",
        ("incidents_by_id", "incident_components"),
        "by_id",
        v3=replace(_INCIDENTS, single=replace(_INCIDENTS, path="incidents/{id}")),
        v2=replace(_INCIDENTS_2, single=replace(_INCIDENTS_2, path="incidents/{id}"), unnamed=True),
        of="incidents",
        docs="incidents/get-incident",
    ),
    Endpoint(
        "components",
        ("components",),
        "list",
        v3=_COMPONENTS,
        v2=_COMPONENTS_2,
        docs="components/list-components",
    ),
    Endpoint(
        "components_by_id",
        ("components_by_id",),
        "by_id",
        v3=replace(_COMPONENTS, single=Listing("components/{id}", _COMPONENT, {"include": "group,meta"})),
        v2=replace(_COMPONENTS_2, single=replace(_COMPONENTS_2, path="components/{id}")),
        of="components",
        docs="components/get-component",
    ),
    Endpoint(
        "components_groups",
        ("components_groups",),
        "list",
        v3=Listing("component-groups", _GROUP, {"include": "meta"}),
        v2=_cachet2("components/groups", _GROUP),
        docs="component-groups/list-component-groups",
    ),
    Endpoint(
        "metrics",
        ("metrics",),
        "list",
        v3=Listing("metrics", _METRIC),
        v2=_cachet2("metrics", _METRIC),
        docs="metrics/list-metrics",
    ),
    Endpoint(
        "metric_points",
        ("metric_points",),
        "points",
        v3=Listing("metrics/{id}/points", _POINT),
        v2=_cachet2("metrics/{id}/points", _POINT, paging=UNSORTED),
        docs="metric-points/list-metric-points",
    ),
    Endpoint(
        "schedules",
        ("schedules", "schedule_updates", "schedule_components"),
        "list",
        v3=replace(_SCHEDULES, single=replace(_SCHEDULES, path="schedules/{id}")),
        v2=_cachet2("schedules", replace(_SCHEDULE, updates=""), optional=True, unnamed=True),
        docs="schedules/list-schedules",
    ),
    Endpoint(
        "subscribers",
        ("subscribers", "subscriber_components"),
        "list",
        v3=Listing(
            "subscribers", _SUBSCRIBER, {"include": "components,meta"}, bucket="subscribers", private=True
        ),
        v2=_cachet2("subscribers", _SUBSCRIBER, paging=UNSORTED, private=True, unnamed=True),
    ),
    Endpoint(
        "incident_templates",
        ("incident_templates",),
        "list",
        v3=Listing("incident-templates", _TEMPLATE),
        v2=_cachet2("incidents/templates", _TEMPLATE, paging=UNSORTED, optional=True),
        docs="incident-templates/list-incident-templates",
    ),
    Endpoint(
        "system_status",
        ("system_status",),
        "observed",
        v3=Listing("status", _STATUS, parse=observation),
        v2=_cachet2("status", _STATUS, parse=cachet2_rows.observation),
    ),
    Endpoint(
        "versions",
        ("versions",),
        "observed",
        v3=Listing("version", _VERSION, parse=observation),
        # It asks GitHub for the newest release, and is a 500 where GitHub cannot be reached.
        v2=_cachet2("version", _VERSION, parse=cachet2_rows.observation, flaky=True),
        docs="cachet/get-version",
    ),
    Endpoint(
        "dashboards",
        ("dashboards",),
        "single",
        v3=Listing("me", Shape("dashboards"), private=True, optional=True),
        v2=None,
    ),
)

ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _DECLARED}

FILLED_BY: dict[str, Endpoint] = {table: endpoint for endpoint in _DECLARED for table in endpoint.tables}
"""Table → the endpoint that fills it."""
