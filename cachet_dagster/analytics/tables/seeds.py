"""Small tables that Python writes before the models are built: settings, calendars, targets."""

from __future__ import annotations

from cachet_dagster.source.tables import Table

from .columns import at, date, integer, number, status, text

SEED_TABLES = (
    Table(
        "build_settings",
        ("as_of",),
        (
            at("as_of", "The moment up to which the models tell"),
            text("time_zone", "IANA name of the zone of days and months."),
            text("audience", "public, or all: hidden incidents and components count as well."),
            integer("cachet_version", "Version of the API that the page was read by: 3 or 2."),
            integer(
                "maintenance_cap_seconds",
                "After how many seconds maintenance without an end is taken to be over.",
            ),
            integer("stale_seconds", "Without an update for so many seconds an open incident is stale."),
        ),
        "The settings that the models were built with: one row.",
    ),
    Table(
        "component_severities",
        ("status",),
        (
            status("status", "Status"),
            text("label", "In words."),
            integer("severity", "1 operational to 6 major outage, in Cachet's order."),
            integer("severity_best", "The best that such a status can stand for."),
            integer("severity_worst", "The worst."),
            number(
                "heavy",
                "10¹⁰, 10⁵ or 1 for severities 6, 5 and 4, else 0: a sum of them tells the worst of up to 99,999 of "
                "each that hold at once, exactly.",
            ),
            number("light", "The same for severities 3, 2 and 1."),
        ),
        "Cachet's order of component statuses.",
    ),
    Table(
        "calendar_days",
        ("day",),
        (
            date("day", "The day, in the page's time zone."),
            date("month", "First day of its month."),
            at("starts_at", "When it begins"),
            at("ends_at", "When it ends, exclusive; it has 23 or 25 hours where the clock changes"),
        ),
        "Days from the first thing known to the as-of time.",
    ),
    Table(
        "calendar_months",
        ("month",),
        (
            date("month", "First day of the month, in the page's time zone."),
            at("starts_at", "When it begins"),
            at("ends_at", "When it ends, exclusive"),
        ),
        "Months from the first thing known to the as-of time.",
    ),
    Table(
        "repeated_hours",
        ("starts_at",),
        (
            at("starts_at", "When the clock shows them first"),
            at("ends_at", "When it has shown them twice"),
            integer("seconds", "Seconds that it goes back by."),
        ),
        "Local times that the page's clock shows twice: Cachet 3 does not say which of the two it means.",
    ),
    Table(
        "calendar_windows",
        ("window_days",),
        (
            integer("window_days", "Days of the window."),
            date("first_day", "Its first day, in the page's time zone."),
            date("last_day", "Its last day: today."),
            at("starts_at", "When it begins"),
            at("ends_at", "When it ends: the as-of time"),
        ),
        "Rolling windows as of now.",
    ),
    Table(
        "calendar_quarters",
        ("quarter",),
        (
            integer("quarter", "Quarter of an hour: seconds since 1970 (UTC) divided by 900."),
            at("hour_starts_at", "When the local hour begins that it lies in"),
            at("day_starts_at", "When the local day begins"),
            at("month_starts_at", "When the local month begins"),
        ),
        "Which local hour, day and month each quarter of an hour with metric points lies in.",
    ),
    Table(
        "slo_targets",
        ("scope", "scope_id", "policy", "window_days"),
        (
            text("scope", "component, group or page."),
            integer("scope_id", "Id of the component or group; 0 for the page; null for each component."),
            text("policy", "The policy by which downtime is weighed."),
            integer("window_days", "Days of the rolling window."),
            number("target", "Promised uptime, 0 to 1."),
        ),
        "Objectives, from the settings.",
    ),
)
