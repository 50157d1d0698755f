"""Models of uptime, and the steps and records behind them."""

from __future__ import annotations

from cachet_dagster.source.tables import Table

from .columns import FIGURES, SCOPE, at, date, flag, integer, number, status, text

FIGURE_TABLES = (
    Table(
        "uptime_policies",
        ("policy",),
        (
            text("policy", "Name."),
            text("description", "Who computes uptime so, and how."),
            number("major_weight", "How much of a major outage is downtime, 0 to 1."),
            number("partial_weight", "How much of a partial outage is."),
            number("performance_weight", "How much of performance issues is."),
            number("maintenance_weight", "How much of maintenance is."),
            number("unspecified_weight", "How much of an incident without an impact is, at least."),
            flag("excludes_maintenance", "Whether maintenance is left out of the denominator."),
            flag("is_default", "Whether it is the one meant where none is named."),
            flag("is_own", "Whether the row is a user's own, which builds keep."),
        ),
        "Definitions of uptime, since there is no single one. Rows of your own are kept: set is_own.",
    ),
    Table(
        "status_daily",
        (
            "scope",
            "scope_id",
            "day",
            "status",
            "status_best",
            "status_worst",
            "has_unspecified_impact",
            "in_maintenance",
            "evidence",
        ),
        (
            text("scope", "component; group or page as the worst of their components at each moment."),
            integer("scope_id", "Id of the component or group; 0 for the page."),
            date("day", "The day, in the page's time zone."),
            status("status", "Status that figures go by"),
            status("status_best", "The best that it can have been"),
            status("status_worst", "The worst that it can have been"),
            flag("has_unspecified_impact", "Whether an incident without an impact was open on it."),
            flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
            text("evidence", "How the status is known."),
            number("seconds", "Seconds of the day."),
        ),
        "Seconds of each day in each status, before any policy: days sum to months exactly.",
    ),
    Table(
        "policy_weights",
        ("policy", "status", "status_best", "status_worst", "has_unspecified_impact", "in_maintenance"),
        (
            text("policy", "The policy."),
            status("status", "Status that figures go by"),
            status("status_best", "The best that it can have been"),
            status("status_worst", "The worst that it can have been"),
            flag("has_unspecified_impact", "Whether an incident without an impact was open."),
            flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
            number("measured", "1 where such time is in the denominator, else 0."),
            number("weight", "How much of it is downtime."),
            number("measured_best", "As `measured`, at best."),
            number("weight_best", "As `weight`, at best."),
            number("measured_worst", "As `measured`, at worst."),
            number("weight_worst", "As `weight`, at worst."),
        ),
        "What each policy makes of each state that occurs.",
    ),
    Table(
        "component_uptime_daily",
        ("component_id", "day", "policy"),
        (
            integer("component_id", "The component."),
            date("day", "The day, in the page's time zone: 23 or 25 hours where the clock changes."),
            text("policy", "The policy by which downtime is weighed, of `uptime_policies`."),
            *FIGURES,
            status("worst_status", "The worst status of the day"),
        ),
        "Uptime of each component on each day under each policy. A view: it costs what is asked of it.",
    ),
    Table(
        "uptime_monthly",
        ("month", "scope", "scope_id", "aggregation", "policy"),
        (date("month", "First day of the month, in the page's time zone."), *SCOPE, *FIGURES),
        "Uptime of each calendar month: components, groups, the page.",
    ),
    Table(
        "uptime_rolling",
        ("window_days", "scope", "scope_id", "aggregation", "policy"),
        (
            integer(
                "window_days", "7, 28, 30, 90 or 365 days of the page's time zone, today so far among them."
            ),
            at("starts_at", "When the window begins"),
            at("ends_at", "When it ends: the as-of time"),
            *SCOPE,
            *FIGURES,
        ),
        "Uptime of the last days as of now: components, groups, the page.",
    ),
)

UPTIME_PUBLISHED = Table(
    "uptime_published",
    ("month", "scope", "scope_id", "aggregation", "policy"),
    (
        date("month", "First day of the month."),
        *(column for column in SCOPE if column.name != "scope_name"),
        number("uptime", "The figure as first computed after the month's end."),
        at("published_at", "The as-of time of that"),
        text("weights", "The policy's weights then."),
    ),
    "Each month's figures as first computed after its end. Kept, for `uptime_restatements`.",
)
