"""What sets loads going without a person: new metrics, changes, loaded metrics, and a word when a run fails.

A sensor asks Cachet for as little as can be asked (eleven requests in five minutes by all of them together) and
remembers what it saw in its cursor. The cursor moves on only with what was requested for it, and run keys
are made from it, so that a tick that is repeated requests the same run, which Dagster starts once. Cachet
being down, or a setting being wrong, is a reason to skip and no failure: the next tick asks again.
"""

import contextlib
import hashlib
import http.client
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dagster import (
    AssetRecordsFilter,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    RunFailureSensorContext,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from cachet_dagster.source.changes import Newest, Poll
from cachet_dagster.source.destinations import builds_models
from cachet_dagster.source.errors import CachetError, SettingsError, Unreachable
from cachet_dagster.warehouse.lock import LockTimeout

from .analytics_assets import models_sensor
from .page import PAGE_TAG, StatusPage
from .partitions import metric_keys, sync_metric_partitions
from .run_context import RunContext, open_run
from .run_requests import (
    CHANGED_TAG,
    FULL_REFRESH_TAG,
    POINTS_JOB,
    all_points_request,
    make_pool_known,
    new_points_request,
    points_in_flight,
    shortened,
    sync_in_flight,
)

WEBHOOK_SECONDS = 10.0

_LOCK_SECONDS = 10.0
_EVENTS = 100


@dataclass
class SensorCursor:
    """A sensor's cursor: what it knows of one server, and how many runs it has requested.

    Attributes:
        server: Which server it is about; what is known of another one is forgotten.
        api: The API version that it spoke last.
        requested: How many runs were requested, which makes each run key one of its own.
        seen: What the sensor compares with; None at its first look.
    """

    server: str
    api: int | None = None
    requested: int = 0
    seen: Any = None

    @classmethod
    def of(cls, cursor: str | None, connection: RunContext) -> "SensorCursor":
        """Return what a cursor knows of the server; nothing of another one."""
        server = "demo" if connection.demo else connection.settings.base_url
        try:
            memory = cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            return cls(server)
        return memory if memory.server == server else cls(server, requested=memory.requested)

    def text(self) -> str:
        """Return the cursor as Dagster keeps it."""
        return json.dumps(vars(self), separators=(",", ":"))


def page_sensors(page: StatusPage) -> list[SensorDefinition]:
    """Return the sensors of a page; only the one that tells of failures where looking is `off`.

    A tick costs Dagster 0.2 s of CPU, whatever it finds. So each sensor ticks as often as what it looks for is wanted:
    changes as it is set, what follows from a load half as often, and metrics, which hardly ever appear, a fifth.
    """
    webhook = [failure_webhook(page)]
    if not page.load_time.has_sensors:
        return webhook
    text, _ = page.configuration.setting_or_default("sensor_seconds")
    seconds = int(text)
    looking = [changes_sensor(page, seconds)]
    if builds_models(page.load_time.destination):
        looking.append(models_sensor(page, 2 * seconds))
    if page.has_points:
        looking += [metric_partitions_sensor(page, 5 * seconds), points_after_sync_sensor(page, 2 * seconds)]
    return [*looking, *webhook]


def metric_partitions_sensor(page: StatusPage, seconds: int) -> SensorDefinition:
    """Return the sensor that adds partitions for new metrics, and requests one run over exactly those."""

    def tick(context: SensorEvaluationContext, connection: RunContext, memory: SensorCursor) -> SensorResult:
        instance = context.instance
        known = {int(key) for key in metric_keys(page, instance)}
        found, memory.api = Poll(connection.settings, memory.api).new_metrics(known)
        if found:
            make_pool_known(page, instance)
        added = _add_partitions(page, instance, found, connection) if found else []
        keys = list(metric_keys(page, instance))
        new = _after(keys, memory.seen, added)
        memory.seen = keys[-1] if keys else None
        if not new:
            return SensorResult(skip_reason=f"no new metric among {len(keys)}", cursor=memory.text())
        memory.requested += 1
        run_key = f"{memory.requested}:{new[0]}-{new[-1]}"
        request = new_points_request(page, new, all_keys=len(new) == len(keys), run_key=run_key)
        return SensorResult(run_requests=[request], cursor=memory.text())

    @sensor(
        name=page.named("metric_partitions"),
        job_name=page.named("metric_points"),
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        tags=page.run_tags,
        description="Asks Cachet for its newest metrics, makes those that are new partitions and loads their points, "
        "and only theirs, in one run. Partitions of deleted metrics are dropped by the next sync.",
    )
    def metric_partitions(context: SensorEvaluationContext) -> SensorResult:
        return _poll(page, context, tick)

    return metric_partitions


def changes_sensor(page: StatusPage, seconds: int) -> SensorDefinition:
    """Return the sensor that requests a sync when incidents or components changed, and at the first look."""

    def tick(context: SensorEvaluationContext, connection: RunContext, memory: SensorCursor) -> SensorResult:
        newest, memory.api = Poll(connection.settings, memory.api).newest()
        if memory.seen is None:
            changed = "first look"
        else:
            before = {name: _newest_from(memory.seen.get(name)) for name in newest}
            ids = [(name, rows.changed(before[name])) for name, rows in newest.items()]
            changed = shortened((name, numbers) for name, numbers in ids if numbers)
        memory.seen = {name: [rows.since, rows.digests] for name, rows in newest.items()}
        if not changed:
            return SensorResult(skip_reason="nothing has changed", cursor=memory.text())
        busy = sync_in_flight(page, context.instance)
        if busy:
            # The cursor stays, so that what has changed meanwhile is found when the run is done.
            return SensorResult(skip_reason=busy, cursor=context.cursor)
        memory.requested += 1
        make_pool_known(page, context.instance)
        content = hashlib.blake2b(json.dumps(memory.seen, sort_keys=True).encode(), digest_size=8)
        request = RunRequest(
            run_key=f"{memory.requested}:{content.hexdigest()}",
            job_name=page.named("sync"),
            tags={CHANGED_TAG: changed},
        )
        return SensorResult(run_requests=[request], cursor=memory.text())

    @sensor(
        name=page.named("changes"),
        job_name=page.named("sync"),
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        tags=page.run_tags,
        description="Looks at the newest 100 incidents with their updates and the newest 100 components, and "
        f"requests a sync only when something is different. What changed is in the run's tag `{CHANGED_TAG}`. "
        "Changes of anything else are found by the hourly sync.",
    )
    def changes(context: SensorEvaluationContext) -> SensorResult:
        return _poll(page, context, tick)

    return changes


def points_after_sync_sensor(page: StatusPage, seconds: int) -> SensorDefinition:
    """Return the sensor that requests the points of all metrics when their list has been read.

    The event of the metrics tells, not the success of the job: a sync in which another endpoint failed has loaded the
    metrics all the same, and so has a run that a person started in the UI.
    """

    @sensor(
        name=page.named("points_after_sync"),
        job_name=page.named(POINTS_JOB),
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        tags=page.run_tags,
        description="When the list of metrics was loaded, by whatever run, requests one run over the points of all "
        "of them; after a full refresh one that reads them from the start. Asks Cachet for nothing.",
    )
    def points_after_sync(context: SensorEvaluationContext) -> SensorResult:
        instance = context.instance
        remembered = context.cursor or ""
        cursor = int(remembered) if remembered.isdigit() else None
        loads = instance.fetch_materializations(
            AssetRecordsFilter(page.asset_key("metrics"), after_storage_id=cursor), limit=_EVENTS
        ).records
        if not loads:
            return SensorResult(
                skip_reason="the metrics have not been loaded since", cursor=context.cursor or "0"
            )
        busy = points_in_flight(page, instance)
        if busy:
            return SensorResult(skip_reason=busy, cursor=context.cursor)
        newest = str(loads[0].storage_id)
        if not metric_keys(page, instance):
            return SensorResult(skip_reason="there are no metrics", cursor=newest)
        if cursor is None:
            # At the first look the newest load is news, and not what was done before.
            loads = loads[:1]
        runs = [instance.get_run_by_id(record.run_id) for record in loads]
        request = all_points_request(
            page,
            run_key=loads[0].run_id,
            full_refresh=any(run and FULL_REFRESH_TAG in run.tags for run in runs),
        )
        return SensorResult(run_requests=[request], cursor=newest)

    return points_after_sync


def failure_webhook(page: StatusPage) -> SensorDefinition:
    """Return the sensor that tells a webhook of the page's failed runs, switched on where a setting names one."""
    setting = page.configuration.setting_name("failure_webhook")

    @run_failure_sensor(
        name=page.named("failure_webhook"),
        minimum_interval_seconds=15,
        default_status=DefaultSensorStatus.RUNNING
        if page.load_time.failure_webhook
        else DefaultSensorStatus.STOPPED,
        description=f"Posts JSON (`text`, `run_id`, `job`, `page`, `error`) to {setting} when a run of this page "
        "fails. Switched on from the start where that is set.",
    )
    def tell(context: RunFailureSensorContext) -> SkipReason | None:
        run = context.dagster_run
        if not _concerns(page, run):
            return SkipReason(f"run {run.run_id[:8]} is not one of the page {page.name}")
        url = page.configuration.failure_webhook
        if not url:
            return SkipReason(f"{setting} is not set")
        error = page.configuration.without_token(_error(context))
        post = {
            "text": f"{run.job_name} failed (run {run.run_id[:8]}): {error}",
            "run_id": run.run_id,
            "job": run.job_name,
            "page": page.name,
            "error": error,
        }
        refused = posted(url, post)
        if refused:
            # Not raised: a webhook that is down must not make failures of its own.
            context.log.warning(
                f"the failure of run {run.run_id[:8]} could not be posted to {setting}: {refused}"
            )
        return None

    return tell


def _concerns(page: StatusPage, run: DagsterRun) -> bool:
    """Return whether a run is one of the page: by its jobs' tag, or by the assets that a person selected."""
    if PAGE_TAG in run.tags:
        return run.tags[PAGE_TAG] == page.name
    keys = {page.asset_key(table.name) for table in page.tables}
    return not keys.isdisjoint(run.asset_selection or ())


def _poll(
    page: StatusPage,
    context: SensorEvaluationContext,
    tick: Callable[[SensorEvaluationContext, RunContext, SensorCursor], SensorResult],
) -> SensorResult:
    """Return what a tick that asks Cachet requests, or why it could not ask.

    The tick gets the context and not its instance, since Dagster opens its storage where the instance is first
    asked for, which costs more than all the rest: the look for changes does without where it finds none.
    """
    memory: SensorCursor | None = None
    try:
        with open_run(page, context.log.debug) as connection:
            memory = SensorCursor.of(context.cursor, connection)
            return tick(context, connection, memory)
    except CachetError as error:
        cursor = context.cursor
        if memory and memory.api and not isinstance(error, Unreachable):
            # It may speak another API since; the next tick finds out.
            memory.api = None
            cursor = memory.text()
        return SensorResult(
            skip_reason=str(error.with_setting_names(page.configuration.setting_name)), cursor=cursor
        )


def _add_partitions(
    page: StatusPage, instance: DagsterInstance, ids: list[int], connection: RunContext
) -> list[str]:
    warehouse = connection.warehouse
    try:
        added, _ = sync_metric_partitions(page, instance, ids, warehouse, wait=_LOCK_SECONDS)
    except LockTimeout as error:
        raise CachetError("a run is adding partitions just now") from error
    except OSError as error:
        raise SettingsError(
            f"no lock can be made beside the database {warehouse.name} ({error.strerror})",
            "Set {database} to a path in a folder that exists and can be written.",
        ) from error
    return added


def _after(keys: list[str], seen: str | None, added: list[str]) -> list[str]:
    """Return the keys that were added since the last tick: also those of a tick whose request was lost."""
    begins = [keys.index(key) for key in added[:1] if key in keys]
    if seen in keys:
        begins.append(keys.index(seen) + 1)
    return keys[min(begins) :] if begins else []


def _newest_from(seen: Any) -> Newest:
    since, digests = seen or (0, {})
    return Newest({int(number): digest for number, digest in digests.items()}, since)


def _error(context: RunFailureSensorContext) -> str:
    """Return why a run failed, in the words of its first failed step where it has one."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return data.user_failure_data.description
        if data.error:
            return data.error.to_string().splitlines()[0]
    return context.failure_event.message or "no reason is known"


def posted(url: str, post: dict[str, str]) -> str:
    """Post JSON, and return why it was not taken; nothing where it was."""
    if urlsplit(url).scheme not in ("http", "https"):
        return "it is not an http or https address"
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, json.dumps(post).encode(), {"Content-Type": "application/json", "User-Agent": "cachet_dagster"}
    )
    try:
        with contextlib.closing(urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS)):  # noqa: S310
            return ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error)
