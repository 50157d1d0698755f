"""Numbers, times and names as a person reads them: the same words in charts, the report and the notebook.

An uptime is cut, never rounded up: only a component that was never down shows 100 %.
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
    """Return a share in whole percent, so that what adds up to all of it still does."""
    return "under 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 as percent, cut after two digits, or after three from 99.9 % on."""
    if share is None or math.isnan(share):
        return NONE
    digits = 3 if 0.999 <= share < 1 else 2
    # The tiny addition undoes what binary fractions lose: 0.9903 × 100 is a little less than 99.03.
    cut = math.floor(share * 100 * 10**digits + 1e-6) / 10**digits
    if share < 1:
        cut = min(cut, 100 - 10**-digits)
    return f"{cut:.{digits}f} %" if cut != 100 else "100 %"


def bounds(lower: float | None, upper: float | None) -> str:
    """Return a range of shares, or one figure where both read the same."""
    low, high = percent(lower), percent(upper)
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


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


def brief(seconds: float | None) -> str:
    """Return a length of time in its largest unit, for where there is no room: `1.5 h`, `9 d`."""
    if seconds is None or math.isnan(seconds):
        return NONE
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (1, "s"))
    amount = seconds / size
    return f"{amount:.0f} {unit}" if amount >= 9.95 or unit == "s" else f"{number(amount, 1)} {unit}"


def promise(target: float) -> str:
    """Return a target from 0 to 1 as it was set: `99.9 %`."""
    return f"{number(target * 100, 6)} %"


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


def text_width(text: str, size: float = 13) -> float:
    """Return about how many pixels a text takes in a sans-serif font of a size."""
    return sum(map(_width, text)) * size * _EM


def _width(character: str) -> float:
    return 1.8 if unicodedata.east_asian_width(character) in "WF" else 1.0
