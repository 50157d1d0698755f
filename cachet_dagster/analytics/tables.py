"""The tables of history and of the models: their keys, columns, types and meaning, as one declaration.

As in `source/tables.py`, whose `Table` they are: the runner checks each model's SQL against it, and the
descriptions travel into the database and onto Dagster's asset pages. History lies in the page's dataset, beside
the tables that it remembers; models lie in a schema of their own.
"""

from __future__ import annotations

from cachet_dagster.source.tables import (
    COMPONENT_STATUS,
    INCIDENT_STATUS,
    SCHEDULE_STATUS,
    Column,
    DataType,
    Table,
)

EVIDENCE = ("observed", "reported", "inferred", "assumed")
"""How a stretch of time is known, best first: seen by a load; told by the page's own times; worked out from
bounds between which the change lies; taken for granted because nothing says otherwise."""


def _column(name: str, data_type: DataType, description: str) -> Column:
    return Column(name, data_type, description)


def _text(name: str, description: str) -> Column:
    return Column(name, "text", description)


def _int(name: str, description: str) -> Column:
    return Column(name, "bigint", description)


def _number(name: str, description: str) -> Column:
    return Column(name, "double", description)


def _flag(name: str, description: str) -> Column:
    return Column(name, "bool", description)


def _at(name: str, description: str) -> Column:
    return Column(name, "timestamp", f"{description} (UTC).")


def _date(name: str, description: str) -> Column:
    return Column(name, "date", description)


def _status(name: str, description: str) -> Column:
    known = ", ".join(f"{code} {label.lower()}" for code, label in COMPONENT_STATUS.items())
    return Column(name, "bigint", f"{description}: {known}.", COMPONENT_STATUS)


_OBSERVED = (
    _at("observed_at", "When a load first saw the row like this"),
    _at(
        "previous_observed_at",
        "When the load began that last saw it otherwise or absent: the change lies between; null at the first one",
    ),
    _flag(
        "is_deleted", "Whether it was shown before and is no more; the other columns are then as last seen."
    ),
)

_HISTORY = (
    Table(
        "component_history",
        ("component_id", "observed_at"),
        (
            _int("component_id", "The component."),
            *_OBSERVED,
            _text("name", "Name."),
            _status("status", "Status as set"),
            _flag("enabled", "Whether it is shown on the status page."),
            _int("component_group_id", "The group that it is in."),
            _at("created_at", "When the component was created"),
            _at("updated_at", "When Cachet says that the row was last changed"),
        ),
        "What components were: a row each time a load sees one changed, since Cachet keeps no history.",
    ),
    Table(
        "incident_component_history",
        ("incident_id", "component_id", "observed_at"),
        (
            _int("incident_id", "The incident."),
            _int("component_id", "The component."),
            *_OBSERVED,
            _status(
                "component_status", "Status of the component within the incident; null where none is given"
            ),
        ),
        "Which components an incident hit and how badly: a row each time a load sees a link changed.",
    ),
    Table(
        "incident_history",
        ("incident_id", "observed_at"),
        (
            _int("incident_id", "The incident."),
            *_OBSERVED,
            _text("name", "Title."),
            Column("status", "bigint", "Status.", INCIDENT_STATUS),
            _at("occurred_at", "When it began, where someone said so"),
            _int("visible", "Who sees it: 0 only with a token, 1 everyone."),
            _at("created_at", "When the incident was created"),
            _at("updated_at", "When Cachet says that the row was last changed"),
        ),
        "What incidents were: a row each time a load sees one changed.",
    ),
    Table(
        "schedule_history",
        ("schedule_id", "observed_at"),
        (
            _int("schedule_id", "The schedule."),
            *_OBSERVED,
            _text("name", "Title."),
            Column("status", "bigint", "Status.", SCHEDULE_STATUS),
            _at("scheduled_at", "When it begins"),
            _at("completed_at", "When it ended or is to end"),
            _at("created_at", "When the schedule was created"),
            _at("updated_at", "When Cachet says that the row was last changed"),
        ),
        "What schedules were: a row each time a load sees one changed.",
    ),
    Table(
        "endpoint_observations",
        ("endpoint", "observed_at"),
        (
            _text("endpoint", "The endpoint that was read."),
            _at("observed_at", "When reading ended, by the server's clock"),
            _at(
                "started_at", "When reading began, by the server's clock: no later change is sure to be seen"
            ),
            _text("rights", "As whom it was read: guest, unproven, token or full."),
            _text("outcome", "read, not offered, refused or failed. Only what was read tells anything."),
            _int("row_count", "Rows of the endpoint's first table; null where it was not read."),
        ),
        "Which endpoint was read when and as whom, so that what was not seen is told from what was not looked at.",
    ),
)

