"""What the tables promise, as asset checks that the ops which load them yield, and how fresh assets must be.

The checks are evaluated inside the loading op, right after the load and under the shared lock: it knows what
was read, and Dagster would skip separate ops downstream of one with skippable outputs. What was not loaded is
not judged by its load; a check whose table failed is left unevaluated rather than passed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetSpec,
    FreshnessPolicy,
    MetadataValue,
    ScheduleDefinition,
    TableRecord,
)

from cachet_dagster.source import TABLES
from cachet_dagster.source.tables import Table
from cachet_dagster.warehouse import Warehouse
from cachet_dagster.warehouse.quality import PROMISES, Loaded, Verdict, judged, promises

from .cron import ticks
from .page import StatusPage
from .specs import ENDPOINT_TAG

_PROMISES = {promise.name: promise for promise in PROMISES}
LOSS_CHECK = "no_sudden_loss"
_SEVERITY = {"warn": AssetCheckSeverity.WARN, "error": AssetCheckSeverity.ERROR}

# A period that holds every irregularity of a weekly schedule, and how many ticks of it are looked at.
_PERIOD = timedelta(days=8)
_TICKS = 500


def check_specs(page: StatusPage, tables: Sequence[Table]) -> list[AssetCheckSpec]:
    """Return the checks of tables, for the op that loads them; none where the page has none."""
    return [
        AssetCheckSpec(promise.name, asset=page.asset_key(table.name), description=promise.says)
        for table in (tables if page.checks else ())
        for promise in promises(table)
    ]


def check_keys(page: StatusPage, table: str) -> list[AssetCheckKey]:
    """Return the keys of a table's checks."""
    return [spec.key for spec in check_specs(page, [TABLES[table]])]


def check_results(
    page: StatusPage,
    warehouse: Warehouse,
    wanted: Collection[AssetCheckKey],
    loaded: Mapping[str, Loaded],
    *,
    skipped: Collection[str] = (),
    refused: Mapping[str, Loaded] | None = None,
) -> Iterator[AssetCheckResult]:
    """Evaluate checks in the order of tables and promises.

    Args:
        page: The page.
        warehouse: Where the tables are.
        wanted: The checks that the run selected.
        loaded: What the run's load said, by table. A table that the run has not loaded is judged as it is, by
            the promises that concern no load.
        skipped: Tables that the run should have loaded and has not: their checks are not evaluated.
        refused: What the load would have said of tables that it did not replace since they would have lost too
            many rows: only the check that speaks of it is evaluated.
    """
    refused = refused or {}

    def due(table: str, name: str) -> bool:
        if table in refused:
            return name == LOSS_CHECK
        return table not in skipped and (table in loaded or not _PROMISES[name].of_load)

    todo = [
        (TABLES[table], _PROMISES[name])
        for table in TABLES
        for name in _PROMISES
        if AssetCheckKey(page.asset_key(table), name) in wanted and due(table, name)
    ]
    if not todo:
        return
    with warehouse.reading() as session:
        verdicts = [
            (table, promise, judged(promise, session, table, {**loaded, **refused}.get(table.name, Loaded())))
            for table, promise in todo
        ]
    for table, promise, verdict in verdicts:
        yield AssetCheckResult(
            asset_key=page.asset_key(table.name),
            check_name=promise.name,
            passed=verdict.passed,
            severity=_SEVERITY[verdict.severity],
            description=page.text(verdict.description),
            metadata=_metadata(verdict),
        )


def with_freshness(
    page: StatusPage, schedules: Sequence[ScheduleDefinition]
) -> Callable[[AssetSpec], AssetSpec]:
    """Return what gives each loaded asset the freshness that the schedule of its job promises, if it has one."""
    by_job = {schedule.job_name: schedule for schedule in schedules}
    policies = {
        job: freshness(str(by_job[job].cron_schedule), by_job[job].execution_timezone or "UTC")
        for job in (page.named("sync"), page.named("metric_points"))
        if job in by_job
    }

    def with_policy(spec: AssetSpec) -> AssetSpec:
        points = spec.key == page.asset_key("metric_points")
        policy = policies.get(page.named("metric_points" if points else "sync"))
        if ENDPOINT_TAG not in spec.tags or policy is None:
            return spec
        return spec.replace_attributes(freshness_policy=policy)

    return with_policy


def freshness(cron: str, time_zone: str = "UTC") -> FreshnessPolicy:
    """Return the freshness that a schedule promises: a warning when a run was missed, failed after five.

    A schedule that rests at night is not taken for a dead one: the runs missed count from its longest pause on,
    as far as that recurs within a week.
    """
    now = datetime.now(timezone.utc)
    due = ticks(cron, time_zone, now)
    last, pauses = next(due), []
    for tick in islice(due, _TICKS):
        pauses.append(tick - last)
        last = tick
        if last - now > _PERIOD:
            break
    longest, interval = max(pauses), min(pauses)
    return FreshnessPolicy.time_window(fail_window=longest + 5 * interval, warn_window=longest + interval)


def _metadata(verdict: Verdict) -> dict[str, Any]:
    # A number in every evaluation, so that Dagster plots it.
    metadata: dict[str, Any] = {"found": verdict.found}
    if verdict.rows:
        metadata["rows"] = MetadataValue.table(
            [TableRecord({name: _cell(value) for name, value in row.items()}) for row in verdict.rows]
        )
    if verdict.sql:
        metadata["see_them_all"] = MetadataValue.text(verdict.sql)
    return metadata


def _cell(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (int, float, bool)) or value is None else str(value)
