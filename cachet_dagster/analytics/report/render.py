"""A report as HTML, one file that asks nothing of any server, and as Markdown.

Jinja escapes every value in HTML; in Markdown each text of a page goes through `text`, which leaves it no character
that Markdown or HTML would read. A policy in the file's head forbids the browser scripts, frames and requests.
"""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.charts import STYLE
from cachet_dagster.source.rows import Row

from .content import MOST_TIMELINES, Report

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$^-])")


def html(report: Report) -> str:
    """Return the report as one HTML file."""
    return _environment(True).get_template("report.html.j2").render(report=report, chart_style=STYLE)


def markdown(report: Report) -> str:
    """Return the report as Markdown, its charts as images within it."""
    text = _environment(False).get_template("report.md.j2").render(report=report)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _environment(is_html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("cachet_dagster.analytics.report"),
        autoescape=select_autoescape(["html.j2"], default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("percent", "bounds", "duration", "number", "count", "day", "month", "moment", "promise")
    environment.filters |= {name: getattr(formats, name) for name in names}
    environment.filters |= {
        "typical": _typical,
        "text": formats.plain if is_html else escaped,
        "message": _message if is_html else escaped,
    }
    environment.globals |= {"most_timelines": MOST_TIMELINES, "none": formats.NONE}
    return environment


def escaped(text: object) -> str:
    """Return a text of a page as one line that Markdown, and HTML within it, take literally."""
    line = _SPECIAL.sub(r"\\\1", formats.plain(text))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare address would become a link, and a mention a message.
    return line.replace("://", ":&#47;&#47;").replace("@", "&#64;").replace("www.", "www&#46;")


def _message(text: str) -> str:
    """Return an update's message with its line breaks, and without e-mail addresses."""
    return "\n".join(formats.plain(line) for line in text.strip().splitlines())


def _typical(row: Row) -> str:
    """Return the median of a row of `incident_stats_monthly`, or, where it has none, its mean, called so."""
    median, mean = row["median_seconds"], row["mean_seconds"]
    return (
        f"mean {formats.duration(mean)}" if median is None and mean is not None else formats.duration(median)
    )
