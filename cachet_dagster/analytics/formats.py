"""Numbers, times and names as a person reads them: the same words in charts, the report and the notebook.

An uptime has two decimals and is cut, never rounded up: only a component that was never down shows 100 %.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, datetime

NONE = "–"
"""What stands where there is no value."""

_EM = 0.6
"""How wide a character is on average, of its size: DejaVu Sans, the widest of the fonts that are asked for."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def roughly(share: float) -> str:
    """Return a share in whole percent; what is not all of it never reads as 100 %, and some of it never as 0 %."""
    if 0 < share < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 as percent with two decimals, cut; exactly none and all are `0 %` and `100 %`."""
    if share is None or math.isnan(share):
        return NONE
    if share in {0, 1}:
        return f"{share * 100:.0f} %"
    return f"{min(cut(share) * 100, 99.99):.2f} %"


def cut(share: float) -> float:
    """Return a share cut after four decimals: what `percent` shows of it."""
    # The tiny addition undoes what binary fractions lose: 0.9903 × 100 is a little less than 99.03.
    return min(math.floor(share * 10_000 + 1e-6) / 10_000, 1 if share == 1 else 0.9999)


def bounds(lower: float | None, upper: float | None) -> str:
    """Return an uptime by its bounds: one figure where both read the same, else `99.46–100 %`."""
    low, high = percent(lower), percent(upper)
    return low if low == high else f"{low.removesuffix(' %')}–{high}"


def between(lower: float | None, upper: float | None) -> str:
    """Return an uptime within a sentence: one figure, else `between 99.46 and 100 %`."""
    text = bounds(lower, upper)
    return f"between {text.replace('–', ' and ')}" if "–" in text[1:] else text


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units, such as `1 h 30 min`."""
    if seconds is None or math.isnan(seconds):
        return NONE
    left = round(seconds)
    sign, left = ("−", -left) if left < 0 else ("", left)
    parts: list[str] = []
    for size, unit in _UNITS:
        amount, rest = divmod(left, size)
        if amount or parts:
            parts.append(f"{amount:,} {unit}" if amount else "")
            left = rest
        if len(parts) == 2:
            break
    return sign + (" ".join(filter(None, parts)) or "0 s")


def promise(target: float) -> str:
    """Return a target from 0 to 1 as it was set: `99.9 %`."""
    return f"{number(target * 100, 6)} %"


def promise_kept(target: float | None, lower: float | None, upper: float | None) -> str | None:
    """Return `kept`, `missed` or, where the bounds do not agree, `not certain`; None without target or figure."""
    if target is None or lower is None or upper is None:
        return None
    # Sums of seconds in floats may miss by their last places.
    if lower >= target - 1e-12:
        return "kept"
    return "missed" if upper < target - 1e-12 else "not certain"


def number(value: float | None, places: int = 2) -> str:
    """Return a number with thousands marked, and no more decimal places than it needs."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(amount: int, singular: str, plural: str | None = None) -> str:
    """Return an amount with its noun: `1 incident`, `12 incidents`."""
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def day(value: date | None) -> str:
    """Return a day such as `3 Oct 2026`."""
    return NONE if value is None else f"{value.day} {value:%b %Y}"


def month(value: date | None) -> str:
    """Return a month such as `October 2026`."""
    return NONE if value is None else f"{value:%B %Y}"


def moment(value: datetime | None) -> str:
    """Return a moment such as `3 Oct 2026 14:05`, in the zone that it is in."""
    return NONE if value is None else f"{day(value)} {value:%H:%M}"


def plain(text: object) -> str:
    """Return a text of a page as one line, without what moves or hides the text around it, or an address.

    A name that somebody typed may hold line breaks, marks that turn the direction of writing, NUL, or an
    e-mail address, none of which belongs into a picture or a public table.
    """
    if text is None:
        return ""
    kept = _CONTROL.sub("", str(text)).encode("utf-8", "replace").decode("utf-8")
    return without_addresses(" ".join(kept.split()))


def without_addresses(text: str) -> str:
    """Return a text with each e-mail address in it replaced."""
    return _EMAIL.sub("(e-mail address)", text)


def shortened(text: str, width: float, size: float = 13) -> str:
    """Return a text that is about as wide as it may be, in pixels of a sans-serif font of a size.

    What is cut off is marked by an ellipsis.
    """
    room = width / (size * _EM)
    used = 0.0
    for position, character in enumerate(text):
        used += _width(character)
        if used > room:
            return text[: max(position - 1, 0)].rstrip() + "…"
    return text


def wrapped(text: str, width: float, size: float = 13) -> list[str]:
    """Return a text as lines that are about as wide as they may be, in pixels; a longer word is shortened."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, width, size))
    return lines


def text_width(text: str, size: float = 13) -> float:
    """Return about how many pixels a text takes in a sans-serif font of a size."""
    return sum(map(_width, text)) * size * _EM


def _width(character: str) -> float:
    return 1.8 if unicodedata.east_asian_width(character) in "WF" else 1.0
