"""Loads of one place that are killed, or run at once: short in `make test`, long in `make soak`."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import TABLES, CachetSettings, metric_points_resource
from cachet_dagster.source.points.columns import SCHEMA
from cachet_dagster.warehouse import load
from cachet_dagster.warehouse.points import PointsLoad

from .children import Child
from .comparing import REPLACED
from .places import Place, load_page
from .postgres_stages import Stages
from .proofs import a_page

STEP_ROWS = 20_000
"""Points loaded at a time: so many that PostgreSQL is first tried without looking for them."""

Contents = dict[str, list[Any]]


def settings_of(url: str) -> CachetSettings:
    return CachetSettings.model_validate({"base_url": url, "api_key": DEMO_TOKEN})


# What the processes do.


def load_tables(place: Place, url: str, times: int = 1) -> list[str]:
    """Load the tables, and return why endpoints were not loaded."""
    failures: list[str] = []
    for _ in range(times):
        errors, _ = load_page(settings_of(url), place.warehouse(wait=300), points=False)
        failures += [f"{name}: {error}" for name, error in errors.items()]
    return failures


def load_metrics(place: Place, url: str, metric_ids: Sequence[int], times: int = 1) -> list[str]:
    """Load the points of metrics from the start, whatever is stored, and return why that failed."""
    failures: list[str] = []
    for _ in range(times):
        points = PointsLoad(settings_of(url), place.warehouse(wait=300), lambda _: None, step_rows=500)
        failures += [str(one.error) for one in points.run(metric_ids, full_refresh=True) if one.error]
    return failures


def watch(place: Place, until: Path) -> int:
    """Look at tables while they are loaded, and return how often there was something to see.

    Raises:
        AssertionError: What was seen was half a table, or two at once.
    """
    seen, highest = 0, 0
    while not until.exists():
        with place.warehouse(wait=300).reading() as session:
            points = session("metric_points", "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {table}")
            names = session("components", "SELECT name FROM {table}")
        if points:
            assert points[0]["n"] == points[0]["ids"] >= highest, "points are there twice, or went away"
            highest = points[0]["n"]
        if names is not None:
            words = Counter(row["name"].split("-")[0] for row in names)
            assert len(words) <= 1, f"two loads are mixed: {words}"
            assert {*words.values()} <= {30}, f"half a table: {words}"
            seen += bool(words)
        time.sleep(0.02)
    return seen


def load_steps(place: Place, steps: int, number: int) -> None:
    """Load points that are there in steps, each with a number as its counter."""
    for step in range(steps):
        ids = range(step * STEP_ROWS + 1, (step + 1) * STEP_ROWS + 1)
        rows = pa.table({"id": ids, "metric_id": [1] * len(ids), "counter": [number] * len(ids)})
        points = pa.concat_tables([SCHEMA.empty_table(), rows], promote_options="default").cast(SCHEMA)
        load(place.warehouse(wait=300), [metric_points_resource(lambda points=points: iter([points]))])


# What is proven.


def loads_at_once(
    place: Place, folder: Path, *, processes: int = 8, times: int = 1, points: int = 300
) -> Counter[str]:
    """Load metrics, each from two processes, and the same tables from as many: nothing is lost, doubled or mixed."""
    world = World.generate(metrics=processes, points=points)
    pages = [a_page(word) for word in ("one", "two")]
    counted: Counter[str] = Counter(processes=2 * processes)
    end = folder / "end"
    with contextlib.ExitStack() as running:
        server, *others = (running.enter_context(DemoServer(each, me=True)) for each in (world, *pages))
        # Each metric is loaded by two processes at once, and each process loads two metrics.
        shared = [[number, number % processes + 1] for number in range(1, processes + 1)]
        readers = [Child(watch, place, end) for _ in range(2)]
        try:
            loading = [Child(load_metrics, place, server.url, metrics, times) for metrics in shared]
            loading += [Child(load_tables, place, others[at % 2].url, times) for at in range(processes - 2)]
            failures = [failure for child in loading for failure in child.result(900)]
        finally:
            end.touch()
        counted["looks meanwhile"] = sum(child.result() for child in readers)
    counted["loads"] = len(loading) * times
    counted["failures"] = len(failures)
    assert failures == [], failures
    counted["points"] = place.count("metric_points")
    counted["wrong points"] = len(place.wrong_points(world))
    counted["tables compared"] = len(REPLACED)
    counted["mixed tables"] = len(mixed_tables(place, [folder / "alone-one", folder / "alone-two"], pages))
    return counted


def mixed_tables(place: Place, folders: Sequence[Path], pages: Sequence[World]) -> list[str]:
    """Return the tables that are not those of one of the pages."""
    found = contents(place)
    wanted = [contents(loaded_alone(folder, page)) for folder, page in zip(folders, pages, strict=True)]
    return [table for table in REPLACED if found[table] not in [one[table] for one in wanted]]


def killed_loads(place: Place, folder: Path, kills: int, *, seed: int = 1) -> Counter[str]:
    """Kill loads that replace one page by another: each table is one or the other, and the next load ends right.

    The kills take turns at the stages of a load, and each comes somewhere within its stage.
    """
    rng = random.Random(seed)
    counted: Counter[str] = Counter()
    pages = [a_page(word) for word in ("old", "new")]
    wanted = [{}, contents(loaded_alone(folder, pages[1]))]
    with DemoServer(pages[0], me=True) as one, DemoServer(pages[1], me=True) as other:
        watched = [contextlib.closing(Stages(place, server)) for server in (one, other)]
        with watched[0] as stages_of_one, watched[1] as stages_of_other:
            lasting = stages_of_one.lasting(Child(load_tables, place, one.url))
            seen = [*lasting]
            wanted[0] = contents(place)
            for table in REPLACED:
                assert wanted[0][table] != wanted[1][table], f"{table} cannot tell one page from the other"
            for number in range(kills):
                # From here on pages take turns, so that each kill has something to replace.
                at, stages = (1, stages_of_other) if number % 2 == 0 else (0, stages_of_one)
                server, stage = (one, other)[at], seen[-1 - number % len(seen)]
                child = Child(load_tables, place, server.url)
                reached = stages.kill(child, stage, lasting[stage] * rng.random())
                counted[f"killed while {reached}"] += 1
                found = contents(place)
                for table in REPLACED:
                    assert found[table] in (wanted[0][table], wanted[1][table]), (
                        f"killed while {reached}: {table} is neither the old nor the new"
                    )
                replaced = sum(found[table] == wanted[at][table] for table in REPLACED)
                counted["kills between the tables of a load"] += 0 < replaced < len(REPLACED)
                counted["kills after all tables were replaced"] += replaced == len(REPLACED)
                assert Child(load_tables, place, server.url).result() == []
                assert contents(place) == wanted[at], f"killed while {reached}: the next load ended wrong"
                counted["survived"] += 1
    return counted


def killed_points(place: Place, kills: int, *, steps: int = 4, seed: int = 1) -> Counter[str]:
    """Kill loads of points while rows go into their table: those of a step are all there, all new, or none is.

    Half of the loads find no rows; the others find each, and change it.
    """
    rng = random.Random(seed)
    counted: Counter[str] = Counter()
    table = "SELECT count(*) AS n, min(counter) AS lowest, max(counter) AS highest FROM {table}"
    with contextlib.closing(Stages(place)) as stages:
        lasting = stages.lasting(Child(load_steps, place, steps, -1))["writing"]
        for number in range(kills):
            if number % 2 == 0:
                with place.warehouse().writing() as session:
                    session.delete("metric_points", "id > 0")
            reached = stages.kill(Child(load_steps, place, steps, number), "writing", lasting * rng.random())
            counted[f"killed while {reached}"] += 1
            written = 0
            for step in range(steps):
                first, last = step * STEP_ROWS + 1, (step + 1) * STEP_ROWS
                with place.warehouse().reading() as session:
                    (found,) = session("metric_points", f"{table} WHERE id BETWEEN {first} AND {last}") or []
                left = {(0, None, None)} if number % 2 == 0 else {(STEP_ROWS, number - 1, number - 1)}
                new = (STEP_ROWS, number, number)
                assert tuple(found.values()) in {*left, new}, f"a step is there in part: {found}"
                written += tuple(found.values()) == new
            counted["kills between the steps of a load"] += 0 < written < steps
            counted["kills after all steps were written"] += written == steps
            Child(load_steps, place, steps, number).result()
            with place.warehouse().reading() as session:
                (found,) = session("metric_points", table) or []
            assert tuple(found.values()) == (steps * STEP_ROWS, number, number)
            counted["survived"] += 1
    return counted


def loaded_alone(folder: Path, page: World) -> Place:
    """Return a DuckDB file into which nothing but the page was loaded, once."""
    folder.mkdir(exist_ok=True)
    place = Place("duckdb", {"database": folder / "cachet.duckdb"})
    if not place.count("incidents"):
        with DemoServer(page, me=True) as server:
            assert load_tables(place, server.url) == []
    return place


def contents(place: Place) -> Contents:
    """Return the rows of the tables that are replaced, by their declared columns."""
    return {
        table: place.rows(
            table,
            ", ".join(f'"{column.name}"' for column in TABLES[table].columns if column.data_type != "json"),
            TABLES[table].key[0],
        )
        for table in REPLACED
    }
