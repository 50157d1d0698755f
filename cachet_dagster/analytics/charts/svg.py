"""SVG by hand: what every chart is made of, and the one place where a text becomes markup.

A chart is a value with a question as its title and an answer below it. It stands alone (`svg`, `data_url`) where
Dagster shows it as an image, or within the report (`inline`), which carries the style once for all of them. Colours
switch with the reader's scheme together with the chart's own background, since an image on Dagster's page knows
the scheme of the system and not the theme that was chosen there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from cachet_dagster.analytics.formats import plain, shortened, text_width

from .colours import style

WIDTH = 760
"""Pixels: what a dialog of Dagster's shows unscaled, and a printed page nearly so."""
MARGIN = 20
HEAD = 62
"""Pixels that title and answer take."""

_CLASS = re.compile(r'class="([^"]*)"')
_TIP = re.compile('<rect [^>]*class="tip"><title>[^<]*</title></rect>')
_LITERAL = " !$()*+,/:;=?@[]{}|"
"""What stands for itself in an address between quotes, or between angle brackets in Markdown."""

Mark = Callable[[float, float], None]


@dataclass(frozen=True)
class Chart:
    """A picture that answers one question.

    Attributes:
        title: The question.
        answer: The answer in a sentence, shown below the title; with it the picture's text for those who cannot
            see it.
        height: Pixels.
        body: SVG, escaped.
    """

    title: str
    answer: str
    height: float
    body: str

    def inline(self) -> str:
        """Return an `svg` element for a page that has `STYLE`."""
        return self._element(self.body)

    def svg(self) -> str:
        """Return a file of its own, with the CSS that its classes need, and without tips: images show none."""
        body = _TIP.sub("", self.body)
        classes = {name for names in _CLASS.findall(body) for name in names.split()}
        return self._element(f"<style>{style(classes)}</style>{body}")

    def _element(self, content: str) -> str:
        label = escape(f"{self.title} {self.answer}", quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{label}" '
            f'width="{WIDTH}" height="{_short(self.height)}" viewBox="0 0 {WIDTH} {_short(self.height)}">'
            f"{content}</svg>"
        )

    def data_url(self) -> str:
        """Return an address that holds the whole picture and may stand between quotes of either kind."""
        return f"data:image/svg+xml;charset=utf-8,{quote(self.svg(), _LITERAL)}"

    def markdown(self) -> str:
        """Return Markdown that shows the picture wherever images with `data:` addresses are shown."""
        alternative = "".join(f"\\{c}" if c in r"\[]`*_<>&" else c for c in f"{self.title} {self.answer}")
        return f"![{alternative}](<{self.data_url()}>)"


class Drawing:
    """A chart in the making: title and answer stand already, and what is drawn comes in order.

    Args:
        title: The question.
        answer: The answer.
    """

    def __init__(self, title: str, answer: str):
        self.title = plain(title)
        self.answer = plain(answer)
        self.parts: list[str] = []

    def text(
        self, x: float, y: float, text: object, classes: str = "", *, width: float | None = None
    ) -> None:
        """Write a text at a point of its base line, shortened to a width in pixels where one is given."""
        line = plain(text)
        if not line:
            return
        size = 11.5 if "small" in classes else 13
        if width is not None:
            line = shortened(line, width, size)
        self.parts.append(f"<text {_place(x, y)}{_classes(classes)}>{escape(line)}</text>")

    def rect(self, x: float, y: float, width: float, height: float, classes: str) -> None:
        """Draw a rectangle."""
        self.parts.append(f"<rect {_box(x, y, width, height)}{_classes(classes)}/>")

    def tip(self, x: float, y: float, width: float, height: float, text: str) -> None:
        """Add a text that browsers show while the pointer is over a rectangle, in the report."""
        self.parts.append(
            f'<rect {_box(x, y, width, height)} class="tip"><title>{escape(plain(text))}</title></rect>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, classes: str, *, width: float = 1) -> None:
        """Draw a straight line."""
        self.path([(x1, y1), (x2, y2)], classes, width=width)

    def path(
        self, points: Iterable[tuple[float, float]], classes: str, *, width: float = 1, closed: bool = False
    ) -> None:
        """Draw a line through points, or the area within them."""
        steps = "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
        stroke = f' stroke-width="{_short(width)}"' if width != 1 else ""
        self.parts.append(f'<path d="{steps}{"Z" if closed else ""}"{_classes(classes)}{stroke}/>')

    def circle(self, x: float, y: float, radius: float, classes: str, *, width: float = 0) -> None:
        """Draw a circle."""
        stroke = f' stroke-width="{_short(width)}"' if width else ""
        self.parts.append(
            f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}"{_classes(classes)}{stroke}/>'
        )

    def squares(self, corners: Iterable[tuple[float, float]], width: float, height: float, name: str) -> None:
        """Draw rectangles of one size and colour as strokes of one path: a tenth of the bytes.

        Args:
            corners: Their upper left corners.
            width: How wide they are.
            height: How tall.
            name: The colour's.
        """
        steps = "".join(f"M{_short(x)} {_short(y + height / 2)}h{_short(width)}" for x, y in corners)
        if steps:
            self.parts.append(f'<path d="{steps}" class="s-{name}" stroke-width="{_short(height)}"/>')

    def legend(self, y: float, entries: Iterable[tuple[Mark, float, str]]) -> float:
        """Write what marks mean, in as many lines as it takes, and return where the chart ends.

        Args:
            y: The first line's base line.
            entries: A function that draws the mark at a point, how wide it is, and the words.
        """
        x = float(MARGIN)
        for mark, wide, words in entries:
            needed = wide + 6 + text_width(words, 11.5)
            if x > MARGIN and x + needed > WIDTH - MARGIN:
                x, y = float(MARGIN), y + 20
            mark(x, y)
            self.text(x + wide + 6, y, words, "small soft")
            x += needed + 18
        return y + 18

    def raw(self, markup: str) -> None:
        """Add markup that holds nothing but this package's own numbers and names."""
        self.parts.append(markup)

    def chart(self, height: float) -> Chart:
        """Return the finished chart."""
        head = Drawing("", "")
        head.raw(
            f'<rect width="{WIDTH}" height="{_short(height)}" rx="8" class="paper"/>'
            f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{_short(height - 1)}" rx="8" class="grid"/>'
        )
        head.text(MARGIN, 29, self.title, "title", width=(WIDTH - 2 * MARGIN) * 0.8)
        head.text(MARGIN, 49, self.answer, "soft", width=WIDTH - 2 * MARGIN)
        return Chart(self.title, self.answer, height, "".join(head.parts + self.parts))


def empty(title: str, why: str) -> Chart:
    """Return the chart of a question that has nothing to show, with the reason where the answer would stand."""
    drawing = Drawing(title, why)
    return drawing.chart(HEAD + 8)


def _place(x: float, y: float) -> str:
    return f'x="{_short(x)}" y="{_short(y)}"'


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'{_place(x, y)} width="{_short(max(width, 0))}" height="{_short(max(height, 0))}"'


def _classes(classes: str) -> str:
    return f' class="{classes}"' if classes else ""


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