HISTORY: dict[str, Table] = {table.name: table for table in _HISTORY}

_SCOPE = (
    _text("scope", "What the figure is of: component, group or page."),
    _int("scope_id", "Id of the component or group; 0 for the page."),
    _text("scope_name", "Its name, as the page has it now."),
    _text(
        "aggregation",
        "own for a component; for groups and the page mean (of their components' time) or all_up (down as "
        "much as the worst component at each moment).",
    ),
    _text("policy", "The policy by which downtime is weighed, of `uptime_policies`."),
)
_FIGURES = (
    _number("uptime", "1 − down ÷ measured seconds; null where nothing was measured."),
    _number("uptime_lower", "Uptime if all that is uncertain or unknown was an outage."),
    _number("uptime_upper", "Uptime if all that is uncertain or unknown was none."),
    _number("coverage", "Share of the time since the component began that is measured, i.e. not unknown."),
    _number("measured_seconds", "Seconds in the denominator."),
    _number("down_seconds", "Seconds of downtime, weighed by the policy."),
    _number("maintenance_seconds", "Seconds under maintenance and nothing worse."),
    _number("unknown_seconds", "Seconds in which the status is unknown; not in the denominator."),
    _number("observed_seconds", "Seconds known from recorded history."),
    _number("reported_seconds", "Seconds known from the page's own times."),
    _number("inferred_seconds", "Seconds known within bounds only."),
    _number(
        "assumed_seconds", "Seconds of which nothing is said, taken for what the component was by default."
    ),
)

