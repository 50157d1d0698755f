"""What the tables promise, as three asset checks a table, and how fresh assets must be.

A check covers several promises: Dagster stores 8 kB for each evaluation, so that one a promise took 0.8 MB a sync.

The checks are evaluated inside the loading op, right after the load and under the shared lock: it knows what
was read, and Dagster would skip separate ops downstream of one with skippable outputs. What was not loaded is
not judged by its load; a check whose table failed is left unevaluated rather than passed.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
from cachet_dagster.source.errors import named
from cachet_dagster.source.tables import Table
from cachet_dagster.warehouse import Warehouse
from cachet_dagster.warehouse.quality import PROMISES, Loaded, Promise, Verdict, judged, promises

from .cron import ticks
from .page import StatusPage
from .records import FOUND, record_unchanged
from .run_requests import POINTS_JOB
from .specs import ENDPOINT_TAG

COMPLETE = "complete"
"""The check that speaks of rows that a load lost, or would have."""

CHECKS = {
    COMPLETE: ("rows_equal_to_the_endpoint", "no_sudden_loss"),
    "consistent": ("key_unique_and_not_null", "references_resolve"),
    "as_declared": ("columns_as_declared", "codes_known", "times_not_in_the_future"),
}
"""Checks: name → the promises that each covers, where a table gives them."""

_PROMISES = {promise.name: promise for promise in PROMISES}
_OF_LOSS = "no_sudden_loss"
_SEVERITY = {"warn": AssetCheckSeverity.WARN, "error": AssetCheckSeverity.ERROR}

# A period that holds every irregularity of a weekly schedule, and how many ticks of it are looked at.
_PERIOD = timedelta(days=8)
_TICKS = 500


def covered(check: str, table: Table) -> list[Promise]:
    """Return the promises of a table that a check covers."""
    given = {promise.name for promise in promises(table)}
    return [_PROMISES[name] for name in CHECKS[check] if name in given]


def check_specs(page: StatusPage, tables: Sequence[Table]) -> list[AssetCheckSpec]:
    """Return the checks of tables, for the op that loads them; none where the page has none."""
    return [
        AssetCheckSpec(
            check,
            asset=page.asset_key(table.name),
            description=named(" ".join(promise.says for promise in covered(check, table)), page.setting_name),
        )
        for table in (tables if page.checks else ())
        for check in CHECKS
        if covered(check, table)
    ]


def check_keys(page: StatusPage, tables: Iterable[str]) -> list[AssetCheckKey]:
    """Return the keys of the tables' checks."""
    return [spec.key for spec in check_specs(page, [TABLES[table] for table in tables])]


def check_results(
    page: StatusPage,
    warehouse: Warehouse,
    wanted: Collection[AssetCheckKey],
    loaded: Mapping[str, Loaded],
    *,
    skipped: Collection[str] = (),
    refused: Mapping[str, Loaded] | None = None,
) -> list[AssetCheckResult]:
    """Evaluate checks, and return their results in the order of tables and checks.

    Args:
        page: The page.
        warehouse: Where the tables are.
        wanted: The checks to evaluate.
        loaded: What the run's load said, by table. A table that the run has not loaded is judged as it is, by
            the promises that concern no load.
        skipped: Tables that the run should have loaded and has not: their checks are not evaluated.
        refused: What the load would have said of tables that it did not replace since they would have lost too
            many rows: only the promise that speaks of it is evaluated.
    """
    refused = refused or {}

    def due(table: str, promise: Promise) -> bool:
        if table in refused:
            return promise.name == _OF_LOSS
        return table not in skipped and (table in loaded or not promise.of_load)

    todo = [
        (TABLES[table], check, parts)
        for table in TABLES
        for check in CHECKS
        if AssetCheckKey(page.asset_key(table), check) in wanted
        and (parts := [promise for promise in covered(check, TABLES[table]) if due(table, promise)])
    ]
    if not todo:
        return []
    by_table = {**loaded, **refused}
    with warehouse.reading() as session:
        return [
            _result(
                page,
                table,
                check,
                {
                    part.name: judged(part, session, table, by_table.get(table.name, Loaded()))
                    for part in parts
                },
            )
            for table, check, parts in todo
        ]


def _result(page: StatusPage, table: Table, check: str, verdicts: Mapping[str, Verdict]) -> AssetCheckResult:
    """Return a check's result: what is broken of the promises that it covers, the worst severity among that."""
    broken = {name: verdict for name, verdict in verdicts.items() if not verdict.passed}
    said = dict.fromkeys(verdict.description for verdict in (broken or verdicts).values())
    severities = [verdict.severity for verdict in broken.values()]
    return AssetCheckResult(
        asset_key=page.asset_key(table.name),
        check_name=check,
        passed=not broken,
        severity=_SEVERITY["warn" if severities and "error" not in severities else "error"],
        description=named(" ".join(said), page.setting_name),
        metadata=_metadata(broken),
    )


def with_freshness(
    page: StatusPage, schedules: Sequence[ScheduleDefinition]
) -> Callable[[AssetSpec], AssetSpec]:
    """Return what gives each asset the freshness that the schedule of its job promises, if it has one.

    Dagster takes an asset for as fresh as its newest materialization, and an unchanged one is recorded again only
    now and then: that is allowed for. The server's asset, which has an event for each load, has no such slack.
    """
    by_job = {schedule.job_name: schedule for schedule in schedules}

    def policy(job: str, slack: timedelta) -> FreshnessPolicy | None:
        schedule = by_job.get(page.named(job))
        if schedule is None:
            return None
        return freshness(str(schedule.cron_schedule), schedule.execution_timezone or "UTC", slack)

    slack = record_unchanged(page)
    tables, points, server = policy("sync", slack), policy(POINTS_JOB, slack), policy("sync", timedelta())

    def with_policy(spec: AssetSpec) -> AssetSpec:
        if spec.key == page.asset_key("server"):
            found = server
        elif ENDPOINT_TAG in spec.tags:
            found = points if spec.key == page.asset_key("metric_points") else tables
        else:
            found = None
        return spec.replace_attributes(freshness_policy=found) if found else spec

    return with_policy


def freshness(cron: str, time_zone: str = "UTC", slack: timedelta = timedelta()) -> FreshnessPolicy:
    """Return the freshness that a schedule promises: a warning when a run was missed, failed after five.

    A schedule that rests at night is not taken for a dead one: the runs missed count from its longest pause on,
    as far as that recurs within a week.

    Args:
        cron: When the schedule runs.
        time_zone: In which time zone.
        slack: How old the newest event may be though nothing was missed.
    """
    now = datetime.now(timezone.utc)
    due = ticks(cron, time_zone, now)
    last, pauses = next(due), []
    for tick in islice(due, _TICKS):
        pauses.append(tick - last)
        last = tick
        if last - now > _PERIOD:
            break
    longest, interval = max(pauses) + slack, min(pauses)
    return FreshnessPolicy.time_window(fail_window=longest + 5 * interval, warn_window=longest + interval)


def _metadata(broken: Mapping[str, Verdict]) -> dict[str, Any]:
    metadata: dict[str, Any] = {FOUND: sum(verdict.found for verdict in broken.values())}
    for name, verdict in broken.items():
        if verdict.rows:
            metadata[f"{name}_rows"] = MetadataValue.table(
                [TableRecord({name: _cell(value) for name, value in row.items()}) for row in verdict.rows]
            )
        if verdict.sql:
            metadata[f"{name}_sql"] = MetadataValue.text(verdict.sql)
    return metadata


def _cell(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (int, float, bool)) or value is None else str(value)
