"""What the tables have to be, as two asset checks a table, and how fresh assets must be.

A check covers several expectations, because Dagster stores 8 kB for each evaluation. The checks are evaluated inside
the loading op, right after the load and under the shared lock, since Dagster would skip separate ops downstream of one
with skippable outputs. A check whose table was not loaded is left unevaluated rather than passed.
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
    DagsterInstance,
    FreshnessPolicy,
    MetadataValue,
    ScheduleDefinition,
    TableRecord,
)

from cachet_dagster.source import TABLES
from cachet_dagster.source.errors import named
from cachet_dagster.source.tables import Table
from cachet_dagster.warehouse import Warehouse
from cachet_dagster.warehouse.quality import EXPECTATIONS, CheckResult, Expectation, evaluate

from .cron import ticks
from .page import StatusPage
from .records import FOUND, check_key
from .run_requests import POINTS_JOB
from .specs import ENDPOINT_TAG

CHECKS = {
    "consistent": ("key_unique_and_not_null", "references_resolve"),
    "as_declared": ("columns_as_declared", "codes_known", "times_not_in_the_future"),
}
"""Checks: name → the expectations that each covers, where they are for a table."""

_SEVERITY = {"warn": AssetCheckSeverity.WARN, "error": AssetCheckSeverity.ERROR}

# A period that holds every irregularity of a weekly schedule, and how many ticks of it are looked at.
_PERIOD = timedelta(days=8)
_TICKS = 500


def covered(check: str, table: Table) -> list[Expectation]:
    """Return the expectations of a table that a check covers."""
    return [
        expectation
        for expectation in EXPECTATIONS
        if expectation.name in CHECKS[check] and expectation.applies(table)
    ]


def check_specs(page: StatusPage, tables: Sequence[Table]) -> list[AssetCheckSpec]:
    """Return the checks of tables, for the op that loads them; none where the page has none."""
    return [
        AssetCheckSpec(
            check,
            asset=page.asset_key(table.name),
            description=" ".join(expectation.says for expectation in covered(check, table)),
        )
        for table in (tables if page.checks else ())
        for check in CHECKS
    ]


def check_keys(page: StatusPage, tables: Iterable[str]) -> list[AssetCheckKey]:
    """Return the keys of the tables' checks."""
    return [spec.key for spec in check_specs(page, [TABLES[table] for table in tables])]


def due_checks(
    page: StatusPage, instance: DagsterInstance, loaded: Iterable[str], changed: Collection[str]
) -> list[AssetCheckKey]:
    """Return the checks to evaluate after a load that nobody selected checks for.

    Args:
        page: The page.
        instance: Where former evaluations are kept.
        loaded: The tables that were loaded.
        changed: Those of them whose content differs from what they held.

    Returns:
        The checks of tables that changed or refer to one that did, and all that did not pass the last time.
    """
    keys = check_keys(page, loaded)
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    passed = {
        key for key, record in newest.items() if record and record.evaluation and record.evaluation.passed
    }
    concerned = {
        page.asset_key(table.name)
        for table in page.tables
        if table.name in changed or any(reference.table in changed for reference in table.references)
    }
    return [key for key in keys if key not in passed or key.asset_key in concerned]


def check_results(
    page: StatusPage,
    warehouse: Warehouse,
    wanted: Collection[AssetCheckKey],
    clock: datetime | None = None,
) -> list[AssetCheckResult]:
    """Evaluate checks, and return their results in the order of tables and checks.

    Args:
        page: The page.
        warehouse: Where the tables are.
        wanted: The checks to evaluate.
        clock: The server's present time (aware); this machine's where it was not asked.
    """
    if not wanted:
        return []
    clock = clock or datetime.now(timezone.utc)
    with warehouse.reading() as session:
        return [
            _result(
                page,
                table,
                check,
                {part.name: evaluate(part, session, table, clock) for part in covered(check, table)},
            )
            for table in TABLES.values()
            for check in CHECKS
            if AssetCheckKey(page.asset_key(table.name), check) in wanted
        ]


def failed_checks(results: Iterable[AssetCheckResult]) -> list[str]:
    """Return a sentence for each check that failed with severity ERROR: rows that are wrong."""
    failed = [result for result in results if not result.passed and result.severity == _SEVERITY["error"]]
    return [
        f"{check_key(result).asset_key.path[-1]}: the check {result.check_name} failed. {result.description}"
        for result in failed
    ]


def _result(
    page: StatusPage, table: Table, check: str, results: Mapping[str, CheckResult]
) -> AssetCheckResult:
    """Return a check's result: what is broken of what it covers, the worst severity among that."""
    broken = {name: result for name, result in results.items() if not result.passed}
    said = dict.fromkeys(result.description for result in (broken or results).values())
    severities = [result.severity for result in broken.values()]
    return AssetCheckResult(
        asset_key=page.asset_key(table.name),
        check_name=check,
        passed=not broken,
        severity=_SEVERITY["warn" if severities and "error" not in severities else "error"],
        description=named(" ".join(said), page.configuration.setting_name),
        metadata=_metadata(broken),
    )


def with_freshness(
    page: StatusPage, schedules: Sequence[ScheduleDefinition]
) -> Callable[[AssetSpec], AssetSpec]:
    """Return what gives each table's asset the freshness that the schedule of its job promises, if it has one."""
    by_job = {schedule.job_name: schedule for schedule in schedules}

    def policy(job: str) -> FreshnessPolicy | None:
        schedule = by_job.get(page.named(job))
        if schedule is None:
            return None
        return freshness(str(schedule.cron_schedule), schedule.execution_timezone or "UTC")

    tables, points = policy("sync"), policy(POINTS_JOB)

    def with_policy(spec: AssetSpec) -> AssetSpec:
        found = points if spec.key == page.asset_key("metric_points") else tables
        return (
            spec.replace_attributes(freshness_policy=found) if found and ENDPOINT_TAG in spec.tags else spec
        )

    return with_policy


def freshness(cron: str, time_zone: str = "UTC") -> FreshnessPolicy:
    """Return the freshness that a schedule promises: a warning when a run was missed, failed after five.

    A schedule that rests at night is not taken for a dead one: the runs missed count from its longest pause on,
    as far as that recurs within a week.

    Args:
        cron: When the schedule runs.
        time_zone: In which time zone.
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


def _metadata(broken: Mapping[str, CheckResult]) -> dict[str, Any]:
    metadata: dict[str, Any] = {FOUND: sum(result.found for result in broken.values())}
    for name, result in broken.items():
        if result.rows:
            metadata[f"{name}_rows"] = MetadataValue.table(
                [TableRecord({name: _cell(value) for name, value in row.items()}) for row in result.rows]
            )
        if result.sql:
            metadata[f"{name}_sql"] = MetadataValue.text(result.sql)
    return metadata


def _cell(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (int, float, bool)) or value is None else str(value)
