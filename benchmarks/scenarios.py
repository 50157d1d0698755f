"""What is compared, and what the project aims at.

One decision shapes it: a scenario only names a world, a server and contenders, and an aim only a number and
its bound; how they are run and shown is `__main__`'s business.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contender import Result
from benchmarks.world import World

LIMIT = 300  # requests a minute: Cachet's default


@dataclass(frozen=True)
class Summary:
    """A contender's runs in a scenario: times and notes are medians, all else is the worst of the runs."""

    runs: int
    seconds: float
    fastest: float
    slowest: float
    cpu_seconds: float
    requests: int
    refused: int
    rows: int
    peak_mb: float
    differences: int | None
    notes: dict

    @classmethod
    def of(cls, results: Sequence[Result]) -> Summary:
        seconds = [result.seconds for result in results]
        differences = [result.differences for result in results if result.differences is not None]
        return cls(
            runs=len(results),
            seconds=statistics.median(seconds),
            fastest=min(seconds),
            slowest=max(seconds),
            cpu_seconds=statistics.median(result.cpu_seconds for result in results),
            requests=max(result.requests for result in results),
            refused=max(result.refused for result in results),
            rows=min(result.rows for result in results),
            peak_mb=max(result.peak_mb for result in results),
            differences=max(differences, default=None),
            notes={
                text: statistics.median(result.notes[text] for result in results) for text in results[0].notes
            },
        )


Found = Mapping[str, Mapping[str, Summary]]
"""What was found: by scenario and contender, those only that ran."""


@dataclass(frozen=True)
class Scenario:
    """`floor` names the contenders whose times add up to it; `ready` the page sizes to build beforehand."""

    title: str
    world: World
    contenders: tuple[str, ...]
    floor: tuple[str, ...] = ()
    latency_ms: float = 0
    ready: tuple[int, ...] = (100,)
    limit: int = 0  # requests a minute; where set, the server is the embedded Cachet
    api: int = 3  # where 2, the server is the embedded Cachet too


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
    "1x1000000-unforeseen": Scenario(
        "1 metric x 1,000,000 points with an attribute that nobody foresaw and an empty `relationships`",
        World(metrics=1, points=1_000_000, unforeseen=True),
        ("floor", "dagster"),
        floor=("floor",),
    ),
    "1x500000-cachet2": Scenario(
        "1 metric x 500,000 points of a Cachet 2",
        World(metrics=1, points=500_000),
        ("dagster",),
        api=2,
    ),
    "1x500000-cachet2-unforeseen": Scenario(
        "1 metric x 500,000 points of a Cachet 2 with an attribute that nobody foresaw",
        World(metrics=1, points=500_000, unforeseen=True),
        ("dagster",),
        api=2,
    ),
    "1x5000000-memory": Scenario(
        "1 metric x 5,000,000 points (memory; pages built while asked for)",
        World(metrics=1, points=5_000_000),
        ("dagster",),
        ready=(),
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
    ),
    "10000-partitions": Scenario(
        "10,000 metrics x 10 points as 10,000 partitions",
        World(metrics=10_000, points=10, interleaved=True),
        ("bare-events", "dagster-partitions"),
        floor=("bare-events",),
    ),
}


def floor_seconds(name: str, found: Found) -> float:
    """The time of a scenario's floor; KeyError where a part of it did not run."""
    return sum(found[name][part].seconds for part in SCENARIOS[name].floor)


def limit_seconds(requests: int, limit: int) -> float:
    """The least time for `requests` where each minute, counted from its first request, grants `limit`."""
    return (math.ceil(requests / limit) - 1) * 60.0


@dataclass(frozen=True)
class Aim:
    """`value` of what was found lies within `bound`, at most or at least; KeyError where it did not run."""

    scenario: str
    text: str
    value: Callable[[Found], float]
    bound: float
    at_least: bool = False

    def verdict(self, found: Found) -> tuple[float | None, str]:
        """The value, or None, and `met`, `missed` or `not measured`."""
        try:
            value = self.value(found)
        except KeyError:
            return None, "not measured"
        met = value >= self.bound if self.at_least else value <= self.bound
        return value, "met" if met else "missed"


def _over_floor(scenario: str, contender: str) -> Callable[[Found], float]:
    return lambda found: found[scenario][contender].seconds / floor_seconds(scenario, found)


def _recipe_over(scenario: str, contender: str) -> Callable[[Found], float]:
    return lambda found: found[scenario]["recipe"].seconds / found[scenario][contender].seconds


def _peak(scenario: str) -> Callable[[Found], float]:
    return lambda found: found[scenario]["dagster"].peak_mb


def _requests(scenario: str, contender: str) -> Callable[[Found], float]:
    return lambda found: found[scenario][contender].requests


def _beyond_limit(found: Found) -> float:
    run = found["limit-300"]["dagster"]
    return run.seconds - limit_seconds(run.requests, LIMIT)


# A run's few requests beside those for points: which API it is, if the token is good, the list of metrics.
_FIXED = 6

AIMS = (
    Aim("20x5000", "recipe / dagster, time", _recipe_over("20x5000", "dagster"), 15, at_least=True),
    Aim("20x5000", "dagster, requests", _requests("20x5000", "dagster"), 20 * (50 + 2) + _FIXED),
    Aim("20x5000-30ms", "recipe / dagster, time", _recipe_over("20x5000-30ms", "dagster"), 40, at_least=True),
    Aim("20x5000-30ms", "dagster, requests", _requests("20x5000-30ms", "dagster"), 20 * (50 + 2) + _FIXED),
    Aim("1x1000000", "dagster / floor, time", _over_floor("1x1000000", "dagster"), 1.6),
    Aim("1x1000000", "dagster, peak MB", _peak("1x1000000"), 400),
    Aim(
        "1x1000000-unforeseen",
        "dagster, time over that of points as they are foreseen",
        lambda found: (
            found["1x1000000-unforeseen"]["dagster"].seconds / found["1x1000000"]["dagster"].seconds
        ),
        1.3,
    ),
    Aim(
        "1x500000-cachet2-unforeseen",
        "dagster, time over that of points as they are foreseen",
        lambda found: (
            found["1x500000-cachet2-unforeseen"]["dagster"].seconds
            / found["1x500000-cachet2"]["dagster"].seconds
        ),
        1.3,
    ),
    Aim("incidents-20000", "dagster / floor, time", _over_floor("incidents-20000", "dagster-incidents"), 4),
    Aim("1x5000000-memory", "dagster, peak MB", _peak("1x5000000-memory"), 500),
    Aim(
        "1x5000000-memory",
        "dagster, peak MB over that of 1,000,000 points",
        lambda found: _peak("1x5000000-memory")(found) / _peak("1x1000000")(found),
        1.1,  # two runs of the same differ by some percent
    ),
    Aim(
        "1000x100-no-news",
        "dagster / (bare events + bare requests), time",
        _over_floor("1000x100-no-news", "dagster-no-news"),
        1.3,
    ),
    Aim(
        "1000x100-no-news",
        "dagster, requests",
        _requests("1000x100-no-news", "dagster-no-news"),
        1_000 + _FIXED,
    ),
    Aim("limit-300", "answers 429", lambda found: found["limit-300"]["dagster"].refused, 0),
    Aim("limit-300", "seconds beyond the limit's own arithmetic", _beyond_limit, 2),
)
