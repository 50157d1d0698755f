"""The status page that the benchmarks load: rows made by formula, so that none is stored to be verified.

Each table's rows are written twice, on purpose: once as Cachet 3's JSON, in Python, for the server, and once
as SQL, for the verification. A slip in one shows as a difference.
"""

# ruff: noqa: UP031 - JSON is full of braces, and % leaves them alone.
from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

EPOCH = datetime(2020, 1, 1)
STEP = 30  # seconds between two points of a metric: what Cachet rounds created_at to
PER_DAY = 86_400 // STEP
UPDATES = 3  # per incident
INCIDENT_STEP = 1_200  # seconds between two incidents
UNRESOLVED = 20  # the newest incidents, still being investigated

_TIMES = [(EPOCH + timedelta(seconds=STEP * i)).strftime(" %H:%M:%S") for i in range(PER_DAY)]
_DAYS = [(EPOCH + timedelta(days=i)).strftime("%Y-%m-%d") for i in range(2_000)]

_POINT = (
    '{"id":"%d","type":"metricPoints","attributes":{"id":%d,"metric_id":%d,"calculated_value":%.7g,'
    '"value":%.6g,"counter":%d,"created":{"human":"1 year ago","string":"%s"},'
    '"updated":{"human":"1 year ago","string":"%s"}}}'
)
_METRIC = (
    '{"id":"%d","type":"metrics","attributes":{"id":%d,"name":"Metric %d","suffix":"ms","description":null,'
    '"default_value":0,"calc_type":1,"display_chart":true,"places":2,"default_view":0,"threshold":5,'
    '"order":%d,"visible":1,"created":{"human":"6 years ago","string":"2019-12-01 00:00:00"},'
    '"updated":{"human":"6 years ago","string":"2019-12-01 00:00:00"}}}'
)
_INCIDENT = (
    '{"id":"%d","type":"incidents","attributes":{"id":%d,"guid":"%08x-0000-4000-8000-%012x",'
    '"name":"Incident %d: trouble",'
    '"message":"We are looking into **trouble** %d.\\n\\n- line one\\n- line \\"two\\" — ünïcode ☃",'
    '"visible":1,"stickied":false,"notifications":0%s,"status":{"human":"%s","value":%d},'
    '"occurred":{"human":"1 year ago","string":"%s"},"published":{"human":"1 year ago","string":"%s"},'
    '"created":{"human":"1 year ago","string":"%s"},"updated":{"human":"1 year ago","string":"%s"}}%s}'
)
_UPDATE = (
    '{"id":"%d","type":"updates","attributes":{"id":%d,"updateable_id":%d,"updateable_type":"incident",'
    '"message":"Update %d of incident %d.","status":{"human":"%s","value":%d},'
    '"created":{"human":"1 year ago","string":"%s"},"updated":{"human":"1 year ago","string":"%s"}}}'
)
_COMPONENT = (
    '{"id":"%d","type":"components","attributes":{"id":%d,"name":"Service %d",'
    '"description":"Service number %d — \\"quoted\\", ünïcode ☃ & <b>markup</b>",'
    '"link":"https://example.com/s/%d","order":%d,'
    '"status":{"human":"Operational","value":1},"latest_status":{"human":"Major outage","value":4},'
    '"enabled":true%s,"created":{"human":"6 years ago","string":"2019-12-01 00:00:00"},'
    '"updated":{"human":"6 years ago","string":"2019-12-01 00:00:00"}%s}%s}'
)
_INCIDENT_STATUS = ("Unknown", "Investigating", "Identified", "Watching", "Fixed")
_COMPONENT_STATUS = {
    1: "Operational",
    2: "Performance issues",
    3: "Partial outage",
    4: "Major outage",
    5: "Unknown",
    6: "Under maintenance",
}


