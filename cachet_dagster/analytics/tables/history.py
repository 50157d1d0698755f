"""The tables of history: what the rows of the page were, a row each time a load sees one changed."""

from __future__ import annotations

from cachet_dagster.source.tables import INCIDENT_STATUS, SCHEDULE_STATUS, Column, Table

from .columns import at, flag, integer, status, text

_OBSERVED = (
    at("observed_at", "When a load first saw the row like this"),
    at(
        "previous_observed_at",
        "When the load began that last saw it otherwise or absent: the change lies between; null at the first one",
    ),
    flag(
        "is_deleted", "Whether it was shown before and is no more; the other columns are then as last seen."
    ),
)

_SEEN_AS = text("visibility_seen_as", "As whom its visibility was last seen: guest, unproven, token or full.")

HISTORY_TABLES = (
    Table(
        "component_history",
        ("component_id", "observed_at"),
        (
            integer("component_id", "The component."),
            *_OBSERVED,
            text("name", "Name."),
            status("status", "Status as set"),
            flag("enabled", "Whether it is shown on the status page."),
            integer("component_group_id", "The group that it is in."),
            flag(
                "is_public",
                "Whether everyone sees it: enabled and in no hidden group. A guest's view never makes it true again; "
                "null where the groups were not read.",
            ),
            _SEEN_AS,
            at("created_at", "When the component was created"),
            at("updated_at", "When Cachet says that the row was last changed"),
            at(
                "unedited_until",
                "When the load began that last saw the `updated_at` of the row before: until then nothing was edited; "
                "null where loads did not compare it",
            ),
        ),
        "What components were: a row each time a load sees one changed, since Cachet keeps no history.",
    ),
    Table(
        "incident_component_history",
        ("incident_id", "component_id", "observed_at"),
        (
            integer("incident_id", "The incident."),
            integer("component_id", "The component."),
            *_OBSERVED,
            status(
                "component_status", "Status of the component within the incident; null where none is given"
            ),
        ),
        "Which components an incident hit and how badly: a row each time a load sees a link changed.",
    ),
    Table(
        "incident_history",
        ("incident_id", "observed_at"),
        (
            integer("incident_id", "The incident."),
            *_OBSERVED,
            text("name", "Title."),
            Column("status", "bigint", "Status.", INCIDENT_STATUS),
            at("occurred_at", "When it began, where someone said so"),
            integer(
                "visible", "Who sees it: 0 only with a token, 1 everyone. A guest's view never raises it."
            ),
            at("published_at", "When it becomes visible"),
            _SEEN_AS,
            at("created_at", "When the incident was created"),
            at("updated_at", "When Cachet says that the row was last changed"),
        ),
        "What incidents were: a row each time a load sees one changed.",
    ),
    Table(
        "schedule_history",
        ("schedule_id", "observed_at"),
        (
            integer("schedule_id", "The schedule."),
            *_OBSERVED,
            text("name", "Title."),
            Column("status", "bigint", "Status.", SCHEDULE_STATUS),
            at("scheduled_at", "When it begins"),
            at("completed_at", "When it ended or is to end"),
            at("created_at", "When the schedule was created"),
            at("updated_at", "When Cachet says that the row was last changed"),
        ),
        "What schedules were: a row each time a load sees one changed.",
    ),
    Table(
        "endpoint_observations",
        ("endpoint", "observed_at"),
        (
            text("endpoint", "The endpoint that was read."),
            at("observed_at", "When reading ended, by the server's clock"),
            at("started_at", "When reading began, by the server's clock: no later change is sure to be seen"),
            text("rights", "As whom it was read: guest, unproven, token or full."),
            text("outcome", "read, not offered, refused or failed. Only what was read tells anything."),
            integer("row_count", "Rows of the endpoint's first table; null where it was not read."),
        ),
        "Which endpoint was read when and as whom, so that what was not seen is told from what was not looked at.",
    ),
)
