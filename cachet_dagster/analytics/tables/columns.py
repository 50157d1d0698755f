"""Columns by type, and those that several tables have."""

from __future__ import annotations

from cachet_dagster.source.tables import COMPONENT_STATUS, Column


def text(name: str, description: str) -> Column:
    """Return a column of a text."""
    return Column(name, "text", description)


def integer(name: str, description: str) -> Column:
    """Return a column of a whole number."""
    return Column(name, "bigint", description)


def number(name: str, description: str) -> Column:
    """Return a column of a floating point number."""
    return Column(name, "double", description)


def flag(name: str, description: str) -> Column:
    """Return a column of a truth value."""
    return Column(name, "bool", description)


def at(name: str, description: str) -> Column:
    """Return a column of an instant in UTC."""
    return Column(name, "timestamp", f"{description} (UTC).")


def date(name: str, description: str) -> Column:
    """Return a column of a local date."""
    return Column(name, "date", description)


def status(name: str, description: str) -> Column:
    """Return a column of a component status, with its codes."""
    known = ", ".join(f"{code} {label.lower()}" for code, label in COMPONENT_STATUS.items())
    return Column(name, "bigint", f"{description}: {known}.", COMPONENT_STATUS)


SCOPE = (
    text("scope", "What the figure is of: component, group or page."),
    integer("scope_id", "Id of the component or group; 0 for the page."),
    text("scope_name", "Its name, as the page has it now."),
    text(
        "aggregation",
        "own for a component; for groups and the page mean (of their components' time) or all_up (down as "
        "much as the worst component at each moment).",
    ),
    text("policy", "The policy by which downtime is weighed, of `uptime_policies`."),
)
FIGURES = (
    number("uptime", "1 − down ÷ measured seconds; null where nothing was measured."),
    number("uptime_lower", "Uptime if all that is uncertain or unknown was an outage."),
    number("uptime_upper", "Uptime if all that is uncertain or unknown was none."),
    number("coverage", "Share of the time since the component began that is measured, i.e. not unknown."),
    number("measured_seconds", "Seconds in the denominator."),
    number("down_seconds", "Seconds of downtime, weighed by the policy."),
    number("maintenance_seconds", "Seconds under maintenance and nothing worse."),
    number("unknown_seconds", "Seconds in which the status is unknown; not in the denominator."),
    number("observed_seconds", "Seconds known from recorded history."),
    number("reported_seconds", "Seconds known from the page's own times."),
    number("inferred_seconds", "Seconds known within bounds only."),
    number(
        "assumed_seconds", "Seconds of which nothing is said, taken for what the component was by default."
    ),
)


SWEPT = (
    at("starts_at", "When the stretch begins"),
    at("ends_at", "When it ends, exclusive"),
    integer("status", "Severity that figures go by, 1 to 6."),
    integer("best", "The best that it can have been."),
    integer("worst", "The worst that it can have been."),
    flag("has_unspecified_impact", "Whether an incident without an impact was open on it."),
    flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
    text("evidence", "How the status is known: observed, reported, inferred or assumed."),
)
STATE = (
    status("status", "Status that figures go by"),
    status("status_best", "The best that it can have been"),
    status("status_worst", "The worst that it can have been"),
)
