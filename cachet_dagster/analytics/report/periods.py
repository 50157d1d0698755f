"""Which days a report is of: a month, a quarter, a year, days from one to another, or the last ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cachet_dagster.analytics import formats
from cachet_dagster.source.errors import SettingsError

from .figures import Figures

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_QUARTER = re.compile(r"(\d{4})-?[Qq]([1-4])")
_YEAR = re.compile(r"\d{4}")
_LAST = re.compile(r"last[ -](\d{1,4})[ -]days?")
_FORMS = "use YYYY-MM, YYYY-Q4, YYYY, YYYY-MM-DD..YYYY-MM-DD, last-30-days or this-month"


RUNNING_MONTH = "this-month"
"""The period of the month that is not over yet."""


@dataclass(frozen=True)
class Period:
    """Days of the page's time zone, as far as they have passed.

    Attributes:
        key: Its name in paths: `2026-10`, `2026-Q4`, `2026`, `2026-10-05..2026-11-20` or `last-30-days`.
        words: Its name in a sentence.
        first_day: Its first day.
        final_day: Its last day, which may be still to come.
        last_day: Its last day that has begun.
        begin: When it begins.
        end: When it ends; the as-of time, where that is earlier.
    """

    key: str
    words: str
    first_day: date
    final_day: date
    last_day: date
    begin: datetime
    end: datetime

    @property
    def is_over(self) -> bool:
        """Whether its last day has passed, or is meant to be as far as it has."""
        return self.last_day == self.final_day

    @property
    def name(self) -> str:
        """The period in words."""
        return self.words + ("" if self.is_over else " so far")

    @property
    def days(self) -> list[date]:
        """All days of it, those to come too."""
        return [self.first_day + timedelta(days=n) for n in range((self.final_day - self.first_day).days + 1)]


def parse_period(text: str, today: date) -> tuple[str, str, date, date]:
    """Return a period's name in paths, in words, its first and its last day.

    Args:
        text: Such as `2026-10`, `2026-Q4`, `2026`, `2026-10-05..2026-11-20` or `last-30-days`.
        today: The day that the last ones end with.

    Raises:
        SettingsError: It is none of these.
    """
    text = text.strip()
    if text == RUNNING_MONTH:
        text = f"{today:%Y-%m}"
    try:
        if found := _MONTH.fullmatch(text):
            first = date(int(found[1]), int(found[2]), 1)
            return text, formats.month(first), first, _before(next_month(first))
        if found := _QUARTER.fullmatch(text):
            first = date(int(found[1]), 3 * int(found[2]) - 2, 1)
            last = _before(next_month(first + timedelta(days=62)))
            return f"{found[1]}-Q{found[2]}", f"quarter {found[2]} of {found[1]}", first, last
        if _YEAR.fullmatch(text):
            return text, text, date(int(text), 1, 1), date(int(text), 12, 31)
        if (found := _LAST.fullmatch(text)) and int(found[1]):
            days = int(found[1])
            return f"last-{days}-days", f"the last {days} days", today - timedelta(days=days - 1), today
        first, last = map(date.fromisoformat, text.split(".."))
        if first <= last:
            return f"{first}..{last}", f"{formats.day(first)} to {formats.day(last)}", first, last
    except ValueError:
        pass
    raise SettingsError(f"{text!r} is not a month or another period", f"{_FORMS[0].upper()}{_FORMS[1:]}.")


def find_period(figures: Figures, text: str | None = None) -> Period:
    """Return a period; without a text the last month that is over, or the running one where there is none.

    Raises:
        SettingsError: It is no period, or the page has no record of it.
    """
    as_of = figures.as_of
    today = as_of.date()
    [known] = figures.rows("SELECT MIN(d.day) AS first, MAX(d.day) AS last FROM analytics.calendar_days AS d")
    if text is None:
        month = _before(today.replace(day=1))
        if known["first"] is None or month < known["first"]:
            month = today
        text = f"{month:%Y-%m}"
    key, words, first, final = parse_period(text, today)
    if known["first"] is None or final < known["first"] or first > today:
        recorded = f"{formats.day(known['first'])} to {formats.day(known['last'])}"
        raise SettingsError(f"the page has no record of {words}", f"Name a period within {recorded}.")
    zone = ZoneInfo(figures.zone_name)
    end = datetime.combine(final + timedelta(days=1), time(), zone)
    return Period(
        key, words, first, final, min(final, today), datetime.combine(first, time(), zone), min(end, as_of)
    )


def next_month(month: date) -> date:
    """Return the first day of the month after that of a day."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def _before(day: date) -> date:
    return day - timedelta(days=1)
