"""SVG by hand: what every chart is made of, and the one place where a text becomes markup.

A chart is a value with a question as its title and an answer below it. It stands alone (`svg`, `data_url`) where
Dagster shows it as an image, or within the report (`inline`), which carries the style once for all of them. Colours
switch with the reader's scheme together with the chart's own background, since an image on Dagster's page knows
the scheme of the system and not the theme that was chosen there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from string import ascii_lowercase
from urllib.parse import quote

from cachet_dagster.analytics.formats import plain, shortened, text_width

WIDTH = 760
"""Pixels: what a dialog of Dagster's shows unscaled, and a printed page nearly so."""
MARGIN = 20
HEAD = 62
"""Pixels that title and answer take."""

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b2430",
    "soft": "#56616f",
    "line": "#d5dae1",
    "track": "#eef1f4",
    "operational": "#7fcfb4",
    "performance": "#e3b505",
    "partial": "#d9620b",
    "major": "#7d1232",
    "unknown": "#a9b1bb",
    "maintenance": "#2f6fb7",
    "accent": "#1f5fa8",
    "accent-soft": "#b9d2ee",
    "shade": "#f3d9c4",
    "scale-0": "#e3ecf6",
    "scale-1": "#b5d0ec",
    "scale-2": "#78a9d8",
    "scale-3": "#3b78b8",
    "scale-4": "#123f75",
    "on-dark": "#ffffff",
    "on-light": "#1b2430",
}
DARK = {
    "paper": "#161b22",
    "ink": "#e8edf3",
    "soft": "#a3adba",
    "line": "#39424e",
    "track": "#242b35",
    "operational": "#2f8f74",
    "performance": "#f2d04b",
    "partial": "#f08a3c",
    "major": "#ff9cc0",
    "unknown": "#66707c",
    "maintenance": "#4f9ae8",
    "accent": "#76b3f2",
    "accent-soft": "#2b4a6d",
    "shade": "#54392a",
    "scale-0": "#22303f",
    "scale-1": "#294a70",
    "scale-2": "#346caa",
    "scale-3": "#7db4ec",
    "scale-4": "#d3e7ff",
    "on-dark": "#10151b",
    "on-light": "#e8edf3",
}
"""Colours by what they mean. A test holds apart those of the statuses for the colour-blind, in either scheme, and
holds the texts to the contrast that WCAG asks for."""

STATUS_CLASSES = {
    1: "operational",
    2: "performance",
    3: "partial",
    4: "major",
    5: "unknown",
    6: "maintenance",
}
"""The name of a colour for each of Cachet's component statuses."""


_RULES = {
    "title": "font-size:16px;font-weight:600",
    "soft": "fill:var(--soft)",
    "small": "font-size:11.5px",
    "tiny": "font-size:10px",
    "bold": "font-weight:600",
    "end": "text-anchor:end",
    "middle": "text-anchor:middle",
    "halo": "paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round",
    "figure": "font-variant-numeric:tabular-nums",
    "grid": "stroke:var(--line);fill:none",
    "paper": "fill:var(--paper)",
    "dashed": "stroke-dasharray:5 4",
    "on-dark": "fill:var(--on-dark)",
    "on-light": "fill:var(--on-light)",
    **{f"f-{name}": f"fill:var(--{name})" for name in LIGHT},
    **{f"s-{name}": f"stroke:var(--{name});fill:none" for name in LIGHT},
}
_TEXT = "font:13px system-ui,'DejaVu Sans',sans-serif;fill:var(--ink)"


def _style(classes: Collection[str]) -> str:
    rules = "".join(f".chart .{name}{{{rule}}}" for name, rule in _RULES.items() if name in classes)
    needed = {"ink", *re.findall(r"var\(--([\w-]+)\)", rules)}
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours.items() if name in needed)
        for colours in (LIGHT, DARK)
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{.chart{{{dark}}}}}"
    return f".chart{{{light}}}{dark}.chart text{{{_TEXT}}}{rules}"


STYLE = _style(_RULES.keys())
"""What the classes of all charts mean. The report carries it once; a chart alone has what it needs of it."""


_TIP = re.compile(r"(<rect[^>]*)><title>[^<]*</title></rect>")
_READABLE = " !$'()*+,/:;=?@[]{}|"
"""What stands for itself in an address between angle brackets in Markdown."""
_CLASS = re.compile(r'class="([^"]*)"')
_COLOUR = re.compile(r"--[\w-]+")
_RECT = re.compile(r'<rect x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)" class="f-([\w-]+)"/>')
_RECTS = re.compile(f"(?:{_RECT.pattern}){{2,}}")


def _strokes(rects: re.Match[str]) -> str:
    """Return rectangles that stand side by side as a path for each colour and height."""
    paths: dict[tuple[str, str], list[str]] = {}
    for x, y, width, height, name in _RECT.findall(rects[0]):
        paths.setdefault((name, height), []).append(f"M{x} {_short(float(y) + float(height) / 2)}h{width}")
    return "".join(
        f'<path d="{"".join(steps)}" class="s-{name}" stroke-width="{height}"/>'
        for (name, height), steps in paths.items()
    )


_TEXT_ELEMENT = r'<text ([^>]*?) class="{}">([^<]*)</text>'
_TEXTS = re.compile(_TEXT_ELEMENT.format('([^"]*)') + "(?:" + _TEXT_ELEMENT.format("\\2") + ")+")


def _grouped(texts: re.Match[str]) -> str:
    """Return texts of the same classes as a group that has them."""
    inner = texts[0].replace(f' class="{texts[2]}"', "")
    return f'<g class="{texts[2]}">{inner}</g>'


