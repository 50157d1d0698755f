"""The requests for each endpoint of Cachet 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cachet_dagster.source.listing import Listing, Shape
from cachet_dagster.source.shapes import (
    COMPONENT,
    GROUP,
    INCIDENT,
    METRIC,
    POINT,
    SCHEDULE,
    STATUS,
    SUBSCRIBER,
    TEMPLATE,
    VERSION,
)

from .pages import BY_ID
from .rows import observation, parse


def _listing(path: str, shape: Shape, params: Mapping[str, str] | None = None, **more: Any) -> Listing:
    return Listing(path, shape, **{"paging": BY_ID, "parse": parse, "params": params or {}, **more})


_INCIDENTS = _listing("incidents", INCIDENT, {"include": "updates,components,user,meta"})
# The default shows enabled components only, even to an administrator.
_COMPONENTS = _listing("components", COMPONENT, {"filter[enabled]": "0,1", "include": "group,meta"})
_SCHEDULES = _listing("schedules", SCHEDULE, {"include": "updates,components,meta"})

LISTINGS: Mapping[str, Listing] = {
    "incidents": _INCIDENTS,
    "incidents_by_id": replace(_INCIDENTS, single=replace(_INCIDENTS, path="incidents/{id}")),
    "components": _COMPONENTS,
    "components_by_id": replace(
        _COMPONENTS, single=_listing("components/{id}", COMPONENT, {"include": "group,meta"})
    ),
    "components_groups": _listing("component-groups", GROUP, {"include": "meta"}),
    "metrics": _listing("metrics", METRIC),
    "metric_points": _listing("metrics/{id}/points", POINT),
    "schedules": replace(_SCHEDULES, single=replace(_SCHEDULES, path="schedules/{id}")),
    "subscribers": _listing(
        "subscribers", SUBSCRIBER, {"include": "components,meta"}, bucket="subscribers", private=True
    ),
    "incident_templates": _listing("incident-templates", TEMPLATE),
    "system_status": _listing("status", STATUS, parse=observation),
    "versions": _listing("version", VERSION, parse=observation),
    "dashboards": _listing("me", Shape("dashboards"), private=True, optional=True),
}
"""Endpoint → its requests. All that Cachet 3 offers and the project loads."""
