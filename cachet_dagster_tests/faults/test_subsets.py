"""An endpoint's failure is its own, whichever fail, at whatever page."""

from __future__ import annotations

import random

import pytest

from cachet_dagster.demo import DemoServer
from cachet_dagster.source import ENDPOINTS
from cachet_dagster.source.reader import CachetReader

from .loading import settings, truth
from .server import Exchange, Fault, FaultServer, drips, resets_in_the_body, says, well

# By-id endpoints share the list of another one, and fail with it.
PATHS = {
    "incidents": "/api/incidents",
    "components": "/api/components",
    "components_groups": "/api/component-groups",
    "metrics": "/api/metrics",
    "schedules": "/api/schedules",
    "subscribers": "/api/subscribers",
    "incident_templates": "/api/incident-templates",
    "system_status": "/api/status",
    "versions": "/api/version",
}
SHARED = {"incidents": {"incidents", "incidents_by_id"}, "components": {"components", "components_by_id"}}
FAULTS: tuple[Fault, ...] = (
    says(500),
    says(200, b"<html>", "text/html"),
    resets_in_the_body,
    drips,
    says(200, {}),
)


def from_request(number: int, fault: Fault) -> Fault:
    """Misbehave from the given request for the path on, whichever page that asks for."""

    async def later(exchange: Exchange) -> None:
        late = exchange.server.asked(exchange.seen.path) >= number
        await (fault if late else well)(exchange)

    return later


@pytest.mark.parametrize("seed", range(15))
def test_any_subset_may_fail_and_the_others_are_read_whole(
    seed: int, demo: DemoServer, server: FaultServer
) -> None:
    chance = random.Random(seed)
    failing = chance.sample(sorted(PATHS), chance.randint(1, len(PATHS)))
    page = chance.randint(2, 4) if "incidents" in failing else 1
    server.faults = {PATHS[name]: chance.choice(FAULTS) for name in failing}
    if "incidents" in failing:
        server.faults[PATHS["incidents"]] = from_request(page, chance.choice(FAULTS))
    names = [name for name in ENDPOINTS if name not in ("metric_points", "dashboards")]

    reads = CachetReader(settings(server.url, timeout=0.3)).read(names)

    expected = set().union(*(SHARED.get(name, {name}) for name in failing))
    assert {name for name, read in reads.items() if read.error} == expected, f"failing: {failing}"
    for name in expected:
        assert str(reads[name].error).startswith(f"{name}: ")
        assert reads[name].rows == {}
    for table, rows in truth(demo.world, PATHS).items():
        if table not in expected:
            got = {row["id"]: row for row in reads[table].rows[table]}
            assert len(got) == len(rows)
            assert all(got[row["id"]].items() >= row.items() for row in rows)
