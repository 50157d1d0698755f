"""The tables that a load fills: their keys, columns, types and meaning, as one declaration.

Types are declared here and never guessed from the first row, so that an empty page or a null in the
first incident cannot change a column's type. An attribute that is not declared still arrives, as a
column of its own. Descriptions travel with the columns into dlt's schema and Dagster's asset pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

DataType = Literal["bigint", "text", "bool", "double", "timestamp", "date", "json"]

INCIDENT_STATUS = {0: "Unknown", 1: "Investigating", 2: "Identified", 3: "Watching", 4: "Fixed"}
COMPONENT_STATUS = {
    1: "Operational",
    2: "Performance issues",
    3: "Partial outage",
    4: "Major outage",
    5: "Unknown",
    6: "Under maintenance",
}
SCHEDULE_STATUS = {0: "Upcoming", 1: "In progress", 2: "Complete"}
CALC_TYPE = {0: "Sum", 1: "Average"}


@dataclass(frozen=True)
class Column:
    """One column: its dlt data type, what it means, and the codes that it may hold, where it is a code."""

    name: str
    data_type: DataType
    description: str
    codes: Mapping[int, str] | None = None


@dataclass(frozen=True)
class Reference:
    """`column` names a row of `table` by its id."""

    column: str
    table: str


@dataclass(frozen=True)
class Table:
    """One table of the dataset: `key` is unique and never null; `references` name parents by id."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    description: str
    references: tuple[Reference, ...] = ()

    def hints(self) -> dict[str, Any]:
        """Return the columns as dlt column hints, keyed by name, in declared order."""
        return {
            column.name: {
                "name": column.name,
                "data_type": column.data_type,
                "description": column.description,
                "nullable": column.name not in self.key,
                **({"primary_key": True} if column.name in self.key else {}),
            }
            for column in self.columns
        }


def _id(of: str) -> Column:
    return Column("id", "bigint", f"Cachet's id of the {of}.")


def _code(name: str, meaning: str, codes: Mapping[int, str]) -> tuple[Column, Column]:
    known = ", ".join(f"{code} {label.lower()}" for code, label in codes.items())
    return (
        Column(name, "bigint", f"{meaning}: {known}.", codes),
        Column(f"{name}_label", "text", f"{meaning}, in words."),
    )


def _at(name: str, meaning: str) -> Column:
    return Column(name, "timestamp", f"{meaning} (UTC).")


def _source(name: str, meaning: str, data_type: DataType = "bigint") -> Column:
    return Column(f"{name}_source", data_type, f"{meaning} as Cachet 2 gives it; null on Cachet 3.")


_TIMES = (_at("created_at", "When the row was created"), _at("updated_at", "When the row was last changed"))
_META = Column("meta", "json", "Cachet's key-value metadata, as one JSON object.")
_STATUS_SOURCE = _source("status", "The status's code")
_PERMALINK = Column("permalink", "text", "Address on the status page; null on Cachet 3.")

_INCIDENT_COLUMNS = (
    _id("incident"),
    Column("guid", "text", "Cachet's globally unique id."),
    Column("name", "text", "Title."),
    Column("message", "text", "First message, in Markdown as it was written."),
    Column("visible", "bigint", "Who sees it: 0 only with a token, 1 everyone."),
    Column("stickied", "bool", "Whether it is kept on top of the status page."),
    Column("notifications", "bigint", "Whether subscribers were notified: 1 yes, 0 no."),
    *_code("status", "Status; it follows the latest update", INCIDENT_STATUS),
    _at("occurred_at", "When it began, where someone said so"),
    _at("published_at", "When it becomes visible"),
    Column("user_id", "bigint", "Cachet's id of the user who reported it."),
    _META,
    *_TIMES,
    _STATUS_SOURCE,
    _PERMALINK,
    _at("scheduled_at", "When it begins, where it is a maintenance of Cachet 2.3; null on others"),
)
_COMPONENT_COLUMNS = (
    _id("component"),
    Column("name", "text", "Name."),
    Column("description", "text", "Description."),
    Column("link", "text", "Link to the component itself."),
    Column("order", "bigint", 'Position within its group. An SQL keyword: quote it ("order").'),
    *_code("status", "Status as set", COMPONENT_STATUS),
    *_code("latest_status", "Status as shown, unresolved incidents included", COMPONENT_STATUS),
    Column("enabled", "bool", "Whether it is shown on the status page."),
    Column("component_group_id", "bigint", "The group that it is in."),
    _META,
    *_TIMES,
    _STATUS_SOURCE,
    Column("tags", "json", "Names of its tags by slug, as one JSON object; null on Cachet 3."),
)


