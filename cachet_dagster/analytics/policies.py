"""Definitions of uptime, since there is no single one: each a row of weights, with where it comes from.

On one recorded page the mean uptime of 90 days runs from 28.6 to 73.5 % by definition alone, so a figure never
stands without its policy.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_POLICY = "statuspage"


@dataclass(frozen=True)
class UptimePolicy:
    """How much of each status is downtime, 0 to 1.

    Attributes:
        policy: Name.
        description: Who computes uptime so, and how.
        major_weight: Of a major outage.
        partial_weight: Of a partial outage.
        performance_weight: Of performance issues.
        maintenance_weight: Of maintenance.
        unspecified_weight: Of an incident without an impact, at least.
        excludes_maintenance: Whether maintenance is left out of the denominator.
    """

    policy: str
    description: str
    major_weight: float = 1.0
    partial_weight: float = 0.0
    performance_weight: float = 0.0
    maintenance_weight: float = 0.0
    unspecified_weight: float = 0.0
    excludes_maintenance: bool = False


POLICIES = (
    UptimePolicy(
        "statuspage",
        "Atlassian Statuspage, Instatus, ilert: major outages in full, partial ones by 30 %.",
        partial_weight=0.3,
    ),
    UptimePolicy(
        "openstatus",
        "OpenStatus: partial outages by half; an incident that names no impact in full.",
        partial_weight=0.5,
        unspecified_weight=1.0,
    ),
    UptimePolicy("incident_io", "incident.io: partial outages as much as major ones.", partial_weight=1.0),
    UptimePolicy("major_only", "Cachet's never merged #2752: major outages only."),
    UptimePolicy(
        "strict",
        "All that is not operational is down, maintenance too.",
        partial_weight=1.0,
        performance_weight=1.0,
        maintenance_weight=1.0,
        unspecified_weight=1.0,
    ),
    UptimePolicy(
        "sla",
        "GitLab: as statuspage, and maintenance is left out of both sides.",
        partial_weight=0.3,
        excludes_maintenance=True,
    ),
)
