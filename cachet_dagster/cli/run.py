"""`run`: the sync and then the points, as Dagster runs in this process, and a table of what happened.

The runs are recorded in the same instance that `dagster dev` shows, so they can be seen there afterwards.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterEvent,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
)
from rich.console import Console
from rich.status import Status
from rich.table import Table

from cachet_dagster.source import FILLED_BY, TABLES
from cachet_dagster.source.errors import CachetError
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster.status_page.records import WHAT
from cachet_dagster.status_page.reports import write_page_report
from cachet_dagster.status_page.run_context import RunContext, open_run
from cachet_dagster.status_page.run_requests import POINTS_JOB, POINTS_OP
from cachet_dagster.warehouse import Warehouse

from .report import print_report

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_AGAIN_SECONDS = 30.0
_ROWS = "dagster/row_count"


def run(
    pages: Sequence[StatusPage],
    *,
    full_refresh: bool = False,
    accept_loss: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> int:
    """Load pages, print a line for each asset of each, and return 0 where nothing failed.

    Args:
        pages: The pages.
        full_refresh: Ask for every incident and component by id, and read all points from the start.
        accept_loss: Load although many stored rows would go.
        quiet: Print failures and warnings only.
        as_json: Print one JSON document and, on the error output, failures and warnings.
    """
    config = {"full_refresh": full_refresh, "accept_loss": accept_loss}
    runs = []
    with project_instance() as instance:
        for page in pages:
            one = _PageRun(page, instance, config, named=len(pages) > 1, quiet=quiet or as_json)
            one.load()
            runs.append(one)
    if as_json:
        print(json.dumps({"pages": [one.document() for one in runs]}, indent=2, default=str))
    elif len(runs) > 1 and not quiet:
        _print_closing(runs)
    return 1 if any(one.failures for one in runs) else 0


class _Progress:
    """Shows what is being done: as what a spinner says, or on a line where there is no terminal."""

    def __init__(self, console: Console):
        self._console = console
        self._status: Status | None = None
        self._shown: dict[str, float] = {}

    def __enter__(self) -> _Progress:
        if self._console.is_terminal:
            self._status = self._console.status("reading Cachet …")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, message: str) -> None:
        """Show the first line of a message, but not the same one again and again."""
        line = _escaped(message.splitlines()[0])
        now = time.monotonic()
        if self._status is not None:
            self._status.update(line)
        elif now - self._shown.get(message, -math.inf) > _AGAIN_SECONDS:
            self._shown[message] = now
            self._console.print(line)


class _PageRun:
    """The sync of one page and then its points, as Dagster runs in this process."""

    def __init__(
        self,
        page: StatusPage,
        instance: DagsterInstance,
        config: Mapping[str, bool],
        *,
        named: bool,
        quiet: bool,
    ):
        self.console = Console(highlight=False, soft_wrap=True, quiet=quiet)
        self.errors = Console(highlight=False, soft_wrap=True, stderr=True)
        if not self.console.is_terminal:
            # A log or a pipe has no edge to wrap the table at.
            self.console.width = 200
        self.progress = _Progress(self.console)
        self.page = replace(page, log=self.progress.show)
        self.instance = instance
        self.config = config
        self.named = named
        self.tables: dict[str, dict[str, Any]] = {}
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.place = ""
        self.seconds = 0.0

    def load(self) -> None:
        """Load the page and print what happened."""
        started = time.monotonic()
        if self.named:
            self.console.print(f"[bold]{self.page.name}[/bold]")
        with self.progress:
            definitions = page_definitions(self.page)
            self._job(definitions, "sync", "reading every endpoint", "tables")
            # Where nothing at all could be loaded, points would only fail the same way.
            loaded = [table for table, found in self.tables.items() if _ROWS in found]
            if loaded and self.page.has_points and metric_keys(self.page, self.instance):
                self._job(definitions, POINTS_JOB, "reading points", POINTS_OP)
        if loaded:
            self.console.print(_table(self.page, self.tables), soft_wrap=False)
        for warning in self.warnings:
            self.errors.print(f"[yellow]{_escaped(warning)}[/yellow]")
        self.failures = list(dict.fromkeys(self.failures))
        for failure in self.failures:
            self.errors.print(f"[red]{_escaped(failure)}[/red]")
        self.seconds = time.monotonic() - started
        if loaded:
            self._what_next(loaded)

    def document(self) -> dict[str, Any]:
        """Return what happened, for `--json`: a table's figures are the metadata of its asset's event."""
        return {
            "page": self.page.name,
            "database": self.place,
            "seconds": round(self.seconds, 1),
            "tables": self.tables,
            "warnings": self.warnings,
            "failures": self.failures,
        }

    def _job(self, definitions: Definitions, job: str, text: str, step: str) -> None:
        self.progress.show(text)
        # The points know no loss to accept.
        names = ("full_refresh", "accept_loss") if step == "tables" else ("full_refresh",)
        wanted = {name: True for name in names if self.config[name]}
        ops = {self.page.named(step): {"config": wanted}} if wanted else {}
        result = definitions.resolve_job_def(self.page.named(job)).execute_in_process(
            run_config={**_QUIET, "ops": ops}, instance=self.instance, raise_on_error=False
        )
        self.failures += reasons(result)
        tables = {self.page.asset_key(table.name): table.name for table in self.page.tables}
        for event in result.all_events:
            if event.event_type_value == "ASSET_CHECK_EVALUATION":
                self._warn(event.asset_check_evaluation_data)
            elif event.asset_key in tables and not event.partition and (found := _metadata(event)):
                self.tables[tables[event.asset_key]] = found

    def _warn(self, check: AssetCheckEvaluation) -> None:
        """Keep what a failed check says; one of severity ERROR is among the failures of its run."""
        if not check.passed and check.severity == AssetCheckSeverity.WARN:
            self.warnings.append(f"{check.asset_key.path[-1]}: {check.description}")

    def _what_next(self, loaded: Sequence[str]) -> None:
        with contextlib.suppress(CachetError), open_run(self.page, lambda _: None) as connection:
            warehouse = connection.warehouse
            page = connection.identity if not self.failures else f"what was loaded of {connection.identity}"
            self.place = _shown(warehouse)
            self.console.print(
                f"\n{_escaped(page)} is in [bold]{_escaped(self.place)}[/bold] ({self.seconds:.1f} s)\n"
            )
            first = next(name for name in TABLES if name in loaded)
            _print_hints(self.console, warehouse, first, demo=connection.demo)
            self._report(connection)

    def _report(self, connection: RunContext) -> None:
        self.console.print()
        try:
            print_report(self.console, write_page_report(self.page, connection))
        except (CachetError, OSError) as error:
            if isinstance(error, CachetError):
                error = error.with_setting_names(self.page.configuration.setting_name)
            # What was to be loaded is loaded: a report that cannot be written fails no run.
            self.errors.print(f"[yellow]No report was written: {_escaped(str(error))}[/yellow]")


def _print_closing(runs: Sequence[_PageRun]) -> None:
    """Print a line for each of several pages."""
    well = sum(not one.failures for one in runs)
    shown = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("page", "seconds", "what happened"):
        shown.add_column(name, justify="right" if name == "seconds" else "left")
    for one in runs:
        what = f"[red]failed: {_escaped(one.failures[0].splitlines()[0])}[/red]" if one.failures else "loaded"
        shown.add_row(one.page.name, f"{one.seconds:.1f}", what)
    console = runs[0].console
    console.print(f"\n[bold]{well} of {len(runs)} pages loaded[/bold]")
    console.print(shown, soft_wrap=False)


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


def _metadata(event: DagsterEvent) -> dict[str, Any]:
    """Return what the event of a table says of its load."""
    data: Any = None
    if event.is_step_materialization:
        data = event.step_materialization_data.materialization
    elif event.is_asset_observation:
        data = event.asset_observation_data.asset_observation
    return {name: value.value for name, value in data.metadata.items()} if data else {}


def _table(page: StatusPage, found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a line for each table.

    Args:
        page: The page.
        found: Table → the metadata of its event; those that were not loaded say why.
    """
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("asset")
    for name in ("rows", "requests", "seconds"):
        shown.add_column(name, justify="right")
    shown.add_column("what happened")
    for name in [table.name for table in page.tables]:
        of_table = found.get(name, {})
        if "rows_new" in of_table:
            what = "{rows_new:,} new, {rows_changed:,} changed, {metrics:,} metrics".format(**of_table)
            shown.add_row(name, f"{of_table['rows']:,}", f"{of_table['requests']:,}", "", what)
        elif _ROWS not in of_table:
            reason = of_table.get(WHAT, "not loaded")
            shown.add_row(name, "", "", "", f"[yellow]{_escaped(reason)}[/yellow]")
        else:
            # The requests of an endpoint are spent once for all its tables.
            endpoint = FILLED_BY[name].name
            first = endpoint == name
            shown.add_row(
                name,
                f"{of_table[_ROWS]:,}",
                f"{of_table['requests']:,}" if first else "",
                f"{of_table['seconds']:.2f}" if first else "",
                _escaped(of_table[WHAT] if first else f"with {endpoint}"),
            )
    return shown


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
        f"Look at run {result.run_id[:8]} in the UI (make dev)."
    ]


def _root(error: Any) -> str:
    """Return the message of the error that caused the others; empty where Dagster recorded none."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else ""


def _shown(warehouse: Warehouse) -> str:
    """Return where a warehouse is, relative to the current folder where it is a file in it."""
    inside = Path(warehouse.name).is_relative_to(Path.cwd())
    return os.path.relpath(warehouse.name) if inside else warehouse.name


def _print_hints(console: Console, warehouse: Warehouse, table: str, *, demo: bool) -> None:
    console.print("Try next:")
    console.print(f'  .venv/bin/python -c "{warehouse.example(table)}" ', markup=False)
    console.print(f"  .venv/bin/dlt pipeline {warehouse.pipeline_name} info", markup=False)
    console.print("  make dev      the Dagster UI: lineage, runs, partitions, schedules", markup=False)
    if demo:
        console.print(
            "  CACHET_BASE_URL=https://status.example.com make run      your own page", markup=False
        )


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
