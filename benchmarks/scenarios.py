"""What is compared, and what the project promises of it.

One decision shapes it: a scenario only names a world, a server and contenders, and a promise only names a scenario and a
number; how they are run and shown is `__main__`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.contender import Result
from benchmarks.world import World

LIMIT = 300  # requests a minute: Cachet's default

Medians = Mapping[str, Result]
"""The median result of each contender in a scenario."""


@dataclass(frozen=True)
class Scenario:
    """`floor` names the contenders whose times add up to the floor; `ready` the page sizes the server builds before;
    `once` means that medians of several runs would say no more (a limit's arithmetic, a peak)."""

    title: str
    world: World
    contenders: tuple[str, ...]
    floor: tuple[str, ...] = ()
    latency_ms: float = 0
    ready: tuple[int, ...] = (100,)
    limit: int = 0  # requests a minute; where set, the server is the embedded Cachet
    once: bool = False


SCENARIOS = {
    "20x5000": Scenario(
        "20 metrics x 5,000 points",
        World(metrics=20, points=5_000),
        ("recipe", "floor", "dlt", "dagster"),
        floor=("floor",),
        ready=(100, 15),
    ),
    "20x5000-30ms": Scenario(
        "20 metrics x 5,000 points, 30 ms latency",
        World(metrics=20, points=5_000),
        ("recipe", "floor", "dlt", "dagster"),
        floor=("floor",),
        latency_ms=30,
        ready=(100, 15),
    ),
    "1x1000000": Scenario(
        "1 metric x 1,000,000 points",
        World(metrics=1, points=1_000_000),
        ("floor", "dlt", "dagster"),
        floor=("floor",),
    ),
    "1x5000000-memory": Scenario(
        "1 metric x 5,000,000 points (memory; pages built while asked for)",
        World(metrics=1, points=5_000_000),
        ("dagster",),
        ready=(),
        once=True,
    ),
    "1000x100-first": Scenario(
        "1,000 metrics x 100 points, first load",
        World(metrics=1_000, points=100, interleaved=True),
        ("floor", "bare-events", "dlt", "dagster"),
        floor=("floor", "bare-events"),
    ),
    "1000x100-no-news": Scenario(
        "1,000 metrics x 100 points, loaded again without news",
        World(metrics=1_000, points=100, interleaved=True),
        ("bare-requests", "bare-events", "dlt-no-news", "dagster-no-news"),
        floor=("bare-requests", "bare-events"),
    ),
    "incidents-20000": Scenario(
        "20,000 incidents with updates, components and details",
        World(incidents=20_000),
        ("floor-incidents", "dlt-incidents", "dagster-incidents"),
        floor=("floor-incidents",),
    ),
    "limit-300": Scenario(
        f"about 700 requests where {LIMIT} a minute are granted",
        World(metrics=7, points=9_800),
        ("dagster",),
        limit=LIMIT,
        once=True,
    ),
    "10000-partitions": Scenario(
        "10,000 metrics x 10 points as 10,000 partitions",
        World(metrics=10_000, points=10, interleaved=True),
        ("bare-events", "dagster-partitions"),
        floor=("bare-events",),
        once=True,
    ),
}


def floor_seconds(scenario: Scenario, medians: Medians) -> float | None:
    """The floor's time, or None where a part of it did not run."""
    if not scenario.floor or any(part not in medians for part in scenario.floor):
        return None
    return sum(medians[part].seconds for part in scenario.floor)


def limit_seconds(requests: int, limit: int) -> float:
    """The least time in which `requests` can be had where each minute, counted from its first one, grants `limit`."""
    return (math.ceil(requests / limit) - 1) * 60.0


@dataclass(frozen=True)
class Promise:
    """`value` of a scenario's medians lies within `bound`: at most it, or at least it."""

    scenario: str
    text: str
    value: Callable[[Medians], float]
    bound: float
    at_least: bool = False

    def kept(self, medians: Medians) -> bool:
        value = self.value(medians)
        return value >= self.bound if self.at_least else value <= self.bound


def _over_floor(scenario: str, contender: str) -> Callable[[Medians], float]:
    return lambda medians: (
        medians[contender].seconds / (floor_seconds(SCENARIOS[scenario], medians) or math.nan)
    )


def _over(slow: str, fast: str) -> Callable[[Medians], float]:
    return lambda medians: medians[slow].seconds / medians[fast].seconds


# A run's few requests beside those for points: which API it is, whether the token is good, the list of metrics.
_FIXED = 6

PROMISES = (
    Promise("1x1000000", "dagster / floor, time", _over_floor("1x1000000", "dagster"), 2),
    Promise("1x1000000", "dagster, peak MB", lambda medians: medians["dagster"].peak_mb, 500),
    Promise("1x5000000-memory", "dagster, peak MB", lambda medians: medians["dagster"].peak_mb, 500),
    Promise("20x5000", "recipe / dagster, time", _over("recipe", "dagster"), 15, at_least=True),
    Promise(
        "20x5000", "dagster, requests", lambda medians: medians["dagster"].requests, 20 * (50 + 2) + _FIXED
    ),
    Promise("20x5000-30ms", "recipe / dagster, time", _over("recipe", "dagster"), 40, at_least=True),
    Promise(
        "1000x100-no-news",
        "dagster / (bare events + bare requests), time",
        _over_floor("1000x100-no-news", "dagster-no-news"),
        1.3,
    ),
    Promise(
        "1000x100-no-news",
        "dagster, requests",
        lambda medians: medians["dagster-no-news"].requests,
        1_000 + _FIXED,
    ),
    Promise("limit-300", "answers 429", lambda medians: medians["dagster"].refused, 0),
    Promise(
        "limit-300",
        "seconds beyond the limit's own arithmetic",
        lambda medians: medians["dagster"].seconds - limit_seconds(medians["dagster"].requests, LIMIT),
        2,
    ),
)
