"""Colours by what they mean, and the CSS classes that charts are drawn with, for light and for dark screens."""

from __future__ import annotations

import re
from collections.abc import Collection

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
    "assumed": "#d1efe3",
    "uncertain": "#ecc5a0",
    "accent": "#1f5fa8",
    "accent-soft": "#b9d2ee",
    "shade": "#f3d9c4",
    "scale-0": "#e3ecf6",
    "scale-1": "#b5d0ec",
    "scale-2": "#78a9d8",
    "scale-3": "#3b78b8",
    "scale-4": "#123f75",
}
DARK = {
    "paper": "#161b22",
    "ink": "#e8edf3",
    "soft": "#a3adba",
    "line": "#39424e",
    "track": "#242b35",
    "operational": "#3d6655",
    "performance": "#9d7209",
    "partial": "#c76c50",
    "major": "#ff4487",
    "unknown": "#8f959f",
    "maintenance": "#5b7ed1",
    "assumed": "#1c3333",
    "uncertain": "#4c381f",
    "accent": "#76b3f2",
    "accent-soft": "#2b4a6d",
    "shade": "#54392a",
    "scale-0": "#22303f",
    "scale-1": "#294a70",
    "scale-2": "#346caa",
    "scale-3": "#7db4ec",
    "scale-4": "#d3e7ff",
}
"""Colours by what they mean. A test holds apart those of the statuses for the colour-blind, in either scheme, and
holds the texts to the contrast that WCAG asks for."""

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
    "tip": "fill:transparent",
    "dashed": "stroke-dasharray:5 4",
    **{f"f-{name}": f"fill:var(--{name})" for name in LIGHT},
    **{f"s-{name}": f"stroke:var(--{name});fill:none" for name in LIGHT},
}
_TEXT = "font:13px system-ui,'DejaVu Sans',sans-serif;fill:var(--ink)"


def style(classes: Collection[str]) -> str:
    """Return the CSS of some classes, with the colours that they need in either scheme."""
    rules = "".join(f".chart .{name}{{{rule}}}" for name, rule in _RULES.items() if name in classes)
    needed = {"ink", *re.findall(r"var\(--([\w-]+)\)", rules)}
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours.items() if name in needed)
        for colours in (LIGHT, DARK)
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{.chart{{{dark}}}}}"
    return f".chart{{{light}}}{dark}.chart text{{{_TEXT}}}{rules}"


STYLE = (
    f"{style(_RULES)}svg.narrow{{display:none}}"
    "@media screen and (max-width:600px){svg.wide{display:none!important}svg.narrow{display:block}}"
)
"""The CSS of all classes. A report carries it once; a chart that stands alone carries what it needs of it."""