def _when(seconds: int) -> str:
    """Cachet's `created.string`: local time, no offset; `seconds` since EPOCH, a multiple of STEP."""
    day, time = divmod(seconds // STEP, PER_DAY)
    return _DAYS[day] + _TIMES[time]


@dataclass(frozen=True)
class World:
    """How many rows of each kind there are.

    `points` is per metric. Ids of points are global, as Cachet's are: block-wise (a metric's points follow
    each other) or `interleaved` (the metrics took turns). The components are 200 for the same share of links
    as in a recorded Cachet, a third, to repeat a component already seen on their list page: those are the
    links whose status only `incidents/{id}` gives right. Points of an `unforeseen` world have an attribute and a
    member that no Cachet of today sends.
    """

    metrics: int = 0
    points: int = 0
    incidents: int = 0
    components: int = 200
    interleaved: bool = False
    unforeseen: bool = False

    def __post_init__(self) -> None:
        if max(self.points * STEP, self.incidents * INCIDENT_STEP) >= len(_DAYS) * 86_400:
            raise ValueError("more rows than the calendar of this world has days for")

    def few(self) -> World:
        """The same in small: a few rows of each kind that there is."""
        return replace(
            self,
            metrics=min(self.metrics, 2),
            points=min(self.points, 20),
            incidents=min(self.incidents, 50),
        )

    # -- as Cachet's JSON

    def metric(self, metric_id: int) -> str:
        return _METRIC % (metric_id, metric_id, metric_id, metric_id)

    def point_rows(self, metric_id: int, first: int, stop: int, step: int = 1) -> list[str]:
        """A metric's points with positions `range(first, stop, step)`, counted from 0 in order of id."""
        base, stride = (
            (metric_id, self.metrics) if self.interleaved else ((metric_id - 1) * self.points + 1, 1)
        )
        rows = []
        for position in range(first, stop, step):
            point_id = base + position * stride
            value = point_id * 7919 % 1_000_000 / 1000
            counter = 1 if point_id % 7 else 3
            when = _DAYS[position // PER_DAY] + _TIMES[position % PER_DAY]
            rows.append(_POINT % (point_id, point_id, metric_id, value * counter, value, counter, when, when))
        if self.unforeseen:
            rows = [row[:-2] + ',"unit":"ms"},"relationships":{}}' for row in rows]
        return rows

    def links(self, incident_id: int) -> list[tuple[int, int]]:
        """The incident's components as (component_id, status within the incident)."""
        scattered = incident_id * 2_654_435_761 % 4_294_967_296 // 128
        first = scattered % self.components
        ids = [first + 1]
        if incident_id % 3:
            ids.append(
                (first + 1 + scattered // self.components % (self.components - 1)) % self.components + 1
            )
        return [(component_id, (incident_id + component_id) % 6 + 1) for component_id in ids]

    def incident(self, incident_id: int, include: frozenset[str]) -> str:
        when = _when(incident_id * INCIDENT_STEP)
        status = 1 if incident_id > self.incidents - UNRESOLVED else 4
        related = []
        if "components" in include:
            links = ",".join('{"type":"components","id":"%d"}' % link for link, _ in self.links(incident_id))
            related.append('"components":{"data":[%s]}' % links)
        if "updates" in include:
            updates = ",".join(
                '{"type":"updates","id":"%d"}' % update for update in self.update_ids(incident_id)
            )
            related.append('"updates":{"data":[%s]}' % updates)
        if "user" in include:
            related.append('"user":{"data":null}')
        return _INCIDENT % (
            incident_id, incident_id, incident_id, incident_id, incident_id, incident_id,
            _meta(include, '{"ticket":"OPS-%d"}' % incident_id if incident_id % 2 else "[]"),
            _INCIDENT_STATUS[status], status, when, when, when, when,
            ',"relationships":{%s}' % ",".join(related) if related else "",
        )  # fmt: skip

    def update_ids(self, incident_id: int) -> range:
        return range((incident_id - 1) * UPDATES + 1, incident_id * UPDATES + 1)

    def update(self, update_id: int) -> str:
        incident_id, number = (update_id - 1) // UPDATES + 1, (update_id - 1) % UPDATES
        status = number + 1 if number < UPDATES - 1 else 4
        when = _when(incident_id * INCIDENT_STEP + (number + 1) * STEP)
        return _UPDATE % (
            update_id, update_id, incident_id, number, incident_id, _INCIDENT_STATUS[status], status,
            when, when,
        )  # fmt: skip

    def component(
        self, component_id: int, include: frozenset[str] = frozenset(), pivot: int | None = None
    ) -> str:
        status = '{"component_status":{"human":"%s","value":%d}}'
        return _COMPONENT % (
            component_id, component_id, component_id, component_id, component_id, component_id,
            _meta(include, "[]"),
            "" if pivot is None else ',"pivot":' + status % (_COMPONENT_STATUS[pivot], pivot),
            ',"relationships":{"group":{"data":null}}' if "group" in include else "",
        )  # fmt: skip

    def included(self, incident_ids: list[int], include: frozenset[str]) -> list[str]:
        """What follows the incidents in `included`: each component once, with its first incident's status, as
        Cachet de-duplicates it (FACTS: the list is wrong for the others)."""
        rows, seen = [], set()
        for incident_id in incident_ids:
            if "components" in include:
                for component_id, status in self.links(incident_id):
                    if component_id not in seen:
                        seen.add(component_id)
                        rows.append(self.component(component_id, pivot=status))
            if "updates" in include:
                rows.extend(map(self.update, self.update_ids(incident_id)))
        return rows

    # -- as SQL, with times in seconds since 1970

    def expected(self) -> dict[str, str]:
        """Per table the SELECT that yields just the rows of a complete load; empty tables are left out."""
        epoch = int((EPOCH - datetime(1970, 1, 1)).total_seconds())
        tables = {}
        if self.points:
            point_id = (
                f"position * {self.metrics} + metric" if self.interleaved
                else f"(metric - 1) * {self.points} + position + 1"
            )  # fmt: skip
            tables["metric_points"] = f"""
                SELECT id, metric AS metric_id, (id * 7919 % 1000000) / 1000.0::DOUBLE AS value,
                       CASE WHEN id % 7 = 0 THEN 3 ELSE 1 END AS counter,
                       {epoch} + position * {STEP} AS created_at
                FROM (SELECT metric, position, {point_id} AS id
                      FROM range(1, {self.metrics + 1}) AS m(metric), range({self.points}) AS p(position))"""
        if self.incidents:
            incidents = f"range(1, {self.incidents + 1}) AS i(id)"
            tables["incidents"] = f"""
                SELECT id, 'Incident ' || id || ': trouble' AS name,
                       CASE WHEN id > {self.incidents - UNRESOLVED} THEN 1 ELSE 4 END AS status,
                       {epoch} + id * {INCIDENT_STEP} AS created_at
                FROM {incidents}"""
            tables["incident_updates"] = f"""
                SELECT (id - 1) * {UPDATES} + n + 1 AS id, id AS incident_id,
                       CASE WHEN n < {UPDATES - 1} THEN n + 1 ELSE 4 END AS status,
                       {epoch} + id * {INCIDENT_STEP} + (n + 1) * {STEP} AS created_at
                FROM {incidents}, range({UPDATES}) AS u(n)"""
            count = self.components
            tables["incident_components"] = f"""
                WITH scattered AS (SELECT id, id * 2654435761 % 4294967296 // 128 AS s FROM {incidents}),
                     links AS (SELECT id, s % {count} + 1 AS component FROM scattered
                               UNION ALL
                               SELECT id, (s % {count} + 1 + s // {count} % {count - 1}) % {count} + 1
                               FROM scattered WHERE id % 3 > 0)
                SELECT id AS incident_id, component AS component_id,
                       (id + component) % 6 + 1 AS component_status
                FROM links"""
        return tables


def _meta(include: frozenset[str], text: str) -> str:
    return f',"meta":{text}' if "meta" in include else ""
