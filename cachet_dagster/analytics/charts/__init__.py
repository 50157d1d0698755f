"""Charts as SVG made by hand: pure functions of plain rows, without a plotting library.

90 days × 20 components are 8 KiB this way and take a millisecond, where matplotlib costs 76 MB and two seconds.
Each chart's title asks one question and the line below it answers.
"""

from .colours import STYLE
from .metrics import Band, Span, metric_band
from .svg import Chart
from .targets import MonthUptime, monthly_uptime
from .uptime import ComponentDays, DayKind, DayUptime, uptime_bars, uptime_calendar

__all__ = [
    "STYLE",
    "Band",
    "Chart",
    "ComponentDays",
    "DayKind",
    "DayUptime",
    "MonthUptime",
    "Span",
    "metric_band",
    "monthly_uptime",
    "uptime_bars",
    "uptime_calendar",
]