_MODELS = (
    Table(
        "incident_spans",
        ("incident_id", "span"),
        (
            _int("incident_id", "The incident."),
            _int("span", "1 for the first time that it was open, 2 where it was reopened, and so on."),
            _at("starts_at", "When it began"),
            _at("ends_at", "When it was fixed; the as-of time where it is open"),
            _at("ends_at_earliest", "The earliest time at which it can have ended"),
            _flag("is_open", "Whether it is open as of now."),
            _text("start_evidence", "How the start is known: reported, inferred or assumed."),
            _text("end_evidence", "How the end is known: observed, reported, inferred or assumed."),
            _text(
                "flags",
                "What was put right or is doubtful, separated by spaces: start_in_future, end_before_start, "
                "end_is_upper_bound, end_unknown; empty where nothing is.",
            ),
            _flag("is_public", "Whether everyone sees the incident: visible and published."),
        ),
        "When each incident was open. A reopened one has a row for each time; the gap counts as up, as shown.",
    ),
    Table(
        "incident_impacts",
        ("incident_id", "component_id", "starts_at"),
        (
            _int("incident_id", "The incident."),
            _int("component_id", "The component."),
            _at("starts_at", "When the impact begins"),
            _at("ends_at", "When it ends, exclusive"),
            _status("status", "What the incident made of the component; null where it does not say"),
            _status("status_best", "The best that it can have made; null for nothing"),
            _status("status_worst", "The worst that it can have made"),
            _flag("is_public", "Whether everyone sees the incident: visible and published."),
        ),
        "What each incident made of each of its components, and when.",
    ),
    Table(
        "component_lives",
        ("component_id",),
        (
            _int("component_id", "The component."),
            _text("component_name", "Its name, as last seen."),
            _int("component_group_id", "The group that it is in; null for none."),
            _text("component_group_name", "The group's name."),
            _at("starts_at", "When it was created, or its first impact if that is earlier"),
            _at("ends_at", "When it was seen to be gone; the as-of time where it is not"),
            _flag("is_listed", "Whether the API lists it now."),
            _flag("is_public", "Whether everyone sees it: listed, enabled, not in a hidden group."),
            _flag(
                "in_audience", "Whether the figures' audience sees it, so that it counts into group and page."
            ),
        ),
        "Each component that the page ever told of: since when it lives, and who sees it.",
    ),
    Table(
        "component_status_intervals",
        ("component_id", "starts_at"),
        (
            _int("component_id", "The component."),
            _at("starts_at", "When the stretch begins"),
            _at("ends_at", "When it ends, exclusive; the last one ends at the as-of time"),
            _status("status", "Status that figures go by"),
            _status("status_best", "The best that it can have been"),
            _status("status_worst", "The worst that it can have been"),
            _status("shown_status", "Status as the page showed it: maintenance without an end runs on"),
            _flag("has_unspecified_impact", "Whether an incident without an impact was open on it."),
            _flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
            _text("evidence", "How the status is known: observed, reported, inferred or assumed."),
        ),
        "The status of each component at each moment of its life: without gap or overlap, neighbours differ.",
    ),
    Table(
        "scope_status_intervals",
        ("scope", "scope_id", "starts_at"),
        (
            _text("scope", "group or page."),
            _int("scope_id", "Id of the group; 0 for the page."),
            _at("starts_at", "When the stretch begins"),
            _at("ends_at", "When it ends, exclusive"),
            _status("status", "The worst status of its components"),
            _status("status_best", "The best that this can have been"),
            _status("status_worst", "The worst that it can have been"),
            _flag("has_unspecified_impact", "Whether an incident without an impact was open on one of them."),
            _flag("in_maintenance", "Whether all of them would be under maintenance but for incidents."),
            _text("evidence", "The weakest evidence of a component's status."),
        ),
        "Each group and the page as the worst of their components at each moment.",
    ),
    Table(
        "uptime_policies",
        ("policy",),
        (
            _text("policy", "Name."),
            _text("description", "Who computes uptime so, and how."),
            _number("major_weight", "How much of a major outage is downtime, 0 to 1."),
            _number("partial_weight", "How much of a partial outage is."),
            _number("performance_weight", "How much of performance issues is."),
            _number("maintenance_weight", "How much of maintenance is."),
            _number("unspecified_weight", "How much of an incident without an impact is, at least."),
            _flag("excludes_maintenance", "Whether maintenance is left out of the denominator."),
            _flag("is_default", "Whether it is the one meant where none is named."),
            _flag("is_own", "Whether the row is a user's own, which builds keep."),
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
            _text("scope", "component; group or page as the worst of their components at each moment."),
            _int("scope_id", "Id of the component or group; 0 for the page."),
            _date("day", "The day, in the page's time zone."),
            _status("status", "Status that figures go by"),
            _status("status_best", "The best that it can have been"),
            _status("status_worst", "The worst that it can have been"),
            _flag("has_unspecified_impact", "Whether an incident without an impact was open on it."),
            _flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
            _text("evidence", "How the status is known."),
            _number("seconds", "Seconds of the day."),
        ),
        "Seconds of each day in each status, before any policy: days sum to months exactly.",
    ),
    Table(
        "policy_weights",
        ("policy", "status", "status_best", "status_worst", "has_unspecified_impact", "in_maintenance"),
        (
            _text("policy", "The policy."),
            _status("status", "Status that figures go by"),
            _status("status_best", "The best that it can have been"),
            _status("status_worst", "The worst that it can have been"),
            _flag("has_unspecified_impact", "Whether an incident without an impact was open."),
            _flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
            _number("measured", "1 where such time is in the denominator, else 0."),
            _number("weight", "How much of it is downtime."),
            _number("measured_best", "As `measured`, at best."),
            _number("weight_best", "As `weight`, at best."),
            _number("measured_worst", "As `measured`, at worst."),
            _number("weight_worst", "As `weight`, at worst."),
        ),
        "What each policy makes of each state that occurs.",
    ),
    Table(
        "component_uptime_daily",
        ("component_id", "day", "policy"),
        (
            _int("component_id", "The component."),
            _date("day", "The day, in the page's time zone: 23 or 25 hours where the clock changes."),
            _text("policy", "The policy by which downtime is weighed, of `uptime_policies`."),
            *_FIGURES,
            _status("worst_status", "The worst status of the day"),
        ),
        "Uptime of each component on each day under each policy. A view: it costs what is asked of it.",
    ),
    Table(
        "uptime_monthly",
        ("month", "scope", "scope_id", "aggregation", "policy"),
        (_date("month", "First day of the month, in the page's time zone."), *_SCOPE, *_FIGURES),
        "Uptime of each calendar month: components, groups, the page.",
    ),
    Table(
        "uptime_rolling",
        ("window_days", "scope", "scope_id", "aggregation", "policy"),
        (
            _int(
                "window_days", "7, 28, 30, 90 or 365 days of the page's time zone, today so far among them."
            ),
            _at("starts_at", "When the window begins"),
            _at("ends_at", "When it ends: the as-of time"),
            *_SCOPE,
            *_FIGURES,
        ),
        "Uptime of the last days as of now: components, groups, the page.",
    ),
    Table(
        "incident_facts",
        ("incident_id",),
        (
            _int("incident_id", "The incident."),
            _text("name", "Title, as it was written: a text from outside."),
            Column("status", "bigint", "Status now.", INCIDENT_STATUS),
            _flag("is_public", "Whether everyone sees it: visible and published."),
            _flag("is_open", "Whether it is open as of now."),
            _at("starts_at", "When it began"),
            _at("ends_at", "When it was finally fixed; null where it is open or nothing tells"),
            _date("month", "Month in which it began, in the page's time zone."),
            _int("spans", "How often it was open: more than 1 where it was reopened."),
            _number("open_seconds", "Seconds that it was open, gaps between fixes left out."),
            _number("seconds_to_publish", "From its start to when it was created here."),
            _number("seconds_to_first_response", "From when it was created to its first update."),
            _number("seconds_to_identified", "From its start to the first update that says identified."),
            _number("seconds_to_watching", "From its start to the first update that says watching."),
            _number("seconds_to_fixed", "From its start to the final fix; null where that is not known."),
            _int("updates", "Updates."),
            _int("components", "Components that it is linked to."),
            _status("worst_status", "The worst impact that it names; null where it names none"),
            _text("end_evidence", "How the end is known: observed, reported, inferred or assumed."),
            _text(
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
            _text("period", "The month (2026-10) in which the incidents began, or all."),
            _date("month", "Its first day; null for all."),
            _text(
                "measure",
                "time_to_publish, time_to_first_response, time_to_identified, time_to_watching, time_to_fixed, "
                "time_between_failures (from merged outages) or time_to_recovery (of merged outages).",
            ),
            _int("incidents", "Incidents that began in the period."),
            _int("open_incidents", "Of them, open as of now; in no figure beside."),
            _int("n", "Values that the figures are made of."),
            _number("median_seconds", "Median: read this first."),
            _number("p90_seconds", "90th percentile."),
            _number("mean_seconds", "Mean; a few long incidents make it mislead."),
        ),
        "Statistics of incidents by the month in which they began.",
    ),
    Table(
        "slo_status",
        ("slo",),
        (
            _text("slo", "Which objective: its scope, id, window and policy in one word."),
            _text("scope", "component, group or page; the latter two by the mean."),
            _int("scope_id", "Id of the component or group; 0 for the page."),
            _text("scope_name", "Its name, as the page has it now."),
            _text("policy", "The policy by which downtime is weighed."),
            _int("window_days", "Days of the rolling window."),
            _at("starts_at", "When the window begins"),
            _at("ends_at", "When it ends: the as-of time"),
            _number("target", "Promised uptime, 0 to 1."),
            _number("uptime", "Uptime in the window."),
            _number("uptime_lower", "Its lower bound."),
            _number("uptime_upper", "Its upper bound."),
            _number("measured_seconds", "Seconds measured."),
            _number("budget_seconds", "Downtime that the target allows: (1 − target) × measured seconds."),
            _number("spent_seconds", "Downtime, weighed by the policy."),
            _number("left_seconds", "Budget that is left; negative where the promise is broken."),
            _number("burn_rate", "Spent ÷ budget: 1 spends it exactly; null for a target of 1."),
            _flag("is_met", "Whether uptime is at least the target; null where nothing was measured."),
        ),
        "Objectives: target, error budget, what is spent and left.",
    ),
    Table(
        "slo_incidents",
        ("slo", "incident_id"),
        (
            _text("slo", "The objective, of `slo_status`."),
            _int("incident_id", "The incident."),
            _number("down_seconds", "Downtime of the incident in the window, as if it had been alone."),
            _number("budget_share", "Its share of the budget; from 0.2 on a postmortem is due (Google)."),
        ),
        "What each incident cost each objective. Incidents that overlap each count in full.",
    ),
    Table(
        "metric_rollups",
        ("metric_id", "grain", "starts_at"),
        (
            _int("metric_id", "The metric."),
            _text("grain", "hour, day or month, of the page's time zone."),
            _at("starts_at", "When the period begins"),
            _int("points", "Points."),
            _int("reports", "Reports: a repeat within the metric's threshold raises a point's counter."),
            _number(
                "mean",
                "Mean weighed by counter. Biased: a repeat's own value is dropped by Cachet for that of the first.",
            ),
            _number("min", "Lowest value."),
            _number("max", "Highest value."),
            _number("p50", "Median of the points, each once."),
            _number("p95", "95th percentile of the points, each once."),
        ),
        "Metrics by hour, day and month.",
    ),
    Table(
        "maintenance_facts",
        ("schedule_id",),
        (
            _int("schedule_id", "The schedule."),
            _text("name", "Title, as it was written: a text from outside."),
            Column("status", "bigint", "Status now.", SCHEDULE_STATUS),
            _at("starts_at", "When it begins"),
            _at(
                "ends_at", "When it ended; where that is not known, the cap of the settings or the as-of time"
            ),
            _flag("is_capped", "Whether it has no end and was cut at the cap."),
            _flag("is_running", "Whether the page shows it as running as of now."),
            _number("seconds", "Seconds from start to end, as far as they have passed."),
            _number(
                "announced_seconds",
                "From its publication or creation to its start: how long before it was told.",
            ),
            _int("updates", "Updates."),
            _int("components", "Components that it concerns."),
            _int("incidents", "Incidents of the same components that were open meanwhile."),
        ),
        "Scheduled maintenance: when, how long, how long before it was announced.",
    ),
    Table(
        "hygiene",
        ("rule", "row_kind", "row_id"),
        (
            _text(
                "rule",
                "stale_incident, maintenance_without_end, down_without_incident, severity_unknown, "
                "end_not_told, times_put_right or status_disagrees.",
            ),
            _text("row_kind", "incident, schedule or component."),
            _int("row_id", "Its id."),
            _at("since", "Since when, where that is known"),
            _text("why", "What is odd, in a sentence of codes and ids only."),
        ),
        "What on the page makes figures doubtful, and could be put right there.",
    ),
    Table(
        "uptime_restatements",
        ("month", "scope", "scope_id", "aggregation", "policy"),
        (
            _date("month", "First day of the month."),
            *_SCOPE,
            _at("published_at", "As of when the month's figure was first computed after its end"),
            _number("uptime_published", "The figure then."),
            _number("uptime_now", "The figure now."),
            _number("difference", "Now − then."),
            _text("why", "policy_changed, or the ids of incidents changed since then that touch the month."),
        ),
        "Months whose figure differs from the one first published, and why.",
    ),
)

_SEEDS = (
    Table(
        "build_settings",
        ("as_of",),
        (
            _at("as_of", "The moment up to which the models tell"),
            _text("time_zone", "IANA name of the zone of days and months."),
            _text("audience", "public, or all: hidden incidents and components count as well."),
            _int("cachet_version", "Version of the API that the page was read by: 3 or 2."),
            _int(
                "maintenance_cap_seconds",
                "After how many seconds maintenance without an end is taken to be over.",
            ),
            _int("stale_seconds", "Without an update for so many seconds an open incident is stale."),
        ),
        "The settings that the models were built with: one row.",
    ),
    Table(
        "component_severities",
        ("status",),
        (
            _status("status", "Status"),
            _text("label", "In words."),
            _int("severity", "1 operational to 6 major outage, in Cachet's order."),
            _int("severity_best", "The best that such a status can stand for."),
            _int("severity_worst", "The worst."),
            _number(
                "heavy",
                "10¹⁰, 10⁵ or 1 for severities 6, 5 and 4, else 0: a sum of them tells the worst of up to 99,999 of "
                "each that hold at once, exactly.",
            ),
            _number("light", "The same for severities 3, 2 and 1."),
        ),
        "Cachet's order of component statuses.",
    ),
    Table(
        "calendar_days",
        ("day",),
        (
            _date("day", "The day, in the page's time zone."),
            _date("month", "First day of its month."),
            _at("starts_at", "When it begins"),
            _at("ends_at", "When it ends, exclusive; it has 23 or 25 hours where the clock changes"),
        ),
        "Days from the first thing known to the as-of time.",
    ),
    Table(
        "calendar_months",
        ("month",),
        (
            _date("month", "First day of the month, in the page's time zone."),
            _at("starts_at", "When it begins"),
            _at("ends_at", "When it ends, exclusive"),
        ),
        "Months from the first thing known to the as-of time.",
    ),
    Table(
        "calendar_windows",
        ("window_days",),
        (
            _int("window_days", "Days of the window."),
            _date("first_day", "Its first day, in the page's time zone."),
            _date("last_day", "Its last day: today."),
            _at("starts_at", "When it begins"),
            _at("ends_at", "When it ends: the as-of time"),
        ),
        "Rolling windows as of now.",
    ),
    Table(
        "calendar_quarters",
        ("quarter",),
        (
            _int("quarter", "Quarter of an hour: seconds since 1970 (UTC) divided by 900."),
            _at("hour_starts_at", "When the local hour begins that it lies in"),
            _at("day_starts_at", "When the local day begins"),
            _at("month_starts_at", "When the local month begins"),
        ),
        "Which local hour, day and month each quarter of an hour with metric points lies in.",
    ),
    Table(
        "slo_targets",
        ("scope", "scope_id", "policy", "window_days"),
        (
            _text("scope", "component, group or page."),
            _int("scope_id", "Id of the component or group; 0 for the page; null for each component."),
            _text("policy", "The policy by which downtime is weighed."),
            _int("window_days", "Days of the rolling window."),
            _number("target", "Promised uptime, 0 to 1."),
        ),
        "Objectives, from the settings.",
    ),
)

SEEDS: dict[str, Table] = {table.name: table for table in _SEEDS}
"""Small tables that Python writes before the models are built: settings, calendars, targets."""

_SWEPT = (
    _at("starts_at", "When the stretch begins"),
    _at("ends_at", "When it ends, exclusive"),
    _int("status", "Severity that figures go by, 1 to 6."),
    _int("best", "The best that it can have been."),
    _int("worst", "The worst that it can have been."),
    _flag("has_unspecified_impact", "Whether an incident without an impact was open on it."),
    _flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
    _text("evidence", "How the status is known: observed, reported, inferred or assumed."),
)
_STATE = (
    _status("status", "Status that figures go by"),
    _status("status_best", "The best that it can have been"),
    _status("status_worst", "The worst that it can have been"),
)

_STEPS = (
    (
        "component_status_intervals",
        Table(
            "component_sweep",
            ("component_id", "starts_at"),
            (
                _int("component_id", "The component."),
                _int("shown", "Severity as the page showed it."),
                *_SWEPT,
            ),
            "What holds of each component from one event to the next, as severities.",
        ),
    ),
    (
        "component_status_intervals",
        Table(
            "scope_sweep",
            ("scope", "scope_id", "starts_at"),
            (_text("scope", "group or page."), _int("scope_id", "Id of the group; 0 for the page."), *_SWEPT),
            "What holds of each group and of the page from one event to the next, as severities.",
        ),
    ),
    (
        "component_status_intervals",
        Table(
            "status_runs",
            ("scope", "scope_id", "starts_at"),
            (
                *_SCOPE[:2],
                *_SWEPT[:2],
                *_STATE,
                _status("shown_status", "Status as the page showed it"),
                *_SWEPT[5:],
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
                _text("grain", "day, month or window."),
                _date("period", "Its first day, in the page's time zone."),
                *_SCOPE[:2],
                *_STATE,
                *_SWEPT[5:],
                _number("seconds", "Seconds of the period."),
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
                _text("grain", "day, month or window."),
                _date("period", "Its first day, in the page's time zone."),
                *_SCOPE,
                *_FIGURES,
                _status("worst_status", "The worst status of the period"),
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
                _int("component_id", "The component."),
                _at("since", "Since when it is what the first rule makes it"),
                _status("page_status", "Status that the page shows now"),
                _status("worst_of_all", "What the rule of Cachet since 2026-07-26 makes it"),
                _status("newest_incident", "What the rule before makes it: the newest open incident wins"),
            ),
            "What the page shows of each component now, and what either rule of Cachet's makes it.",
        ),
    ),
)

STEPS: dict[str, Table] = {table.name: table for _, table in _STEPS}
"""What several models are made from, and nobody else: built in between, no assets, no part of what is promised."""

UPTIME_PUBLISHED = Table(
    "uptime_published",
    ("month", "scope", "scope_id", "aggregation", "policy"),
    (
        _date("month", "First day of the month."),
        *(column for column in _SCOPE if column.name != "scope_name"),
        _number("uptime", "The figure as first computed after the month's end."),
        _at("published_at", "The as-of time of that"),
        _text("weights", "The policy's weights then."),
    ),
    "Each month's figures as first computed after its end. Kept, for `uptime_restatements`.",
)

MODELS: dict[str, Table] = {table.name: table for table in _MODELS}
"""Models by name; the SQL of each lies in `models/<name>.sql`, as that of the steps. Views are those of `VIEWS`."""

BUILT: dict[str, Table] = {
    name: table
    for model in _MODELS
    for name, table in (
        *((step.name, step) for before, step in _STEPS if before == model.name),
        (model.name, model),
    )
}
"""Models and the steps between them, each after what it is made from."""

VIEWS = ("status_runs", "status_seconds", "uptime_figures", "component_uptime_daily", "shown_statuses")
