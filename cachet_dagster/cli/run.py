"""`run`: the sync and then the points, as Dagster runs in this process, and a table of what happened.

The runs are recorded in the same instance that `dagster dev` shows, so they can be seen there afterwards.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterInstance,
    ExecuteInProcessResult,
)
from rich.console import Console
from rich.status import Status
from rich.table import Table

from cachet_dagster.definitions import defs
from cachet_dagster.source import TABLES
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster.status_page.resources import CachetResource, Connection
from cachet_dagster.status_page.specs import asset_key
from cachet_dagster.warehouse.names import DATASET, PIPELINE

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class _Terminal(CachetResource):
    """The configured resource, whose messages also go to the terminal."""

    @contextlib.contextmanager
    def connect(self, log: Callable[[str], None]) -> Iterator[Connection]:
        def both(message: str) -> None:
            log(message)
            _show(message)

        with super().connect(both) as connection:
            _connections.append(connection)
            yield connection


_console = Console(highlight=False, soft_wrap=True)
if not _console.is_terminal:
    # A log or a pipe has no edge to wrap the table at.
    _console.width = 200
_connections: list[Connection] = []
_status: Status | None = None
_shown: dict[str, float] = {}
_AGAIN_SECONDS = 30.0


def run() -> int:
    """Load everything, print a line for each asset, and return 0 where nothing failed."""
    global _status
    started = time.monotonic()
    failures: list[str] = []
    events: list[DagsterEvent] = []
    with project_instance() as instance:
        with (
            _console.status("reading Cachet …")
            if _console.is_terminal
            else contextlib.nullcontext() as status
        ):
            _status = status
            for job, text in (
                ("cachet_sync", "reading every endpoint"),
                ("cachet_metric_points", "reading points"),
            ):
                tags: dict[str, str] = {}
                if job == "cachet_metric_points":
                    keys = metric_keys(instance)
                    # Where nothing at all could be loaded, points would only fail the same way.
                    if not keys or not _materialized(events):
                        break
                    tags = {
                        "dagster/asset_partition_range_start": keys[0],
                        "dagster/asset_partition_range_end": keys[-1],
                    }
                _show(text)
                result = defs.resolve_job_def(job).execute_in_process(
                    run_config=_QUIET,
                    instance=instance,
                    tags=tags,
                    resources={"cachet": _Terminal()},
                    raise_on_error=False,
                )
                events += result.all_events
                failures += reasons(result)
        _status = None
    loaded = _materialized(events)
    if loaded:
        _console.print(_table(loaded, _missed(events)), soft_wrap=False)
    for failure in dict.fromkeys(failures):
        _console.print(f"[red]{_escaped(failure)}[/red]")
    if loaded:
        _what_next(_connections[-1], time.monotonic() - started, whole=not failures)
    return 1 if failures else 0


@contextlib.contextmanager
def project_instance() -> Iterator[DagsterInstance]:
    """Open the instance that `dagster dev` uses here: DAGSTER_HOME, or this folder's dagster.yaml."""
    if os.environ.get("DAGSTER_HOME"):
        with DagsterInstance.get() as instance:
            yield instance
    elif Path("dagster.yaml").exists():
        with DagsterInstance.from_config(str(Path.cwd())) as instance:
            yield instance
    else:
        with DagsterInstance.ephemeral() as instance:
            yield instance


def _show(message: str) -> None:
    """Make a message what the spinner says, or print it where there is none, but not again and again."""
    line = _escaped(message.splitlines()[0])
    now = time.monotonic()
    if _status is not None:
        _status.update(line)
    elif now - _shown.get(message, -math.inf) > _AGAIN_SECONDS:
        _shown[message] = now
        _console.print(line)


def _materialized(events: list[DagsterEvent]) -> dict[AssetKey, list[dict[str, Any]]]:
    """Return the metadata of what was loaded, by asset."""
    found: dict[AssetKey, list[dict[str, Any]]] = {}
    for event in events:
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            found.setdefault(materialization.asset_key, []).append(_values(materialization))
    return found


