"""The table of endpoints: what Cachet offers, how each API version is asked for it, and what it fills.

One entry is all that an endpoint takes: the dlt resources, the Dagster assets, the requests and the
embedded server's tests are derived from it. An endpoint that an API lacks has None there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .rows import Shape

Kind = Literal["list", "by_id", "observed", "single", "points"]


@dataclass(frozen=True)
class Listing:
    """How one API version is asked for an endpoint.

    Attributes:
        path: Path below the API's root; `{id}` stands for a row's id.
        shape: Which tables its documents fill.
        params: Query parameters beside those of paging.
        bucket: Which rate limit counts it.
    """

    path: str
    shape: Shape
    params: Mapping[str, str] = field(default_factory=dict)
    bucket: str = "api"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint.

    Attributes:
        name: Name of the endpoint, of its dlt resource and of its asset.
        tables: Tables that it fills, always in one load.
        kind: `list` and `by_id` are read page by page, and single rows where their answer can differ;
            `observed` is one answer, kept when it changes; `single` is one document; `points` are the points
            of each metric.
        listing: How Cachet 3 is asked; None where it does not offer it.
        single: How Cachet 3 is asked for a single row.
        of: For `by_id`, the endpoint whose list it shares.
        optional: Whether a Cachet may lack it without anything being wrong.
        docs: Path of its page in Cachet's API reference.
    """

    name: str
    tables: tuple[str, ...]
    kind: Kind
    listing: Listing | None
    single: Listing | None = None
    of: str = ""
    optional: bool = False
    docs: str = ""


_INCIDENT = Shape(
    "incidents", "incident", updates="incident_updates", links="incident_components", final_status=4
)
_COMPONENT = Shape("components")
_SCHEDULE = Shape(
    "schedules", "schedule", updates="schedule_updates", links="schedule_components", final_status=2
)

_INCIDENTS = Listing("incidents", _INCIDENT, {"include": "updates,components,user,meta"})
# The default shows enabled components only, even to an administrator.
_COMPONENTS = Listing("components", _COMPONENT, {"filter[enabled]": "0,1", "include": "group,meta"})

_DECLARED = (
    Endpoint(
        "incidents",
        ("incidents", "incident_updates"),
        "list",
        _INCIDENTS,
        docs="incidents",
    ),
    Endpoint(
        "incidents_by_id",
        ("incidents_by_id", "incident_components"),
        "by_id",
        _INCIDENTS,
        Listing("incidents/{id}", _INCIDENT, {"include": "components,updates,user,meta"}),
        of="incidents",
        docs="incidents",
    ),
    Endpoint(
        "components",
        ("components",),
        "list",
        _COMPONENTS,
        docs="components",
    ),
    Endpoint(
        "components_by_id",
        ("components_by_id",),
        "by_id",
        _COMPONENTS,
        Listing("components/{id}", _COMPONENT, {"include": "group,meta"}),
        of="components",
        docs="components",
    ),
    Endpoint(
        "components_groups",
        ("components_groups",),
        "list",
        Listing("component-groups", Shape("components_groups"), {"include": "meta"}),
        docs="component-groups",
    ),
    Endpoint("metrics", ("metrics",), "list", Listing("metrics", Shape("metrics")), docs="metrics"),
    Endpoint(
        "metric_points",
        ("metric_points",),
        "points",
        Listing("metrics/{id}/points", Shape("metric_points")),
        docs="metrics",
    ),
    Endpoint(
        "schedules",
        ("schedules", "schedule_updates", "schedule_components"),
        "list",
        Listing("schedules", _SCHEDULE, {"include": "updates,components,meta"}),
        Listing("schedules/{id}", _SCHEDULE, {"include": "updates,components,meta"}),
        docs="schedules",
    ),
    Endpoint(
        "subscribers",
        ("subscribers", "subscriber_components"),
        "list",
        Listing(
            "subscribers",
            Shape("subscribers", "subscriber", links="subscriber_components"),
            {"include": "components,meta"},
            bucket="subscribers",
        ),
        docs="subscribers",
    ),
    Endpoint(
        "incident_templates",
        ("incident_templates",),
        "list",
        Listing("incident-templates", Shape("incident_templates")),
        docs="incident-templates",
    ),
    Endpoint("system_status", ("system_status",), "observed", Listing("status", Shape("system_status"))),
    Endpoint("versions", ("versions",), "observed", Listing("version", Shape("versions"))),
    Endpoint("dashboards", ("dashboards",), "single", Listing("me", Shape("dashboards")), optional=True),
)

ENDPOINTS: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _DECLARED}

FILLED_BY: dict[str, Endpoint] = {table: endpoint for endpoint in _DECLARED for table in endpoint.tables}
"""Table → the endpoint that fills it."""