def _link(parent: str, *, statuses: bool) -> tuple[Column, ...]:
    return (
        Column(f"{parent}_id", "bigint", f"The {parent}."),
        Column("component_id", "bigint", "The component; not every linked component is listed by the API."),
        Column("component_name", "text", "The component's name, since it may be missing from `components`."),
        *(
            (
                *_code("component_status", f"Status of the component within the {parent}", COMPONENT_STATUS),
                _source("component_status", "The status's code"),
            )
            if statuses
            else ()
        ),
    )


_DECLARED = (
    Table(
        "incidents",
        ("id",),
        _INCIDENT_COLUMNS,
        "Incidents: what went wrong, since when, and how it stands.",
    ),
    Table(
        "incident_updates",
        ("id",),
        (
            _id("update"),
            Column("incident_id", "bigint", "The incident."),
            *_code("status", "Status that the update set", INCIDENT_STATUS),
            Column("message", "text", "What was said, in Markdown as it was written."),
            *_TIMES,
            _STATUS_SOURCE,
            _PERMALINK,
            Column("user_id", "bigint", "Cachet's id of the user who wrote it; null on Cachet 3."),
        ),
        "Updates of incidents, oldest first by id.",
        (Reference("incident_id", "incidents"),),
    ),
    Table(
        "incident_components",
        ("incident_id", "component_id"),
        _link("incident", statuses=True),
        "Which components an incident hit, and how badly. A null status is a real answer: none was given.",
        (Reference("incident_id", "incidents"), Reference("component_id", "components")),
    ),
    Table(
        "incidents_by_id",
        ("id",),
        _INCIDENT_COLUMNS,
        "Incidents as `incidents/{id}` answers, asked only where that can differ from the list.",
        (Reference("id", "incidents"),),
    ),
    Table(
        "components",
        ("id",),
        _COMPONENT_COLUMNS,
        "Components: the parts whose health the page shows, disabled ones too.",
        (Reference("component_group_id", "components_groups"),),
    ),
    Table(
        "components_by_id",
        ("id",),
        _COMPONENT_COLUMNS,
        "Components as `components/{id}` answers, which equals their list rows.",
        (Reference("id", "components"),),
    ),
    Table(
        "components_groups",
        ("id",),
        (
            _id("group"),
            Column("name", "text", "Name."),
            Column("order", "bigint", 'Position on the page. An SQL keyword: quote it ("order").'),
            Column("order_column", "text", "What its components are ordered by."),
            Column("order_direction", "text", "asc or desc."),
            Column(
                "collapsed",
                "bigint",
                "Whether it is shown folded: 0 no, 1 yes, 2 unless a component has trouble.",
            ),
            Column("visible", "bigint", "Who sees it: 0 only with a token, 1 everyone."),
            _META,
            *_TIMES,
        ),
        "Groups of components.",
    ),
    Table(
        "metrics",
        ("id",),
        (
            _id("metric"),
            Column("name", "text", "Name."),
            Column("suffix", "text", "Unit, as the page prints it."),
            Column("description", "text", "Description."),
            Column("default_value", "double", "Value where there is no point."),
            *_code("calc_type", "How points within an interval are combined", CALC_TYPE),
            Column("display_chart", "bool", "Whether the page shows its chart."),
            Column("places", "bigint", "Decimal places shown."),
            Column("default_view", "bigint", "Interval shown first."),
            Column("threshold", "bigint", "Minutes within which a further point counts into the latest one."),
            Column("order", "bigint", 'Position on the page. An SQL keyword: quote it ("order").'),
            Column("visible", "bigint", "Who sees it: 0 only with a token, 1 everyone."),
            *_TIMES,
        ),
        "Metrics: the series that the page charts. Each is a partition of `metric_points`.",
    ),
    Table(
        "metric_points",
        ("id",),
        (
            _id("point"),
            Column("metric_id", "bigint", "The metric."),
            Column("value", "double", "Value, in the metric's unit."),
            Column("counter", "bigint", "How often it was reported within the metric's threshold."),
            Column("calculated_value", "double", "value × counter."),
            _at(
                "created_at",
                "When it was measured; wrong by the server's offset on a Cachet 2.4 whose APP_TIMEZONE is not UTC",
            ),
            _at("updated_at", "When the row was last changed"),
        ),
        "Points of metrics, merged on id.",
        (Reference("metric_id", "metrics"),),
    ),
    Table(
        "schedules",
        ("id",),
        (
            _id("schedule"),
            Column("name", "text", "Title."),
            Column("message", "text", "Announcement, in Markdown as it was written."),
            *_code("status", "Status", SCHEDULE_STATUS),
            _at("scheduled_at", "When it begins"),
            _at("completed_at", "When it ended or is to end"),
            _at("published_at", "When it becomes visible"),
            _META,
            *_TIMES,
            _STATUS_SOURCE,
        ),
        "Scheduled maintenance.",
    ),
    Table(
        "schedule_updates",
        ("id",),
        (
            _id("update"),
            Column("schedule_id", "bigint", "The schedule."),
            Column("message", "text", "What was said, in Markdown as it was written."),
            *_TIMES,
        ),
        "Updates of schedules.",
        (Reference("schedule_id", "schedules"),),
    ),
    Table(
        "schedule_components",
        ("schedule_id", "component_id"),
        _link("schedule", statuses=True),
        "Which components a schedule concerns.",
        (Reference("schedule_id", "schedules"), Reference("component_id", "components")),
    ),
    Table(
        "subscribers",
        ("id",),
        (
            _id("subscriber"),
            Column("email", "text", "E-mail address: personal data. A setting hashes it or leaves it out."),
            Column(
                "global", "bool", 'Whether subscribed to everything. An SQL keyword: quote it ("global").'
            ),
            Column(
                "verified",
                "bool",
                "Whether the address was confirmed; null where a Cachet 2 gives its date without a time, which is "
                "then the same for a null.",
            ),
            _at(
                "verified_at",
                "When the address was confirmed; a Cachet 2 tells the day only, and none where its language or date "
                "format cannot be read",
            ),
            _META,
            *_TIMES,
            Column(
                "phone_number",
                "text",
                "Phone number: personal data, treated as `email` is; null on Cachet 3.",
            ),
        ),
        "Subscribers to the page. Needs a token that may see them.",
    ),
    Table(
        "subscriber_components",
        ("subscriber_id", "component_id"),
        _link("subscriber", statuses=False),
        "Which components a subscriber follows.",
        (Reference("subscriber_id", "subscribers"), Reference("component_id", "components")),
    ),
    Table(
        "incident_templates",
        ("id",),
        (
            _id("template"),
            Column("name", "text", "Name."),
            Column("slug", "text", "Name in addresses."),
            Column("template", "text", "Text with placeholders."),
            Column("engine", "text", "Template language: twig or blade."),
            *_TIMES,
        ),
        "Templates for incidents.",
    ),
    Table(
        "system_status",
        ("observed_at",),
        (
            Column("status", "text", "Worst status of the page at that time, in Cachet's word."),
            Column("message", "text", "The page's headline."),
            _at("observed_at", "When this answer was first seen"),
            _source("status", "The status's word", "text"),
        ),
        "The page's overall status: a row each time it differs from the one before, since Cachet keeps no history.",
    ),
    Table(
        "versions",
        ("observed_at",),
        (
            Column("version", "text", "Version that Cachet names."),
            Column("api_version", "bigint", "API that was read: 3 for Cachet 3, 2 for Cachet 2's API v1."),
            _at("observed_at", "When this answer was first seen"),
        ),
        "Cachet's version: a row each time it differs from the one before.",
    ),
    Table(
        "dashboards",
        ("id",),
        (
            Column("id", "bigint", "Id of the token's user."),
            Column("name", "text", "The user's name."),
            Column("email", "text", "The user's e-mail address: personal data."),
        ),
        "What `/me` returns: the token's user. Cachet 3 does not offer it.",
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _DECLARED}
