"""The list at the end of a run: each promise of `test_destinations.py`, each place, and what became of it there.

It is made of the reports alone, which pytest-xdist's controller has too, though it collects no test.
"""

from __future__ import annotations

import re
from typing import Any

from cachet_dagster.source.destinations import DESTINATIONS

from .places import PLACES

_ITEM = re.compile(r"test_destinations\.py::test_(?P<promise>\w+)\[(?P<place>\w+)\]$")
_OUTCOMES = {"passed": "passed", "failed": "FAILED", "error": "ERROR", "skipped": "skipped"}


def summarise(reporter: Any) -> None:
    """Print the list, where any of those tests ran.

    Args:
        reporter: pytest's terminal reporter.
    """
    outcomes: dict[str, dict[str, str]] = {}
    reasons: dict[str, dict[str, list[str]]] = {}
    for outcome, word in _OUTCOMES.items():
        for report in reporter.stats.get(outcome, ()):
            found = _ITEM.search(getattr(report, "nodeid", ""))
            if found is None:
                continue
            promise, place = found["promise"].replace("_", " "), found["place"]
            outcomes.setdefault(promise, {})[place] = word
            if word == "skipped" and isinstance(report.longrepr, tuple):
                reason = report.longrepr[2].removeprefix("Skipped: ")
                reasons.setdefault(reason, {}).setdefault(place, []).append(promise)
    if not outcomes:
        return
    places = [place for place in PLACES if any(place in found for found in outcomes.values())]
    reporter.section("destinations")
    reporter.line("  ".join([*(f"{place:9}" for place in places), "promise"]))
    for promise, found in sorted(outcomes.items()):
        reporter.line("  ".join([*(f"{found.get(place, '-'):9}" for place in places), promise]))
    for reason, skipped in reasons.items():
        listed = ", ".join(f"{place} ({len(promises)})" for place, promises in skipped.items())
        reporter.line(f"skipped on {listed}: {reason}")
    for place, why in PLACES.items():
        if place not in places:
            reporter.line(f"not in this run: {why}")
    beyond = [one.title for one in DESTINATIONS.values() if one.tested == "up to the connection"]
    reporter.line(f"up to the connection only (test_any_destination.py): {', '.join(beyond)}")
