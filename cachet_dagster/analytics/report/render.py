"""A report as HTML, one file that asks nothing of any server, and as Markdown.

Jinja escapes every value in HTML; in Markdown each text of a page goes through `text`, which leaves it no character
that Markdown or HTML would read. A policy in the file's head forbids the browser scripts, frames and requests.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.charts import STYLE
from cachet_dagster.source.rows import Row

from .content import Report
from .verdict import basis, told

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$^-])")


def html(report: Report) -> str:
    """Return the report as one HTML file."""
    return _environment(True).get_template("report.html.j2").render(report=report, chart_style=STYLE)


def template(name: str, **values: Any) -> str:
    """Return a template's text, values escaped for HTML and SVG where its name says that it is one."""
    return _environment(not name.endswith(".prom.j2")).get_template(name).render(chart_style=STYLE, **values)


def markdown(report: Report) -> str:
    """Return the report as Markdown, its charts as images in the folder `charts` beside it."""
    text = _environment(False).get_template("report.md.j2").render(report=report)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _environment(is_html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("cachet_dagster.analytics.report"),
        autoescape=select_autoescape(["html.j2", "svg.j2"], default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("duration", "number", "count", "day", "month", "moment", "percent", "promise", "roughly")
    environment.filters |= {name: getattr(formats, name) for name in names}
    environment.filters |= {
        "typical": _typical,
        "label": _label,
        "timestamp": _timestamp,
        "span": _span,
        "basis": basis,
        "told": told,
        "text": formats.plain if is_html else escaped,
        "message": _message if is_html else escaped,
    }
    environment.globals |= {"none": formats.NONE}
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


def _span(seconds: tuple[float, float] | None) -> str:
    """Return lengths of time between two bounds, or one where both read the same."""
    if seconds is None:
        return formats.NONE
    low, high = map(formats.duration, seconds)
    return low if low == high else f"{low} to {high}"


def _label(text: object) -> str:
    """Return a text as a label's value in Prometheus's format, with its quotes."""
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _typical(row: Row) -> str:
    """Return the median of a row of `incident_stats_monthly`, or, where it has none, its mean, called so."""
    median, mean = row["median_seconds"], row["mean_seconds"]
    return (
        f"mean {formats.duration(mean)}" if median is None and mean is not None else formats.duration(median)
    )
