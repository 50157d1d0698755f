"""A simulated server that keeps its own record of what was, and the looks of loads at it.

History is written by the real `history_rows`; only the sockets between are left out, so that thousands of cases take
seconds.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cachet_dagster.analytics.history import HistoryState, Observation, history_rows
from cachet_dagster.analytics.tables import HISTORY
from cachet_dagster.source import ENDPOINTS
from cachet_dagster.source.errors import Unreachable
from cachet_dagster.source.reader import EndpointRead

from .pages import Row, at

BEGIN = at("2026-03-26 00:00")
DAYS = 7
SECONDS = DAYS * 86_400


def moment(seconds: float) -> datetime:
    """Return the time so many seconds after the begin."""
    return BEGIN + timedelta(seconds=seconds)


class Recorder:
    """Tables and history as loads leave them: what was shown replaces the tables, changes go into history."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {name: [] for name in HISTORY}
        self._state = HistoryState()

    def look(
        self,
        shown: Mapping[str, Sequence[Row]],
        when: datetime,
        rights: str = "full",
        failed: Sequence[str] = (),
    ) -> None:
        """Load what was shown, by endpoint, while some endpoints fail."""
        reads = [
            EndpointRead(
                endpoint, {**{table: [] for table in endpoint.tables}, endpoint.tables[0]: list(rows)}
            )
            for endpoint, rows in ((ENDPOINTS[name], rows) for name, rows in shown.items())
        ]
        errors = [EndpointRead(ENDPOINTS[name], error=Unreachable("no answer", "")) for name in failed]
        seen = Observation(rights, when, when)
        for name, rows in history_rows(self._state, [*reads, *errors], seen).items():
            self.rows[name] += rows
            if name == "endpoint_observations":
                for row in rows:
                    self._state.observations.setdefault(row["endpoint"], []).append(row)
            else:
                key = HISTORY[name].key[:-1]
                self._state.newest.setdefault(name, {}).update(
                    {tuple(row[column] for column in key): row for row in rows}
                )
        for read in reads:
            self.rows.update({table: list(rows) for table, rows in read.rows.items()})


@dataclass
class Component:
    """A component and the server's own record of it: when it was set to which status, and when it was edited."""

    number: int
    changes: list[tuple[int, int]]
    edits: list[int]
    maintenance: list[tuple[int, int, int | None]] = field(default_factory=list)

    def status(self, second: int) -> int:
        """Return what it was set to."""
        return self.changes[bisect.bisect_right(self.changes, (second, 9)) - 1][1]

    def edited(self, second: int) -> int:
        """Return when it was last edited."""
        return self.edits[bisect.bisect_right(self.edits, second) - 1]

    def row(self, second: int) -> Row:
        """Return what the API shows."""
        return {
            "id": self.number,
            "name": f"Component {self.number}",
            "enabled": True,
            "status": self.status(second),
            "component_group_id": None,
            "created_at": BEGIN,
            "updated_at": moment(self.edited(second)),
        }

    def stretches(self) -> list[tuple[int, int, int, bool]]:
        """Return the truth: from, to, status, whether under announced maintenance."""
        cuts = {0, SECONDS, *(second for second, _ in self.changes), *range(0, SECONDS, 86_400)}
        cuts |= {second for begin, end, _ in self.maintenance for second in (begin, end)}
        ordered = sorted(cut for cut in cuts if cut <= SECONDS)
        found = []
        for begin, end in itertools.pairwise(ordered):
            is_announced = any(start <= begin < stop for start, stop, _ in self.maintenance)
            found.append((begin, end, 6 if is_announced else self.status(begin), is_announced))
        return found


def component(
    chance: random.Random,
    number: int,
    *,
    maintained: bool = True,
    statuses: Sequence[int] = (1, 2, 3, 4, 5, 6),
) -> Component:
    """Return a component with changes there and back, edits that change nothing, and maintenance, at any second."""
    changes, edits, second, status = [(0, 1)], [0], 0, 1
    while (
        second := second + int(chance.expovariate(1 / chance.choice((600, 20_000, 90_000)))) + 1
    ) < SECONDS:
        if chance.random() < 0.7:
            status = chance.choice([other for other in (1, *statuses) if other != status])
            changes.append((second, status))
        edits.append(second)
    windows = []
    if maintained and chance.random() < 0.5:
        begin = chance.randrange(SECONDS - 90_000)
        windows = [(begin, begin + chance.randrange(600, 80_000), chance.choice((None, 1, 4, 6)))]
    return Component(number, changes, edits, windows)


def looked_at(
    chance: random.Random, components: Sequence[Component]
) -> tuple[dict[str, list[Row]], list[int]]:
    """Return the rows that looks at random moments leave, and the moments."""
    looks = sorted({0, *(chance.randrange(SECONDS) for _ in range(chance.randint(1, 60))), SECONDS})
    recorder = Recorder()
    for second in looks:
        recorder.look({"components": [one.row(second) for one in components]}, moment(second))
    recorder.rows["schedules"] = [
        {"id": one.number, "scheduled_at": moment(begin), "completed_at": moment(end), "published_at": None}
        for one in components
        for begin, end, _ in one.maintenance
    ]
    recorder.rows["schedule_components"] = [
        {"schedule_id": one.number, "component_id": one.number, "component_status": status}
        for one in components
        for _, _, status in one.maintenance
    ]
    return recorder.rows, looks
