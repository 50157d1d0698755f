"""Which tables an endpoint's documents fill: the same for both APIs."""

from __future__ import annotations

from .listing import Shape

INCIDENT = Shape(
    "incidents", "incident", updates="incident_updates", links="incident_components", final_status=4
)
COMPONENT = Shape("components")
SCHEDULE = Shape(
    "schedules", "schedule", updates="schedule_updates", links="schedule_components", final_status=2
)
SUBSCRIBER = Shape("subscribers", "subscriber", links="subscriber_components")
GROUP = Shape("components_groups")
METRIC = Shape("metrics")
POINT = Shape("metric_points")
TEMPLATE = Shape("incident_templates")
STATUS = Shape("system_status")
VERSION = Shape("versions")