def _letters(names: Iterable[str]) -> dict[str, str]:
    """Return a short name for each: a to z, then a0 and on; for a colour with its dashes."""
    short = (f"{letter}{number}" for number in ("", *range(9)) for letter in ascii_lowercase)
    return {name: ("--" if name.startswith("--") else "") + next(short) for name in names}


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
        label = escape(f"{self.title} {self.answer}", quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{label}" '
            f'width="{WIDTH}" height="{_short(self.height)}" viewBox="0 0 {WIDTH} {_short(self.height)}">'
            f"{self.body}</svg>"
        )

    def svg(self) -> str:
        """Return a file of its own, small, since Dagster keeps it for ever: an image needs no tips and no label.

        Rectangles side by side become strokes, texts that look alike a group, names of classes and colours letters.
        """
        body = _TEXTS.sub(_grouped, _RECTS.sub(_strokes, _TIP.sub(r"\1/>", self.body)))
        used = {name for names in _CLASS.findall(body) for name in names.split() if name in _RULES}
        style = _style(used).replace(".chart .", ".").replace(".chart text", "svg").replace(".chart{", "svg{")
        letters = _letters(sorted(used, key=len, reverse=True))
        colours = _letters(sorted(set(_COLOUR.findall(style)), key=len, reverse=True))
        style = _COLOUR.sub(lambda name: colours[name[0]], style)
        style = re.sub(r"(?<=[}])\.([a-z][\w-]*)(?={)", lambda name: f".{letters[name[1]]}", style)
        body = _CLASS.sub(
            lambda names: (
                f'class="{" ".join(letters[name] for name in names[1].split() if name in letters)}"'
            ),
            body,
        )
        size = f'width="{WIDTH}" height="{_short(self.height)}" viewBox="0 0 {WIDTH} {_short(self.height)}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>{body}</svg>'

    def data_url(self) -> str:
        """Return an address that holds the whole picture, readable but for brackets: shorter than in base64."""
        return f"data:image/svg+xml;charset=utf-8,{quote(self.svg().replace(chr(34), chr(39)), _READABLE)}"

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

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        classes: str,
        *,
        radius: float = 0,
        tip: str = "",
    ) -> None:
        """Draw a rectangle; a tip is shown by browsers that hover over it, in the report."""
        rounded = f' rx="{_short(radius)}"' if radius else ""
        head = (
            f'<rect {_place(x, y)} width="{_short(max(width, 0))}" height="{_short(max(height, 0))}"'
            f"{rounded}{_classes(classes)}"
        )
        self.parts.append(f"{head}><title>{escape(plain(tip))}</title></rect>" if tip else f"{head}/>")

    def line(self, x1: float, y1: float, x2: float, y2: float, classes: str, *, width: float = 1) -> None:
        """Draw a straight line."""
        self.path([(x1, y1), (x2, y2)], classes, width=width)

    def path(
        self, points: Iterable[tuple[float, float]], classes: str, *, width: float = 1, closed: bool = False
    ) -> None:
        """Draw a line through points, or the area within them: each a step from the one before, in few bytes."""
        tenths = [(round(x * 10), round(y * 10)) for x, y in points]
        steps = f"M{_short(tenths[0][0] / 10)} {_short(tenths[0][1] / 10)}"
        for (x1, y1), (x2, y2) in pairwise(tenths):
            dx, dy = _short((x2 - x1) / 10), _short((y2 - y1) / 10)
            if x1 == x2 or y1 == y2:
                steps += f"v{dy}" if x1 == x2 else f"h{dx}"
            else:
                steps += f"l{dx}{dy if dy.startswith('-') else f' {dy}'}"
        stroke = f' stroke-width="{_short(width)}"' if width != 1 else ""
        self.parts.append(f'<path d="{steps}{"Z" if closed else ""}"{_classes(classes)}{stroke}/>')

    def circle(self, x: float, y: float, radius: float, classes: str, *, width: float = 0) -> None:
        """Draw a circle."""
        stroke = f' stroke-width="{_short(width)}"' if width else ""
        self.parts.append(
            f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}"{_classes(classes)}{stroke}/>'
        )

    def squares(
        self,
        corners: Iterable[tuple[float, float]],
        width: float,
        height: float,
        name: str,
        *,
        pitch: float = 0,
    ) -> None:
        """Draw rectangles of one size and colour as strokes of one path, which takes a tenth of the bytes.

        Args:
            corners: Their upper left corners.
            width: How wide they are.
            height: How tall.
            name: The colour's.
            pitch: How far apart neighbours in a row begin: those that follow each other are one dashed stroke.
        """
        rows: dict[str, list[list[float]]] = {}
        for x, y in sorted(corners, key=lambda corner: (corner[1], corner[0])):
            runs = rows.setdefault(_short(y + height / 2), [])
            if runs and pitch and abs(x - runs[-1][1] - pitch) < pitch / 100:
                runs[-1][1] = x
            else:
                runs.append([x, x])
        steps = "".join(
            f"M{_short(first)} {y}h{_short(last - first + width)}"
            for y, runs in rows.items()
            for first, last in runs
        )
        dashes = f' stroke-dasharray="{width:.2f} {pitch - width:.2f}"' if pitch else ""
        if steps:
            self.parts.append(f'<path d="{steps}" class="s-{name}" stroke-width="{_short(height)}"{dashes}/>')

    def digits(self, xs: Sequence[float], y: float, numbers: Sequence[int], classes: str) -> None:
        """Write numbers below ten on one base line, each in the middle of its place."""
        if numbers:
            places = " ".join(map(_short, xs))
            text = "".join(map(str, numbers))
            self.parts.append(f'<text x="{places}" y="{_short(y)}"{_classes(classes)}>{text}</text>')

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


def _classes(classes: str) -> str:
    return f' class="{classes}"' if classes else ""


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
