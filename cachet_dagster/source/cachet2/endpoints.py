"""How Cachet 2's API v1 is asked for each endpoint; `dashboards` it does not have."""

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

from .pages import SORTED, UNSORTED
from .rows import observation, parse


def _listing(path: str, shape: Shape, **more: Any) -> Listing:
    return Listing(path, shape, **{"paging": SORTED, "parse": parse, **more})


_INCIDENTS = _listing("incidents", INCIDENT)
_INCIDENT = replace(_INCIDENTS, path="incidents/{id}", redundant=True)
_COMPONENTS = _listing("components", COMPONENT)
_COMPONENT = replace(_COMPONENTS, path="components/{id}", redundant=True)

LISTINGS: Mapping[str, Listing] = {
    "incidents": _INCIDENTS,
    "incidents_by_id": replace(_INCIDENTS, single=_INCIDENT, unnamed=True),
    "components": _COMPONENTS,
    "components_by_id": replace(_COMPONENTS, single=_COMPONENT),
    "components_groups": _listing("components/groups", GROUP),
    "metrics": _listing("metrics", METRIC),
    "metric_points": _listing("metrics/{id}/points", POINT, paging=UNSORTED),
    "schedules": _listing("schedules", replace(SCHEDULE, updates=""), optional=True, unnamed=True),
    "subscribers": _listing("subscribers", SUBSCRIBER, paging=UNSORTED, private=True, unnamed=True),
    "incident_templates": _listing("incidents/templates", TEMPLATE, paging=UNSORTED, optional=True),
    "system_status": _listing("status", STATUS, parse=observation),
    # It asks GitHub for the newest release, and is a 500 where GitHub cannot be reached.
    "versions": _listing("version", VERSION, parse=observation, flaky=True),
}
"""Endpoint → how it is asked for. Several endpoints of Cachet 2 share an order; see `pages.py`."""
