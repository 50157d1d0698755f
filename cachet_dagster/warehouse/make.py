"""The one door: a destination's name and a few settings → its warehouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cachet_dagster.source.destinations import check_libraries, strategy_for

from .duckdb_warehouse import DuckDBWarehouse
from .names import DATASET, PIPELINE
from .protocol import Warehouse


def make_warehouse(
    destination: str = "duckdb",
    *,
    database: str | Path = "cachet.duckdb",
    dataset: str = DATASET,
    pipeline_name: str = PIPELINE,
    credentials: Any = None,
    wait: float = 600.0,
    keep_loads: int = 1_000,
    log: Callable[[str], None] = lambda _: None,
) -> Warehouse:
    """Return a warehouse; nothing is connected to before it is used.

    Args:
        destination: dlt's name of the destination.
        database: The file, for DuckDB; others ignore it.
        dataset: The dlt dataset.
        pipeline_name: The dlt pipeline.
        credentials: As dlt takes them; by default dlt finds them in `.dlt/secrets.toml` and the environment. DuckDB
            ignores them, and files take their address (`bucket_url`).
        wait: Seconds to wait for others at most.
        keep_loads: How many of dlt's records of loads to keep in it.
        log: Called with progress messages while others are waited for.

    Raises:
        SettingsError: There is no such destination, a name cannot be used, or a library is missing.
    """
    strategy = strategy_for(destination)
    common: dict[str, Any] = {
        "dataset": dataset,
        "pipeline_name": pipeline_name,
        "wait": wait,
        "keep_loads": keep_loads,
        "log": log,
    }
    if strategy.name == "duckdb":
        return DuckDBWarehouse(database, **common)
    if strategy.name == "postgres":
        from .postgres import PostgresWarehouse

        return PostgresWarehouse(strategy, credentials=credentials, **common)
    if strategy.table_format:
        check_libraries(strategy)
        from .delta_warehouse import DeltaWarehouse

        return DeltaWarehouse(strategy, credentials=credentials, **common)
    from .sql import SqlWarehouse

    return SqlWarehouse(strategy, credentials=credentials, **common)


def place_beside(destination: str, *, database: str, dataset: str, file: str, suffix: str) -> tuple[str, str]:
    """Return the database and the dataset of rows that must never be among those of a page.

    Args:
        destination: dlt's name of the destination.
        database: The page's database.
        dataset: The page's dataset.
        file: Name of the file beside the page's, where a destination is a file.
        suffix: End of the dataset's name, where it is not.
    """
    if strategy_for(destination).name == "duckdb":
        return str(Path(database).with_name(file)), dataset
    return database, f"{dataset}{suffix}"
