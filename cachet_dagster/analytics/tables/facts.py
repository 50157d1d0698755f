"""Models of incidents, targets, metrics and maintenance."""

from __future__ import annotations

from cachet_dagster.source.tables import INCIDENT_STATUS, SCHEDULE_STATUS, Column, Table

from .columns import SCOPE, at, date, flag, integer, number, status, text

FACTS = (
    Table(
        "incident_facts",
        ("incident_id",),
        (
            integer("incident_id", "The incident."),
            text("name", "Title, as it was written: a text from outside."),
            Column("status", "bigint", "Status now.", INCIDENT_STATUS),
            flag("is_public", "Whether everyone sees it: visible and published."),
            flag("is_open", "Whether it is open as of now."),
            at("starts_at", "When it began"),
            at("ends_at", "When it was finally fixed; null where it is open or nothing tells"),
            date("month", "Month in which it began, in the page's time zone."),
            integer("spans", "How often it was open: more than 1 where it was reopened."),
            number("open_seconds", "Seconds that it was open, gaps between fixes left out."),
            number("seconds_to_publish", "From its start to when it was created here."),
            number("seconds_to_first_response", "From when it was created to its first update."),
            number("seconds_to_identified", "From its start to the first update that says identified."),
            number("seconds_to_watching", "From its start to the first update that says watching."),
            number("seconds_to_fixed", "From its start to the final fix; null where that is not known."),
            integer("updates", "Updates."),
            integer("components", "Components that it is linked to."),
            status("worst_status", "The worst impact that it names; null where it names none"),
            text("end_evidence", "How the end is known: observed, reported, inferred or assumed."),
            text(
                "flags",
                "What was put right or is doubtful, as in `incident_spans`, and no_components, deleted.",
            ),
        ),
        "How long each incident took, measured by its own times.",
    ),
    Table(
        "incident_stats_monthly",
        ("period", "measure"),
        (
            text("period", "The month (2026-10) in which the incidents began, or all."),
            date("month", "Its first day; null for all."),
            text(
                "measure",
                "time_to_publish, time_to_first_response, time_to_identified, time_to_watching, time_to_fixed, "
                "time_between_failures (from merged outages) or time_to_recovery (of merged outages).",
            ),
            integer("incidents", "Incidents that began in the period."),
            integer("open_incidents", "Of them, open as of now; in no figure beside."),
            integer("n", "Values that the figures are made of."),
            number("median_seconds", "Median: read this first."),
            number("p90_seconds", "90th percentile."),
            number("mean_seconds", "Mean; a few long incidents make it mislead."),
        ),
        "Statistics of incidents by the month in which they began.",
    ),
    Table(
        "slo_status",
        ("slo",),
        (
            text("slo", "Which objective: its scope, id, window and policy in one word."),
            text("scope", "component, group or page; the latter two by the mean."),
            integer("scope_id", "Id of the component or group; 0 for the page."),
            text("scope_name", "Its name, as the page has it now."),
            text("policy", "The policy by which downtime is weighed."),
            integer("window_days", "Days of the rolling window."),
            at("starts_at", "When the window begins"),
            at("ends_at", "When it ends: the as-of time"),
            number("target", "Promised uptime, 0 to 1."),
            number("uptime", "Uptime in the window."),
            number("uptime_lower", "Its lower bound."),
            number("uptime_upper", "Its upper bound."),
            number("measured_seconds", "Seconds measured."),
            number("budget_seconds", "Downtime that the target allows: (1 − target) × measured seconds."),
            number("spent_seconds", "Downtime, weighed by the policy."),
            number("left_seconds", "Budget that is left; negative where the promise is broken."),
            number("burn_rate", "Spent ÷ budget: 1 spends it exactly; null for a target of 1."),
            flag("is_met", "Whether uptime is at least the target; null where nothing was measured."),
        ),
        "Objectives: target, error budget, what is spent and left.",
    ),
    Table(
        "slo_incidents",
        ("slo", "incident_id"),
        (
            text("slo", "The objective, of `slo_status`."),
            integer("incident_id", "The incident."),
            number("down_seconds", "Downtime of the incident in the window, as if it had been alone."),
            number("budget_share", "Its share of the budget; from 0.2 on a postmortem is due (Google)."),
        ),
        "What each incident cost each objective. Incidents that overlap each count in full.",
    ),
    Table(
        "metric_rollups",
        ("metric_id", "grain", "starts_at"),
        (
            integer("metric_id", "The metric."),
            text("grain", "hour, day or month, of the page's time zone."),
            at("starts_at", "When the period begins"),
            integer("points", "Points."),
            integer("reports", "Reports: a repeat within the metric's threshold raises a point's counter."),
            number(
                "mean",
                "Mean weighed by counter. Biased: a repeat's own value is dropped by Cachet for that of the first.",
            ),
            number("min", "Lowest value."),
            number("max", "Highest value."),
            number("p50", "Median of the points, each once."),
            number("p95", "95th percentile of the points, each once."),
        ),
        "Metrics by hour, day and month.",
    ),
    Table(
        "maintenance_facts",
        ("schedule_id",),
        (
            integer("schedule_id", "The schedule."),
            text("name", "Title, as it was written: a text from outside."),
            Column("status", "bigint", "Status now.", SCHEDULE_STATUS),
            at("starts_at", "When it begins"),
            at(
                "ends_at", "When it ended; where that is not known, the cap of the settings or the as-of time"
            ),
            flag("is_capped", "Whether it has no end and was cut at the cap."),
            flag("is_running", "Whether the page shows it as running as of now."),
            number("seconds", "Seconds from start to end, as far as they have passed."),
            number(
                "announced_seconds",
                "From its publication or creation to its start: how long before it was told.",
            ),
            integer("updates", "Updates."),
            integer("components", "Components that it concerns."),
            text(
                "component_statuses",
                "The status that it announces for each of them, in the order of the codes; null for none. Figures "
                "count its window as maintenance whatever it says.",
            ),
            flag("has_odd_status", "Whether one of these is not 6, under maintenance."),
            integer("incidents", "Incidents of the same components that were open meanwhile."),
        ),
        "Scheduled maintenance: when, how long, how long before it was announced.",
    ),
    Table(
        "hygiene",
        ("rule", "row_kind", "row_id"),
        (
            text(
                "rule",
                "stale_incident, maintenance_without_end, down_without_incident, severity_unknown, "
                "end_not_told, times_put_right, odd_maintenance_status or status_disagrees.",
            ),
            text("row_kind", "incident, schedule or component."),
            integer("row_id", "Its id."),
            at("since", "Since when, where that is known"),
            text("why", "What is odd, in a sentence of codes and ids only."),
        ),
        "What on the page makes figures doubtful, and could be put right there.",
    ),
    Table(
        "uptime_restatements",
        ("month", "scope", "scope_id", "aggregation", "policy"),
        (
            date("month", "First day of the month."),
            *SCOPE,
            at("published_at", "As of when the month's figure was first computed after its end"),
            number("uptime_published", "The figure then."),
            number("uptime_now", "The figure now."),
            number("difference", "Now − then."),
            text("why", "policy_changed, or the ids of incidents changed since then that touch the month."),
        ),
        "Months whose figure differs from the one first published, and why.",
    ),
)
