"""What the models should say, painted minute by minute: rows in Python, an array of minutes for each component.

It shares no code and no method with the SQL: no sweep, no windows. Each thing that says what a component was is
painted over the minutes that it covers; the worst of them is what it was. Severities run from 1, operational, to 6.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]

RANK = {None: 0, 1: 1, 5: 2, 6: 3, 2: 4, 3: 5, 4: 6}
STATUS = {rank: status for status, rank in RANK.items()}
BEST = {**RANK, 5: 1}
WORST = {**RANK, 5: 6}


@dataclass
class Span:
    """A time for which an incident was open; it may have ended from `earliest` on."""

    starts: datetime
    ends: datetime
    earliest: datetime


@dataclass
class Painted:
    """A component's minutes: severities, 0 where it does not live."""

    shown: np.ndarray
    status: np.ndarray
    best: np.ndarray
    worst: np.ndarray
    in_maintenance: np.ndarray


@dataclass
class Oracle:
    """The minutes from `begin` to the as-of time."""

    rows: Rows
    as_of: datetime
    begin: datetime
    audience: str = "public"
    cap: timedelta = timedelta(hours=24)
    version: int = 3
    _spans: dict[int, list[Span]] = field(default_factory=dict)

    def minutes(self, start: datetime, end: datetime) -> slice:
        """Return the minutes whose first instants lie from start to before end."""
        first, last = (max(0, math.ceil((at - self.begin).total_seconds() / 60)) for at in (start, end))
        return slice(min(first, self.size), min(last, self.size))

    @property
    def size(self) -> int:
        """How many minutes there are."""
        return math.ceil((self.as_of - self.begin).total_seconds() / 60)

    def table(self, name: str) -> Sequence[Row]:
        """Return a table's rows as of now."""
        rows = self.rows.get(name, ())
        return [row for row in rows if row.get("observed_at") is None or row["observed_at"] <= self.as_of]

    def history(self, name: str, **key: int) -> list[Row]:
        """Return a thing's history, oldest first."""
        found = [
            row for row in self.table(name) if all(row[column] == value for column, value in key.items())
        ]
        return sorted(found, key=lambda row: row["observed_at"])

    # Incidents.

    def incidents(self) -> Iterator[tuple[int, Row, bool]]:
        """Yield each incident's id, its row or its last recorded one, and whether it is still there."""
        listed = {row["id"]: row for row in self.table("incidents")}
        yield from ((number, row, True) for number, row in listed.items())
        for number in {row["incident_id"] for row in self.table("incident_history")} - listed.keys():
            yield number, self.history("incident_history", incident_id=number)[-1], False

    def is_public(self, incident: Row) -> bool:
        """Whether everyone sees an incident."""
        published = incident.get("published_at")
        return incident.get("visible", 1) in (None, 1) and (published is None or published <= self.as_of)

    def spans(self, number: int, incident: Row, listed: bool) -> list[Span]:
        """Return the times for which an incident was open."""
        recorded = self.history("incident_history", incident_id=number)
        start = self._start(incident, recorded)
        moments = self._told(number, incident, start, recorded) if listed else self._recorded(start, recorded)
        spans: list[Span] = []
        open_since: datetime | None = start
        now = start
        for at, earliest, is_fixed in moments:
            now = max(now, at)
            if is_fixed and open_since is not None:
                spans.append(Span(open_since, now, min(max(earliest, open_since), now)))
                open_since = None
            elif not is_fixed and open_since is None:
                open_since = now
        if open_since is not None:
            spans.append(Span(open_since, self.as_of, self.as_of))
        return spans

    def _start(self, incident: Row, recorded: list[Row]) -> datetime:
        for at in (incident.get("occurred_at") or incident.get("created_at"), incident.get("created_at")):
            if at is not None and at <= self.as_of:
                return at
        return recorded[0]["observed_at"] if recorded else self.as_of

    def _told(self, number: int, incident: Row, start: datetime, recorded: list[Row]) -> Iterator[tuple]:
        """Yield what updates set, then what the incident says if that is something else."""

        def clamped(at: datetime | None) -> datetime:
            return min(max(at or start, start), self.as_of)

        updates = sorted(
            (
                row
                for row in self.table("incident_updates")
                if row["incident_id"] == number and row["status"] is not None
            ),
            key=lambda row: (row["created_at"] is not None, row["created_at"], row["id"]),
        )
        told = [(clamped(row["created_at"]), row["id"], row["status"] == 4) for row in updates]
        for at, _, is_fixed in sorted(told):
            yield at, at, is_fixed
        newest = max(updates, key=lambda row: (row["created_at"], row["id"]), default=None)
        is_fixed = incident.get("status") == 4
        if is_fixed == (newest is not None and newest["status"] == 4):
            return
        last = newest["created_at"] if newest else None
        change = self._last_transition(recorded)
        if change is not None and (last is None or change[0] >= last):
            yield clamped(change[0]), clamped(change[1]), is_fixed
            return
        created, updated = incident.get("created_at"), incident.get("updated_at")
        at = updated if updated and created and updated > created else created or start
        yield clamped(at), clamped(last), is_fixed

    def _recorded(self, start: datetime, recorded: list[Row]) -> Iterator[tuple]:
        """Yield what loads saw of an incident that is gone."""
        for n, row in enumerate(recorded):
            at, earliest = self._changed(row)
            fixed = row["status"] == 4
            if n == 0:
                earliest = start
                at = (row["updated_at"] or row["observed_at"]) if fixed else at
            yield max(at, start), max(earliest, start), fixed or row["is_deleted"]

    def _last_transition(self, recorded: list[Row]) -> tuple[datetime, datetime] | None:
        found = None
        for before, row in itertools.pairwise(recorded):
            if (before["status"] == 4) != (row["status"] == 4):
                found = self._changed(row)
        return found

    def _changed(self, row: Row) -> tuple[datetime, datetime]:
        """Return when a recorded change happened, and the earliest time at which it can have."""
        seen, before, updated = row["observed_at"], row["previous_observed_at"], row.get("updated_at")
        if not row["is_deleted"] and updated and before and before < updated <= seen:
            return updated, before
        return seen, before or seen

    # Components.

    def links(self) -> dict[int, list[tuple[int, Row, bool]]]:
        """Return each component's incidents."""
        pairs = {(row["incident_id"], row["component_id"]) for row in self.table("incident_components")}
        pairs |= {
            (row["incident_id"], row["component_id"]) for row in self.table("incident_component_history")
        }
        known = {number: (number, row, listed) for number, row, listed in self.incidents()}
        found: dict[int, list[tuple[int, Row, bool]]] = defaultdict(list)
        for incident, component in sorted(pairs):
            if incident in known:
                found[component].append(known[incident])
        return found

    def severities(self, incident: int, component: int, listed: bool) -> list[tuple]:
        """Return from when on a component was hit how badly: time, earliest time, status, whether unlinked."""
        recorded = self.history("incident_component_history", incident_id=incident, component_id=component)
        if not listed:
            recorded = [row for row in recorded if not row["is_deleted"]]
        if not recorded:
            given = [
                row["component_status"]
                for row in self.table("incident_components")
                if (row["incident_id"], row["component_id"]) == (incident, component)
            ]
            # A doubled link says what the higher code says.
            return [(None, None, max((status for status in given if status), default=None), False)]
        return [
            (
                row["observed_at"] if n else None,
                (row["previous_observed_at"] or row["observed_at"]) if n else None,
                row["component_status"],
                row["is_deleted"],
            )
            for n, row in enumerate(recorded)
        ]

    def lives(self) -> dict[int, tuple[datetime, datetime]]:
        """Return from when to when each component lives."""
        listed = {row["id"]: row for row in self.table("components")}
        recorded: dict[int, Row] = {}
        for row in sorted(self.table("component_history"), key=lambda row: row["observed_at"]):
            recorded[row["component_id"]] = row
        linked = self.links()
        named = {*listed, *recorded, *linked}
        named |= {row["component_id"] for row in self.table("incident_components")}
        named |= {row["component_id"] for row in self.table("schedule_components")}
        lives = {}
        for number in named:
            starts = [at for at, _, _ in self.impacts(number, linked[number])]
            row = listed.get(number) or recorded.get(number) or {}
            created = row.get("created_at") or (recorded.get(number) or {}).get("created_at")
            starts += [created] if created else []
            gone = number not in listed and number in recorded and recorded[number]["is_deleted"]
            end = recorded[number]["observed_at"] if gone else self.as_of
            lives[number] = min([*starts, self.as_of]), end
        return lives

    def impacts(self, component: int, linked: Sequence[tuple]) -> Iterator[tuple[datetime, datetime, tuple]]:
        """Yield from when to when an incident hit a component, and how: status, best, worst, public."""
        for number, incident, listed in linked:
            steps = self.severities(number, component, listed)
            for span in self._spans.setdefault(number, self.spans(number, incident, listed)):
                yield from self._pieces(span, steps, self.is_public(incident))

    def _pieces(self, span: Span, steps: list[tuple], public: bool) -> Iterator[tuple]:
        cuts = {span.starts, span.earliest, span.ends}
        cuts |= {at for step in steps for at in step[:2] if at is not None and span.starts < at < span.ends}
        ordered = sorted(cuts)
        for start, end in itertools.pairwise(ordered):
            held = [step for step in steps if step[0] is None or step[0] <= start][-1]
            coming = next(
                (step for step in steps if step[0] is not None and step[1] <= start < step[0]), None
            )
            here = None if held[3] else held[2]
            if held[3] and coming is None:
                continue
            maybe = [held] if coming is None else [held, coming]
            ranked = sorted((None if step[3] else step[2] for step in maybe), key=lambda status: RANK[status])
            best = None if start >= span.earliest and span.earliest < span.ends else ranked[0]
            yield start, end, (here, best, ranked[-1], public)

    def paint(self) -> Iterator[tuple[int, Painted]]:
        """Yield each component's minutes."""
        linked = self.links()
        for number, (begin, end) in sorted(self.lives().items()):
            alive = np.zeros(self.size, bool)
            alive[self.minutes(begin, end)] = True
            yield number, self._component(number, linked[number], alive)

    def _component(self, number: int, linked: Sequence[tuple], alive: np.ndarray) -> Painted:
        own, own_best, own_worst, known_from = self._own(number)
        hit = {name: np.zeros(self.size, np.int8) for name in ("shown", "status", "best", "worst")}
        for start, end, (status, best, worst, public) in self.impacts(number, linked):
            if not public and self.audience == "public":
                continue
            if self.version == 2:
                status, best, worst = 5, None, 5
                end = min(end, known_from or end)
            cells = self.minutes(start, end)
            painted = {"status": RANK[status], "best": BEST[best], "worst": WORST[worst]}
            if public:
                painted["shown"] = RANK[status]
            for name, rank in painted.items():
                # Operational claims nothing against what the component says of itself.
                hit[name][cells] = np.maximum(hit[name][cells], rank if rank > 1 else 0)
        capped, uncapped = self._maintenance(number)
        base = {
            name: np.where(capped > 0, capped, own_of)
            for name, own_of in (("status", own), ("best", own_best), ("worst", own_worst))
        }
        base["shown"] = np.where(uncapped > 0, uncapped, own)
        levels = {name: np.where(alive, np.maximum(base[name], hit[name]), 0) for name in hit}
        certain = (capped > 0) | (own_best == own_worst)
        return Painted(**levels, in_maintenance=alive & certain & (base["status"] == 3))

    def _maintenance(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        capped, uncapped = np.zeros((2, self.size), np.int8)
        schedules = {row["id"]: row for row in self.table("schedules")}
        given: dict[int, int] = {}
        for link in self.table("schedule_components"):
            if link["component_id"] == number and link["schedule_id"] in schedules:
                given[link["schedule_id"]] = max(
                    given.get(link["schedule_id"], 0), link["component_status"] or 0
                )
        for schedule, status in given.items():
            row = schedules[schedule]
            public = row.get("published_at") is None or row["published_at"] <= self.as_of
            if row["scheduled_at"] is None or not (public or self.audience == "all"):
                continue
            cells = self.minutes(row["scheduled_at"], row["completed_at"] or row["scheduled_at"] + self.cap)
            capped[cells] = 3
            if public and status and self.version != 2:
                shown = self.minutes(row["scheduled_at"], row["completed_at"] or self.as_of)
                uncapped[shown] = np.maximum(uncapped[shown], RANK[status])
        return capped, uncapped

    def _own(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, datetime | None]:
        """Return what a component says of itself, the best and worst that it can have, and since when known."""
        recorded = self.history("component_history", component_id=number)
        if not recorded:
            recorded = [
                {**row, "observed_at": self.as_of, "previous_observed_at": None, "is_deleted": False}
                for row in self.table("components")
                if row["id"] == number
            ]
        own, best, worst = (np.ones(self.size, np.int8) for _ in range(3))
        known_from: datetime | None = None
        last: Row | None = None
        for row in recorded:
            status, seen = 5 if row["is_deleted"] else row["status"] or 5, row["observed_at"]
            edited = row.get("updated_at")
            dated = not row["is_deleted"] and edited is not None and edited <= seen
            if last is None:
                at = edited if dated else seen
                known_from = at
                # Not there at the look before: it came, and may have been edited since.
                unsure = row["previous_observed_at"] or at
            else:
                if status == last["status"] and edited == last["edited"]:
                    last["seen"] = seen
                    continue
                unsure = row.get("unedited_until") or last["seen"]
                dated = dated and edited != last["edited"] and edited >= unsure
                at = max(edited if dated else seen, last["at"])
                unsure = max(unsure, last["at"])
            cells = self.minutes(unsure, at)
            best[cells], worst[cells] = 1, 6
            rest = self.minutes(at, self.as_of)
            own[rest], best[rest], worst[rest] = RANK[status], BEST[status], WORST[status]
            last = {"status": status, "edited": edited, "seen": seen, "at": at}
        return own, best, worst, known_from


def painted_by_models(intervals: Sequence[Row], oracle: Oracle) -> Painted:
    """Return the minutes of one component as the models' intervals have them."""
    columns = {"shown": "shown_status", "status": "status", "best": "status_best", "worst": "status_worst"}
    arrays = {name: np.zeros(oracle.size, np.int8) for name in columns}
    in_maintenance = np.zeros(oracle.size, bool)
    for row in intervals:
        cells = oracle.minutes(row["starts_at"], row["ends_at"])
        for name, column in columns.items():
            arrays[name][cells] = RANK[row[column]]
        in_maintenance[cells] = row["in_maintenance"]
    return Painted(**arrays, in_maintenance=in_maintenance)


def differences(rows: Rows, intervals: Sequence[Row], oracle: Oracle) -> tuple[list[str], int]:
    """Return where models and oracle differ, in words, and how many component-minutes were compared."""
    by_component: dict[int, list[Row]] = defaultdict(list)
    for row in intervals:
        by_component[row["component_id"]].append(row)
    found, compared = [], 0
    for number, expected in oracle.paint():
        actual = painted_by_models(by_component.pop(number, []), oracle)
        for name in ("shown", "status", "best", "worst", "in_maintenance"):
            wanted, given = getattr(expected, name), getattr(actual, name)
            compared += len(wanted)
            odd = np.flatnonzero(wanted != given)
            if len(odd):
                at = oracle.begin + timedelta(minutes=int(odd[0]))
                found.append(
                    f"component {number}, {name}, {at:%Y-%m-%d %H:%M} and {len(odd)} minutes:"
                    f" {given[odd[0]]} instead of {wanted[odd[0]]}"
                )
    return found + [f"component {number} should not be" for number in by_component], compared
