"""What a Cachet 2 says in words, in English and German, as recorded.

German texts that no recording shows are in English here.
"""

from __future__ import annotations

COMPONENT_STATUS = {
    "en": ("Unknown", "Operational", "Performance Issues", "Partial Outage", "Major Outage"),
    "de": ("Unknown", "Funktionsfähig", "Leistungsprobleme", "Teilweiser Ausfall", "Schwerer Ausfall"),
}
INCIDENT_STATUS = {
    "en": ("cachet.incidents.status.0", "Investigating", "Identified", "Watching", "Fixed"),
    "de": ("Geplant", "Untersuchungen laufen", "Identifiziert", "Watching", "Behoben"),
}
INCIDENT_ICON = (
    *("icon ion-android-calendar", "icon ion-flag oranges", "icon ion-alert yellows"),
    *("icon ion-eye blues", "icon ion-checkmark greens"),
)
SCHEDULE_STATUS = ("Upcoming", "In Progress", "Complete")
DEFAULT_VIEW = {
    "en": ("Last Hour", "Last 12 Hours", "Week", "Month"),
    "de": ("Letzte Stunde", "Letzte 12 Stunden", "Wöchentlich", "Monatlich"),
}
SYSTEM = {
    "success": ("System operational", "All systems are operational"),
    "info": ("The system is experiencing issues", "Some systems are experiencing issues"),
    "danger": ("The system is experiencing a major outage", "Some systems are experiencing a major outage"),
}
SYSTEM_DE = {"Some systems are experiencing issues": " Mehrere Systeme haben momentan Probleme"}
DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
}
MONTHS = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July", "August"),
        *("September", "October", "November", "December"),
    ),
    "de": (
        *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August"),
        *("September", "Oktober", "November", "Dezember"),
    ),
}
ERRORS = {
    401: ("Unauthorized", "Authentication is required and has failed or has not yet been provided."),
    404: (
        "Not Found",
        "The requested resource could not be found but may be available again in the future.",
    ),
    405: (
        "Method Not Allowed",
        "A request was made of a resource using a request method not supported by that resource.",
    ),
    406: (
        "Not Acceptable",
        "The requested resource is only capable of generating content not acceptable.",
    ),
    429: ("Too Many Requests", "Rate limit exceeded."),
    500: ("Internal Server Error", "An error has occurred and this resource cannot be displayed."),
    501: ("Not Implemented", "The embedded Cachet 2 is read-only."),
    503: (
        "Service Unavailable",
        "The server is currently unavailable. It may be overloaded or down for maintenance.",
    ),
}
