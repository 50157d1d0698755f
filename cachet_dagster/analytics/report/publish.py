"""A folder that can be published as it is: an index of all pages, badges, `status.json`, and metrics for Prometheus.

Each page writes its own `status.json`. Whatever tells of all pages is made from these files, so that a page's run
needs no other page's database. Links are relative, and nothing in the folder runs a script or makes a request.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.charts import ComponentDays, uptime_bars
from cachet_dagster.source.rows import Row

from . import render
from .standing import Standing
from .uptimes import Uptime
from .verdict import told

_BADGE_COLOURS = {
    "operational": "#2c7a5f",
    "under maintenance": "#2f6fb7",
    "performance issues": "#8a6d00",
    "partial outage": "#b34f00",
    "major outage": "#7d1232",
}
_WINDOW = 90
"""Days of the window that the index and the badges show."""


def publish(standing: Standing, folder: Path) -> Path:
    """Write a page's `status.json` and badges, and whatever tells of all pages anew.

    Args:
        standing: How the page stands.
        folder: Where reports are kept.

    Returns:
        The index.

    Raises:
        OSError: It cannot be written.
    """
    place = folder / standing["page"]
    badges = place / "badges"
    badges.mkdir(parents=True, exist_ok=True)
    _write(place / "status.json", json.dumps(standing, ensure_ascii=False, indent=1))
    status = standing["status"]
    _write(badges / "status.svg", badge("status", status, _BADGE_COLOURS.get(status, "#56616f")))
    figure = _bounds(window(standing))
    _write(badges / f"uptime-{_WINDOW}-days.svg", badge(f"uptime {_WINDOW} days", figure, "#1f5fa8"))
    # Pages may be built at the same time: the last one of them sees all.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        standings = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*/status.json"))]
        standings.sort(key=lambda one: (_rank(one["month"]), one["title"]))
        _write(folder / "metrics.prom", render.template("metrics.prom.j2", pages=standings))
        _write(folder / "index.html", index(standings, folder))
    return folder / "index.html"


def window(standing: Standing, days: int = _WINDOW) -> Row:
    """Return the uptime of a page's last days by its policy; empty bounds where there is none."""
    found = (
        row
        for row in standing["uptimes"]
        if (row["window_days"], row["aggregation"], row["policy"]) == (days, "mean", standing["policy"])
    )
    return next(found, {"lower": None, "upper": None})


def badge(label: str, value: str, colour: str) -> str:
    """Return a badge as SVG: a label and a value side by side."""
    widths = [round(formats.text_width(text, 11) * 1.05) + 14 for text in (label, value)]
    return render.template("badge.svg.j2", label=label, value=value, colour=colour, widths=widths)


def index(standings: Sequence[Standing], folder: Path) -> str:
    """Return the page of all pages as HTML, the worst first.

    Args:
        standings: All pages, in the order of the index.
        folder: Where their reports are.
    """
    pages = [
        {
            **standing,
            "now": standing["status"],
            "month_text": _bounds(standing["month"]),
            "window_text": _bounds(window(standing)),
            "promise": told(row["kept"] for row in standing["targets"]) or "no target",
            "as_of_text": formats.moment(datetime.fromisoformat(standing["as_of"])),
            "reports": sorted(
                (path.parent.name for path in (folder / standing["page"]).glob("*/report.html")), reverse=True
            ),
        }
        for standing in standings
    ]
    last = max((date.fromisoformat(one["days"][-1]["day"]) for one in standings), default=None)
    strips = [
        ComponentDays(one["title"], [day["kind"] for day in one["days"]], *_shares(window(one)))
        for one in standings
        if one["days"][-1]["day"] == (last and last.isoformat())
    ]
    chart = uptime_bars(strips, last, of="page") if last else None
    return render.template(
        "index.html.j2", pages=pages, chart=chart, overlaps=overlaps(standings), days=_WINDOW
    )


def overlaps(standings: Sequence[Standing]) -> list[Row]:
    """Return pairs of incidents of different pages that were open at the same time, the newest first."""
    incidents = [
        (
            datetime.fromisoformat(incident["started_at"]),
            datetime.fromisoformat(incident["ended_at"] or standing["as_of"]),
            standing["title"],
            incident["name"],
        )
        for standing in standings
        for incident in standing["recent_incidents"]
    ]
    incidents.sort()
    found = [
        {
            "begin": formats.moment(second[0]),
            "seconds": (min(first[1], second[1]) - second[0]).total_seconds(),
            "first": first[2:],
            "second": second[2:],
        }
        for at, second in enumerate(incidents)
        for first in incidents[:at]
        if first[2] != second[2] and first[1] > second[0]
    ]
    return found[::-1][:20]


def _shares(row: Row) -> tuple[float | None, float | None]:
    return row["lower"], row["upper"]


def _bounds(row: Row) -> str:
    return Uptime(*_shares(row)).text


def _rank(row: Row) -> tuple[float, float]:
    return Uptime(*_shares(row)).rank


def _write(path: Path, text: str) -> None:
    """Write a file that readers see either as it was or whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
