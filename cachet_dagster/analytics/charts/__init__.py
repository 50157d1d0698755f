"""Charts as SVG made by hand: pure functions of plain rows, without a plotting library.

90 days × 20 components are 8 KiB this way and take a millisecond, where matplotlib costs 76 MB and two seconds.
Each chart's title asks one question and the line below it answers.
"""

from .colours import STYLE
from .incidents import MonthDurations, Span, durations, overlap, weekday_hour
from .metrics import Band, metric_band
from .svg import Chart
from .targets import MonthUptime, budget_burn_down, monthly_uptime
from .uptime import ComponentDays, DayShare, uptime_bars, uptime_calendar

__all__ = [
    "STYLE",
    "Band",
    "Chart",
    "ComponentDays",
    "DayShare",
    "MonthDurations",
    "MonthUptime",
    "Span",
    "budget_burn_down",
    "durations",
    "metric_band",
    "monthly_uptime",
    "overlap",
    "uptime_bars",
    "uptime_calendar",
    "weekday_hour",
]
