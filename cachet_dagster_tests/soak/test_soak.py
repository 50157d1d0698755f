"""`make soak`: the long forms of what `cachet_dagster_tests/warehouse` proves shortly, with their counts printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer
from cachet_dagster_tests.warehouse.children import Child, load_all
from cachet_dagster_tests.warehouse.comparing import REPLACED, differences, rows
from cachet_dagster_tests.warehouse.places import Place
from cachet_dagster_tests.warehouse.postgres import PostgresServer
from cachet_dagster_tests.warehouse.proofs import (
    a_page,
    killed_point_loads,
    killed_table_loads,
    many_processes,
    many_syncs,
)
from cachet_dagster_tests.warehouse.proofs_destinations import killed_loads, killed_points, loads_at_once

pytestmark = pytest.mark.soak

_PROJECT = Path(__file__).parents[2]

KILLS = int(os.environ.get("SOAK_KILLS", "20"))
SYNCS = int(os.environ.get("SOAK_SYNCS", "1000"))
PROCESSES = int(os.environ.get("SOAK_PROCESSES", "10"))
SERVER_TIMES = int(os.environ.get("SOAK_SERVER_TIMES", "20"))
POINTS = int(os.environ.get("SOAK_POINTS", "200000"))


def show(title: str, counted: Mapping[str, float]) -> None:
    """Print what was counted, whatever pytest does with output."""
    print(f"\n{title}")
    for name, value in counted.items():
        print(f"  {name:40} {value:>14,.1f}" if isinstance(value, float) else f"  {name:40} {value:>14,}")


def test_twenty_loads_of_tables_killed_at_any_stage(tmp_path: Path) -> None:
    counted = killed_table_loads(tmp_path, KILLS)

    show(f"{KILLS} loads of all tables, killed", counted)
    assert counted["survived"] == KILLS
    assert counted["differences"] == 0


@pytest.mark.parametrize("step_rows", [250_000, 20_000], ids=["default steps", "short steps"])
def test_a_first_load_of_points_killed_twenty_times(tmp_path: Path, step_rows: int) -> None:
    counted = killed_point_loads(tmp_path, KILLS, POINTS, step_rows)

    show(f"first load of {POINTS:,} points in steps of {step_rows:,}, killed {KILLS} times", counted)
    assert counted["survived"] == KILLS
    assert counted["differences"] == 0


def test_ten_processes_load_and_read_one_database_at_once(tmp_path: Path) -> None:
    counted = many_processes(tmp_path, PROCESSES, times=3, readers=3)

    show(f"{PROCESSES} processes at once, the in-process executor", counted)
    assert counted["loads"] == PROCESSES * 3
    assert counted["differences"] == 0


@pytest.mark.parametrize("how", ["multiprocess executor", "dagster asset materialize"])
def test_ten_runs_by_other_ways_load_one_database_at_once(tmp_path: Path, how: str) -> None:
    path, alone = tmp_path / "cachet.duckdb", tmp_path / "alone" / "cachet.duckdb"
    alone.parent.mkdir()
    homes = [tmp_path / f"home-{number}" for number in range(PROCESSES)]
    with DemoServer(a_page("same")) as server:
        assert Child(load_all, alone, server.url).result() == []
        variables = {
            "CACHET_BASE_URL": server.url,
            "CACHET_API_TOKEN": DEMO_TOKEN,
            "CACHET_DATABASE": str(path),
        }
        run = _by_executor if how == "multiprocess executor" else _by_command
        with ThreadPoolExecutor(PROCESSES) as at_once:
            failures = [said for said in at_once.map(partial(run, variables), homes) if said]
    counted = Counter(runs=PROCESSES, failed=len(failures))
    for table in REPLACED:
        counted["rows compared"] += rows(path, table)
        counted["differences"] += differences(path, alone, table)
    counted["differences"] += rows(path, "versions") - 1 + rows(path, "system_status") - 1

    show(f"{PROCESSES} runs at once, {how}", counted)
    assert failures == []
    assert counted["differences"] == 0


def _by_executor(variables: Mapping[str, str], home: Path) -> str:
    module = "cachet_dagster_tests.warehouse.jobs"
    return _dagster(
        variables, home, "job", "execute", "-m", module, "-a", "multiprocess", "-j", "cachet_sync"
    )


def _by_command(variables: Mapping[str, str], home: Path) -> str:
    selected = " or ".join(f'key:"cachet/{table}"' for table in (*REPLACED, "versions", "system_status"))
    return _dagster(
        variables, home, "asset", "materialize", "-m", "cachet_dagster.definitions", "--select", selected
    )


def _dagster(variables: Mapping[str, str], home: Path, *arguments: str) -> str:
    """Run a command of Dagster's with an instance of its own, and return what it printed if it failed."""
    home.mkdir()
    done = subprocess.run(
        [Path(sys.executable).with_name("dagster"), *arguments],
        cwd=home,
        env={**os.environ, **variables, "DAGSTER_HOME": str(home), "PYTHONPATH": str(_PROJECT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout[-2000:] + done.stderr[-2000:]


def test_twenty_times_eight_processes_load_one_postgres_at_once(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    place = Place("postgres", {"credentials": postgres.create("soak_at_once")})

    counted = loads_at_once(place, tmp_path, processes=8, times=SERVER_TIMES, points=1_000)

    show(f"8 processes a metric and 6 of the same tables, {SERVER_TIMES} times, on PostgreSQL", counted)
    assert (counted["wrong points"], counted["mixed tables"], counted["points"]) == (0, 0, 8_000)


def test_twenty_loads_into_postgres_killed(postgres: PostgresServer, tmp_path: Path) -> None:
    counted = killed_loads(
        Place("postgres", {"credentials": postgres.create("soak_killed")}), tmp_path, KILLS
    )

    show(f"{KILLS} loads of all tables into PostgreSQL, killed", counted)
    assert counted["survived"] == KILLS
    assert counted["killed while done"] <= KILLS // 10, "too few kills came while rows were loaded"


def test_twenty_loads_of_points_into_postgres_killed(postgres: PostgresServer) -> None:
    counted = killed_points(Place("postgres", {"credentials": postgres.create("soak_killed_points")}), KILLS)

    show(f"{KILLS} loads of points into PostgreSQL, killed", counted)
    assert counted["survived"] == KILLS
    assert counted["killed while done"] <= KILLS // 10, "too few kills came while rows were loaded"


def test_a_thousand_syncs_in_one_process_grow_nothing_but_the_data(tmp_path: Path) -> None:
    found = many_syncs(tmp_path, SYNCS, warm=max(SYNCS // 10, 5), keep_loads=100)

    show(f"{SYNCS} syncs in one process", found)
    assert found["differences"] == 0
    for what in ("file handles", "threads", "files beside the database"):
        assert found[f"{what} grew by"] <= 0, what
    assert found["resident MB grew by"] < 60
    # A point takes about 50 bytes, and the file grows by blocks of 256 kB.
    assert found["database MB grew by"] < 10 + found["points grew by"] * 200 / 1e6
    assert found["rows of _dlt_loads"] + found["rows of _dlt_loads grew by"] <= 101
    assert found["rows of _dlt_pipeline_state grew by"] == found["rows of _dlt_version grew by"] == 0
