"""What a run records: an event only where something changed, and one account of the whole run.

Dagster keeps every event for ever, and runs what lies downstream on each. So the runs that schedules and sensors
request record a table only when its content differs from what was recorded last, a check only with its table or
when its outcome differs, a metric only when it had news. What was read and found unchanged stands in the run's
account: one event of the server's asset. A run that a person starts over assets records all that it loads.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    DagsterRun,
    EventLogRecord,
    JsonMetadataValue,
    MetadataValue,
    OpExecutionContext,
)

from .page import StatusPage

CHANGES_TAG = "cachet/record"
"""Tag of the jobs whose runs record only what changed."""

CHANGES = {CHANGES_TAG: "changes"}

DATA_VERSION = "dagster/data_version"

ACCOUNT = "tables"
"""Metadata of the server's event: table → rows, requests, seconds and what happened to it in the run."""

ENDPOINTS_LOADED = "endpoints"
"""Metadata of the server's event: the endpoints that the run has loaded."""

FOUND = "found"
"""Metadata of a check: how many rows break it. A number in each evaluation, so that Dagster plots it."""

HELD_BACK = "held_back"
"""Metadata of a check: metric → how many rows it holds and would hold, where a load was not to delete so many."""

_HASH_BYTES = 12
_EVALUATIONS = 20


def changes_only(run: DagsterRun) -> bool:
    """Return whether a run records only what changed."""
    return CHANGES_TAG in run.tags


def data_version(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return what tells a table's content from any other, in whatever order its rows come."""
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    for row in sorted(map(_serialized, rows)):
        digest.update(row)
        digest.update(b"\n")
    return digest.hexdigest()


def _serialized(row: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Whole numbers beyond 64 bits.
        return json.dumps(row, default=str, sort_keys=True).encode()


@dataclass(frozen=True)
class Recorded:
    """The newest event of an asset: the data version that it carries, and when it was (seconds since 1970)."""

    version: str | None = None
    at: float = 0.0

    def covers(self, page: StatusPage, version: str | None) -> bool:
        """Return whether a load that gave `version` needs no event: it is the same content, recorded lately enough."""
        age = timedelta(seconds=time.time() - self.at)
        return self.version == version and age < record_unchanged(page)


def newest_records(instance: DagsterInstance, keys: Collection[AssetKey]) -> dict[AssetKey, Recorded]:
    """Return the newest event of each asset that has one."""
    found = {}
    for record in instance.get_asset_records(list(keys)):
        entry = record.asset_entry
        event = entry.last_materialization
        if event is not None and event.asset_materialization is not None:
            tags = event.asset_materialization.tags or {}
            found[entry.asset_key] = Recorded(tags.get(DATA_VERSION), event.timestamp)
    return found


def loaded_endpoints(record: EventLogRecord) -> Collection[str]:
    """Return the endpoints that a run has loaded, from its account: an event of the server's asset."""
    event = record.asset_materialization
    listed = event.metadata.get(ENDPOINTS_LOADED) if event else None
    return listed.value if isinstance(listed, JsonMetadataValue) else ()  # pyright: ignore[reportReturnType]


def record_unchanged(page: StatusPage) -> timedelta:
    """Return the age of its newest event from which an unchanged asset is recorded again, which keeps it fresh."""
    hours, _ = page.usable("unchanged_hours")
    return timedelta(hours=float(hours))


def different_outcomes(
    instance: DagsterInstance, results: Iterable[AssetCheckResult]
) -> list[AssetCheckResult]:
    """Return the check results whose outcome is not the one that was recorded last."""
    by_key = {check_key(result): result for result in results}
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(by_key))
    differ = []
    for key, result in by_key.items():
        before = _evaluated(newest.get(key))
        if before is None or _outcome(before) != _outcome(result):
            differ.append(result)
    return differ


def with_held_back(result: AssetCheckResult, held_back: Mapping[int, tuple[int, int]]) -> AssetCheckResult:
    """Return a check's result with what a load was not to delete, for the loads that follow."""
    held = {str(metric_id): list(rows) for metric_id, rows in held_back.items()}
    return result._replace(metadata={**result.metadata, HELD_BACK: MetadataValue.json(held)})


def read_held_back(instance: DagsterInstance, key: AssetCheckKey) -> dict[int, tuple[int, int]]:
    """Return what the loads so far were not to delete, by metric; see `with_held_back`."""
    # The newest may be of a run that has planned the check and not evaluated it: this one, or one that died.
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_EVALUATIONS)
    newest = next(filter(None, map(_evaluated, records)), None)
    if newest is None or newest.passed or HELD_BACK not in newest.metadata:
        return {}
    held: Any = newest.metadata[HELD_BACK].value
    return {int(metric_id): (before, left) for metric_id, (before, left) in held.items()}


def _evaluated(record: Any) -> AssetCheckEvaluation | None:
    """Return what an execution record of a check holds, where the check was evaluated."""
    event = record.event.dagster_event if record and record.event else None
    data = event.event_specific_data if event else None
    return data if isinstance(data, AssetCheckEvaluation) else None


def log_news(
    context: AssetExecutionContext | OpExecutionContext,
    results: Collection[AssetCheckResult],
    recorded: Collection[AssetKey],
) -> None:
    """Log the results of checks that the run did not plan: those of the recorded assets, and what differs.

    Args:
        context: The run's.
        results: All results.
        recorded: Assets that the run has recorded.
    """
    others = [result for result in results if result.asset_key not in recorded]
    differ = {check_key(result) for result in different_outcomes(context.instance, others)}
    for result in results:
        if result.asset_key in recorded or check_key(result) in differ:
            event: Any = evaluation(result)
            context.log_event(event)


def last_observed(instance: DagsterInstance, key: AssetKey, name: str) -> Any:
    """Return the value of a metadata entry of an asset's newest observation; None where there is none."""
    for record in instance.fetch_observations(key, limit=1).records:
        found = record.asset_observation
        return found.metadata[name].value if found and name in found.metadata else None
    return None


def evaluation(result: AssetCheckResult) -> AssetCheckEvaluation:
    """Return a check's result as the event that is logged where the run did not plan the check."""
    key = check_key(result)
    return AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )


def check_key(result: AssetCheckResult) -> AssetCheckKey:
    """Return the key of a check that names its asset and itself."""
    assert result.asset_key
    assert result.check_name
    return AssetCheckKey(result.asset_key, result.check_name)


def _outcome(check: AssetCheckEvaluation | AssetCheckResult) -> tuple[Any, ...]:
    return check.passed, None if check.passed else check.severity, check.metadata[FOUND].value
