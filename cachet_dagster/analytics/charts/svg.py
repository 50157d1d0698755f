"""SVG by hand: what every chart is made of, and the one place where a text becomes markup.

A chart is a value with a question as its title and an answer below it. It stands alone (`svg`, `data_url`) where
Dagster shows it as an image, or within the report (`inline`), which carries the style once for all of them. Colours
switch with the reader's scheme together with the chart's own background, since an image on Dagster's page knows
the scheme of the system and not the theme that was chosen there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import quote

from cachet_dagster.analytics.formats import plain, shortened, text_width, wrapped

from .colours import style

WIDTH = 760
"""Pixels: what a dialog of Dagster's shows unscaled, and a printed page nearly so."""
NARROW = 350
"""Pixels that a telephone leaves for a chart."""
MARGIN = 20

_CLASS = re.compile(r'class="([^"]*)"')
_TIP = re.compile('<rect [^>]*class="tip"><title>[^<]*</title></rect>')
_LITERAL = " !$()*+,/:;=?@[]{}|"
"""What stands for itself in an address between quotes, or between angle brackets in Markdown."""

Mark = Callable[[float, float], None]
Entry = tuple[Mark, float, str]
"""Of a legend: a function that draws the mark at a point, how wide it is, and the words."""


@dataclass(frozen=True)
class Chart:
    """A picture that answers one question.

    Attributes:
        title: The question.
        answer: The answer in a sentence, shown below the title; with it the picture's text for those who cannot
            see it.
        width: Pixels.
        height: Pixels.
        body: SVG, escaped.
        narrow: The same chart drawn for a telephone; None on that one itself.
    """

    title: str
    answer: str
    width: float
    height: float
    body: str
    narrow: Chart | None = None

    def inline(self) -> str:
        """Return `svg` elements for a page that has `STYLE`: it shows the one that fits the screen."""
        if self.narrow is None:
            return self._element("chart", self.body)
        return self._element("chart wide", self.body) + self.narrow._element("chart narrow", self.narrow.body)

    def svg(self) -> str:
        """Return a file of its own, with the CSS that its classes need, and without tips: images show none."""
        body = _TIP.sub("", self.body)
        classes = {name for names in _CLASS.findall(body) for name in names.split()}
        return self._element("chart", f"<style>{style(classes)}</style>{body}")

    def _element(self, classes: str, content: str) -> str:
        label = escape(f"{self.title} {self.answer}", quote=True)
        width, height = _short(self.width), _short(self.height)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{classes}" role="img" aria-label="{label}" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">{content}</svg>'
        )

    def data_url(self) -> str:
        """Return an address that holds the whole picture and may stand between quotes of either kind."""
        return f"data:image/svg+xml;charset=utf-8,{quote(self.svg(), _LITERAL)}"

    def markdown(self, address: str = "") -> str:
        """Return Markdown that shows the picture: from an address, else wherever `data:` addresses are shown."""
        alternative = "".join(f"\\{c}" if c in r"\[]`*_<>&" else c for c in f"{self.title} {self.answer}")
        return f"![{alternative}](<{address or self.data_url()}>)"


def both_widths(draw: Callable[[float], Chart]) -> Chart:
    """Return the chart that a function draws for a width, with the same drawn for a telephone."""
    return replace(draw(WIDTH), narrow=draw(NARROW))


class Drawing:
    """A chart in the making: title and answer stand already, and what is drawn comes in order.

    Args:
        title: The question.
        answer: The answer.
        width: The chart's, in pixels.

    Attributes:
        margin: Pixels that stay free on the left and on the right.
        top: Where title and answer end.
        right: Where the right margin begins.
        is_narrow: Whether it is drawn for a telephone.
    """

    def __init__(self, title: str, answer: str, width: float):
        self.title = plain(title)
        self.answer = plain(answer)
        self.width = width
        self.is_narrow = width < WIDTH
        self.margin = 12 if self.is_narrow else MARGIN
        self.right = width - self.margin
        self.parts: list[str] = []
        room = width - 2 * self.margin
        y = 10.0
        # A bold text is wider than the letters are taken for.
        for line in wrapped(self.title, room * 0.92, 16):
            y += 20
            self.text(self.margin, y, line, "title")
        y += 2
        for line in wrapped(self.answer, room):
            y += 18
            self.text(self.margin, y, line, "soft")
        self.top = y + 13

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

    def boxes(self, boxes: Iterable[tuple[float, float, float, float]], classes: str) -> None:
        """Draw many rectangles alike as one path: a third of the bytes.

        Args:
            boxes: Left, top, width and height of each.
            classes: Of all of them.
        """
        steps = "".join(
            f"M{_short(x)} {_short(y)}h{_short(width)}v{_short(height)}h{_short(-width)}z"
            for x, y, width, height in boxes
        )
        if steps:
            self.parts.append(f'<path d="{steps}"{_classes(classes)}/>')

    def legend(self, y: float, entries: Iterable[Entry]) -> float:
        """Write what marks mean, in as many lines as it takes, and return where the chart ends.

        Args:
            y: The first line's base line.
            entries: What is drawn, and nothing else.
        """
        x = float(self.margin)
        for mark, wide, words in entries:
            needed = wide + 6 + text_width(words, 11.5)
            if x > self.margin and x + needed > self.right:
                x, y = float(self.margin), y + 20
            mark(x, y)
            self.text(x + wide + 6, y, words, "small soft", width=self.right - x - wide - 6)
            x += needed + 18
        return y + 18

    def swatch(self, classes: str, words: str, *, height: float = 14) -> Entry:
        """Return a legend's entry for a coloured box."""
        return lambda x, y: self.rect(x, y + 3 - height, 12, height, classes), 12.0, words

    def stroke(self, classes: str, words: str, *, width: float = 2) -> Entry:
        """Return a legend's entry for a line."""
        return lambda x, y: self.line(x, y - 4, x + 20, y - 4, classes, width=width), 20.0, words

    def raw(self, markup: str) -> None:
        """Add markup that holds nothing but this package's own numbers and names."""
        self.parts.append(markup)

    def chart(self, height: float) -> Chart:
        """Return the finished chart."""
        paper = (
            f'<rect width="{_short(self.width)}" height="{_short(height)}" rx="8" class="paper"/>'
            f'<rect x=".5" y=".5" width="{_short(self.width - 1)}" height="{_short(height - 1)}" rx="8" class="grid"/>'
        )
        return Chart(self.title, self.answer, self.width, height, paper + "".join(self.parts))


def empty(title: str, why: str) -> Chart:
    """Return the chart of a question that has nothing to show, with the reason where the answer would stand."""

    def draw(width: float) -> Chart:
        drawing = Drawing(title, why, width)
        return drawing.chart(drawing.top + 4)

    return both_widths(draw)


def _place(x: float, y: float) -> str:
    return f'x="{_short(x)}" y="{_short(y)}"'


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'{_place(x, y)} width="{_short(max(width, 0))}" height="{_short(max(height, 0))}"'


def _classes(classes: str) -> str:
    return f' class="{classes}"' if classes else ""


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
