"""What several models are made from, and nobody else: built in between, no assets, no part of what is promised."""

from __future__ import annotations

from cachet_dagster.source.tables import Table

from .columns import FIGURES, SCOPE, STATE, SWEPT, at, date, integer, number, status, text

STEPS_BEFORE = (
    (
        "component_status_intervals",
        Table(
            "component_sweep",
            ("component_id", "starts_at"),
            (
                integer("component_id", "The component."),
                integer("shown", "Severity as the page showed it."),
                *SWEPT,
            ),
            "What holds of each component from one event to the next, as severities.",
        ),
    ),
    (
        "component_status_intervals",
        Table(
            "scope_sweep",
            ("scope", "scope_id", "starts_at"),
            (
                text("scope", "group or page."),
                integer("scope_id", "Id of the group; 0 for the page."),
                *SWEPT,
            ),
            "What holds of each group and of the page from one event to the next, as severities.",
        ),
    ),
    (
        "component_status_intervals",
        Table(
            "status_runs",
            ("scope", "scope_id", "starts_at"),
            (
                *SCOPE[:2],
                *SWEPT[:2],
                *STATE,
                status("shown_status", "Status as the page showed it"),
                *SWEPT[5:],
            ),
            "Both sweeps, neighbours that say the same taken together.",
        ),
    ),
    (
        "component_uptime_daily",
        Table(
            "status_seconds",
            (
                "grain",
                "period",
                "scope",
                "scope_id",
                "status",
                "status_best",
                "status_worst",
                "has_unspecified_impact",
                "in_maintenance",
                "evidence",
            ),
            (
                text("grain", "day, month or window."),
                date("period", "Its first day, in the page's time zone."),
                *SCOPE[:2],
                *STATE,
                *SWEPT[5:],
                number("seconds", "Seconds of the period."),
            ),
            "Seconds in each status of each period that figures are told of.",
        ),
    ),
    (
        "component_uptime_daily",
        Table(
            "uptime_figures",
            ("grain", "period", "scope", "scope_id", "aggregation", "policy"),
            (
                text("grain", "day, month or window."),
                date("period", "Its first day, in the page's time zone."),
                *SCOPE,
                *FIGURES,
                status("worst_status", "The worst status of the period"),
            ),
            "Uptime of every period under every policy.",
        ),
    ),
    (
        "hygiene",
        Table(
            "shown_statuses",
            ("component_id",),
            (
                integer("component_id", "The component."),
                at("since", "Since when it is what the first rule makes it"),
                status("page_status", "Status that the page shows now"),
                status("worst_of_all", "What the rule of Cachet since 2026-07-26 makes it"),
                status("newest_incident", "What the rule before makes it: the newest open incident wins"),
            ),
            "What the page shows of each component now, and what either rule of Cachet's makes it.",
        ),
    ),
)
