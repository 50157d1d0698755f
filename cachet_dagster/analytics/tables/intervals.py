"""Models of when incidents were open and what each component was: what all figures are made from."""

from __future__ import annotations

from cachet_dagster.source.tables import Table

from .columns import at, flag, integer, status, text

INTERVALS = (
    Table(
        "incident_spans",
        ("incident_id", "span"),
        (
            integer("incident_id", "The incident."),
            integer("span", "1 for the first time that it was open, 2 where it was reopened, and so on."),
            at("starts_at", "When it began"),
            at("ends_at", "When it was fixed; the as-of time where it is open"),
            at("ends_at_earliest", "The earliest time at which it can have ended"),
            flag("is_open", "Whether it is open as of now."),
            text("start_evidence", "How the start is known: reported, inferred or assumed."),
            text("end_evidence", "How the end is known: observed, reported, inferred or assumed."),
            text(
                "flags",
                "What was put right or is doubtful, separated by spaces: start_in_future, end_before_start, "
                "end_is_upper_bound, end_unknown, repeated_hour (the clock showed it twice); empty where nothing is.",
            ),
            flag("is_public", "Whether everyone sees the incident: visible and published."),
        ),
        "When each incident was open. A reopened one has a row for each time; the gap counts as up, as shown.",
    ),
    Table(
        "incident_impacts",
        ("incident_id", "component_id", "starts_at"),
        (
            integer("incident_id", "The incident."),
            integer("component_id", "The component."),
            at("starts_at", "When the impact begins"),
            at("ends_at", "When it ends, exclusive"),
            status("status", "What the incident made of the component; null where it does not say"),
            status("status_best", "The best that it can have made; null for nothing"),
            status("status_worst", "The worst that it can have made"),
            flag("is_public", "Whether everyone sees the incident: visible and published."),
        ),
        "What each incident made of each of its components, and when.",
    ),
    Table(
        "component_lives",
        ("component_id",),
        (
            integer("component_id", "The component."),
            text(
                "component_name",
                "Its name, as last seen; a number where the figures' audience does not see it.",
            ),
            integer("component_group_id", "The group that it is in; null for none."),
            text("component_group_name", "The group's name, where the figures' audience sees it."),
            at(
                "starts_at",
                "When it was created, or its first impact if that is earlier; when it became public, for the public",
            ),
            at("ends_at", "When it was seen to be gone; the as-of time where it is not"),
            flag("is_listed", "Whether the API lists it now."),
            flag("is_public", "Whether everyone sees it: listed, enabled, not in a hidden group."),
            flag(
                "in_audience", "Whether the figures' audience sees it, so that it counts into group and page."
            ),
        ),
        "Each component that the page ever told of: since when it lives, and who sees it.",
    ),
    Table(
        "component_status_intervals",
        ("component_id", "starts_at"),
        (
            integer("component_id", "The component."),
            at("starts_at", "When the stretch begins"),
            at("ends_at", "When it ends, exclusive; the last one ends at the as-of time"),
            status("status", "Status that figures go by"),
            status("status_best", "The best that it can have been"),
            status("status_worst", "The worst that it can have been"),
            status("shown_status", "Status as the page showed it: maintenance without an end runs on"),
            flag("has_unspecified_impact", "Whether an incident without an impact was open on it."),
            flag("in_maintenance", "Whether it would be under maintenance but for incidents."),
            text("evidence", "How the status is known: observed, reported, inferred or assumed."),
        ),
        "The status of each component at each moment of its life: without gap or overlap, neighbours differ.",
    ),
    Table(
        "scope_status_intervals",
        ("scope", "scope_id", "starts_at"),
        (
            text("scope", "group or page."),
            integer("scope_id", "Id of the group; 0 for the page."),
            at("starts_at", "When the stretch begins"),
            at("ends_at", "When it ends, exclusive"),
            status("status", "The worst status of its components"),
            status("status_best", "The best that this can have been"),
            status("status_worst", "The worst that it can have been"),
            flag("has_unspecified_impact", "Whether an incident without an impact was open on one of them."),
            flag("in_maintenance", "Whether all of them would be under maintenance but for incidents."),
            text("evidence", "The weakest evidence of a component's status."),
        ),
        "Each group and the page as the worst of their components at each moment.",
    ),
)