def _missed(events: list[DagsterEvent]) -> dict[AssetKey, str]:
    """Return why assets were not loaded, where the run observed it."""
    found: dict[AssetKey, str] = {}
    for event in events:
        if event.is_asset_observation:
            observation = event.asset_observation_data.asset_observation
            reason = _values(observation).get("what_happened")
            if reason is not None:
                found[observation.asset_key] = str(reason)
    return found


def _values(event: AssetMaterialization | AssetObservation) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def _table(seen: dict[AssetKey, list[dict[str, Any]]], missed: dict[AssetKey, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("asset")
    for name in ("rows", "requests", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("what happened")
    for name in TABLES:
        found = seen.get(asset_key(name))
        if not found:
            reason = missed.get(asset_key(name), "not loaded")
            table.add_row(name, "", "", "", f"[yellow]{_escaped(reason)}[/yellow]")
        elif name == "metric_points":
            rows = sum(values["dagster/partition_row_count"] for values in found)
            new, changed = (sum(values[f"rows_{what}"] for values in found) for what in ("new", "changed"))
            requests = sum(values["requests"] for values in found)
            table.add_row(
                name,
                f"{rows:,}",
                f"{requests:,}",
                "",
                f"{new:,} new, {changed:,} changed, {len(found)} metrics",
            )
        else:
            values = found[-1]
            # The requests of an endpoint are spent once for all its tables.
            endpoint = values["endpoint"]
            first = endpoint == name
            table.add_row(
                name,
                f"{values['dagster/row_count']:,}",
                f"{values['requests']:,}" if first else "",
                f"{values['seconds']:.2f}" if first else "",
                _escaped(values["what_happened"] if first else f"with {endpoint}"),
            )
    return table


def reasons(result: ExecuteInProcessResult) -> list[str]:
    """Return why a run failed, in words, one for each step that did; nothing where it succeeded."""
    messages = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            user = data.user_failure_data
            if data.error and data.error.cls_name == "DagsterExecutionInterruptedError":
                messages.append("Interrupted. What was loaded before stays; run again to go on.")
                continue
            messages.append((user.description if user else None) or _root(data.error) or str(event.step_key))
    if result.success or messages:
        return messages
    ended = (event.job_failure_data.error for event in result.all_events if event.is_job_failure)
    why = _root(next(ended, None)) or "no reason was recorded"
    return [
        f"{result.job_def.name} failed outside its steps: {why}. "
        f"Poll at run {result.run_id[:8]} in the UI (make dev)."
    ]


def _root(error: Any) -> str:
    """Return the message of the error that caused the others; empty where Dagster recorded none."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else ""


def _what_next(connection: Connection, seconds: float, *, whole: bool) -> None:
    database = connection.database
    page = "the embedded demo page" if connection.demo else connection.settings.base_url
    page = page if whole else f"what was loaded of {page}"
    shown = os.path.relpath(database.path) if database.path.is_relative_to(Path.cwd()) else str(database.path)
    _console.print(f"\n{_escaped(page)} is in [bold]{_escaped(shown)}[/bold] ({seconds:.1f} s)\n")
    _console.print("Try next:")
    _console.print(
        f"""  .venv/bin/python -c "import duckdb; print(duckdb.connect('{shown}', read_only=True)"""
        f""".sql('SELECT * FROM {DATASET}.incidents LIMIT 10'))" """,
        markup=False,
    )
    _console.print(f"  .venv/bin/dlt pipeline {PIPELINE} info", markup=False)
    _console.print("  make dev      the Dagster UI: lineage, runs, partitions, schedules", markup=False)
    if connection.demo:
        _console.print(
            "  CACHET_BASE_URL=https://status.example.com make run      your own page", markup=False
        )


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
