"""What sets loads going without a person: new metrics, changes, loaded metrics, and a word when a run fails.

A sensor asks Cachet for as little as can be asked (three requests a minute by all of them together) and
remembers what it saw in its cursor. The cursor moves on only with what was requested for it, and run keys
are made from it, so that a tick that is repeated requests the same run, which Dagster starts once. Cachet
being down, or a setting being wrong, is a reason to skip and no failure: the next tick asks again.
"""

import contextlib
import hashlib
import http.client
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dagster import (
    AssetRecordsFilter,
    DagsterInstance,
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
from cachet_dagster.source.errors import CachetError, SettingsError, Unreachable
from cachet_dagster.warehouse.lock import LockTimeout

from .jobs import cachet_metric_points, cachet_sync
from .partitions import metric_keys, sync_metric_partitions
from .resources import CachetResource, Connection, load_environment
from .run_requests import (
    CHANGED_TAG,
    FULL_REFRESH_TAG,
    points_in_flight,
    points_request,
    shortened,
    sync_in_flight,
)
from .specs import asset_key

WEBHOOK = "CACHET_FAILURE_WEBHOOK"
WEBHOOK_SECONDS = 10.0

_LOCK_SECONDS = 10.0
_EVENTS = 100


@dataclass
class _Memory:
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
    def of(cls, cursor: str | None, connection: Connection) -> "_Memory":
        server = "demo" if connection.demo else connection.settings.base_url
        try:
            memory = cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            return cls(server)
        return memory if memory.server == server else cls(server, requested=memory.requested)

    def text(self) -> str:
        return json.dumps(vars(self), separators=(",", ":"))


@sensor(
    job=cachet_metric_points,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Once a minute: asks Cachet for its newest metrics, makes those that are new partitions and "
    "loads their points, and only theirs, in one run. Partitions of deleted metrics are dropped by the next sync.",
)
def cachet_metric_partitions(context: SensorEvaluationContext, cachet: CachetResource) -> SensorResult:
    """Add partitions for new metrics, and request one run over exactly the new ones."""

    def tick(connection: Connection, memory: _Memory) -> SensorResult:
        known = {int(key) for key in metric_keys(context.instance)}
        found, memory.api = Poll(connection.settings, memory.api).new_metrics(known)
        added: list[str] = []
        if found:
            added = _add_partitions(context.instance, found, connection)
        keys = list(metric_keys(context.instance))
        new = _after(keys, memory.seen, added)
        memory.seen = keys[-1] if keys else None
        if not new:
            return SensorResult(skip_reason=f"no new metric among {len(keys)}", cursor=memory.text())
        memory.requested += 1
        run_key = f"{memory.requested}:{new[0]}-{new[-1]}"
        request = points_request(new, all_keys=len(new) == len(keys), run_key=run_key)
        return SensorResult(run_requests=[request], cursor=memory.text())

    return _tick_asking_cachet(context, cachet, tick)


@sensor(
    job=cachet_sync,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Once a minute: looks at the newest 100 incidents with their updates and the newest 100 "
    "components, and requests a sync only when something is different. What changed is in the run's tag "
    f"`{CHANGED_TAG}`. Changes of anything else are found by the hourly sync.",
)
def cachet_changes(context: SensorEvaluationContext, cachet: CachetResource) -> SensorResult:
    """Request a sync when incidents or components have changed, and at the first look at a server."""
    busy = sync_in_flight(context.instance)
    if busy:
        # Without looking: the cursor stays, so that what changes meanwhile is found when the run is done.
        return SensorResult(skip_reason=busy, cursor=context.cursor)

    def tick(connection: Connection, memory: _Memory) -> SensorResult:
        newest, memory.api = Poll(connection.settings, memory.api).newest()
        if memory.seen is None:
            changed = "first look"
        else:
            before = {name: _newest_from(memory.seen.get(name)) for name in newest}
            ids = [(name, page.changed(before[name])) for name, page in newest.items()]
            changed = shortened((name, numbers) for name, numbers in ids if numbers)
        memory.seen = {name: [page.since, page.digests] for name, page in newest.items()}
        if not changed:
            return SensorResult(skip_reason="nothing has changed", cursor=memory.text())
        memory.requested += 1
        content = hashlib.blake2b(json.dumps(memory.seen, sort_keys=True).encode(), digest_size=8)
        request = RunRequest(
            run_key=f"{memory.requested}:{content.hexdigest()}",
            job_name=cachet_sync.name,
            tags={CHANGED_TAG: changed},
        )
        return SensorResult(run_requests=[request], cursor=memory.text())

    return _tick_asking_cachet(context, cachet, tick)


@sensor(
    job=cachet_metric_points,
    minimum_interval_seconds=15,
    default_status=DefaultSensorStatus.RUNNING,
    description="When the list of metrics was loaded, by whatever run, requests one run over the points of all "
    "of them; after a full refresh one that reads them from the start. Asks Cachet for nothing.",
)
def cachet_points_after_sync(context: SensorEvaluationContext) -> SensorResult:
    """Request the points of all metrics when their list has been loaded.

    The materialization of `cachet/metrics` tells, not the success of the job: a sync in which another
    endpoint failed has loaded the metrics all the same, and so has a run that a person started in the UI.
    """
    instance = context.instance
    remembered = context.cursor or ""
    cursor = int(remembered) if remembered.isdigit() else None
    records = instance.fetch_materializations(
        AssetRecordsFilter(asset_key("metrics"), after_storage_id=cursor),
        limit=1 if cursor is None else _EVENTS,
    ).records
    if not records:
        return SensorResult(
            skip_reason="the metrics have not been loaded since", cursor=context.cursor or "0"
        )
    busy = points_in_flight(instance)
    if busy:
        return SensorResult(skip_reason=busy, cursor=context.cursor)
    newest = str(records[0].storage_id)
    keys = metric_keys(instance)
    if not keys:
        return SensorResult(skip_reason="there are no metrics", cursor=newest)
    runs = [instance.get_run_by_id(record.run_id) for record in records]
    request = points_request(
        keys,
        all_keys=True,
        run_key=records[0].run_id,
        full_refresh=any(run and FULL_REFRESH_TAG in run.tags for run in runs),
    )
    return SensorResult(run_requests=[request], cursor=newest)


def failure_webhook(environment: Mapping[str, str]) -> SensorDefinition:
    """Return the sensor that tells a webhook of failed runs, switched on where the environment names one.

    Args:
        environment: `CACHET_FAILURE_WEBHOOK` is the http or https address that is posted to.
    """

    @run_failure_sensor(
        name="cachet_failure_webhook",
        minimum_interval_seconds=15,
        default_status=DefaultSensorStatus.RUNNING
        if environment.get(WEBHOOK, "").strip()
        else DefaultSensorStatus.STOPPED,
        description=f"Posts JSON (`text`, `run_id`, `job`, `error`) to {WEBHOOK} when a run fails. Switched on from "
        "the start where that is set.",
    )
    def cachet_failure_webhook(context: RunFailureSensorContext, cachet: CachetResource) -> SkipReason | None:
        current = load_environment()
        url = current.get(WEBHOOK, "").strip()
        if not url:
            return SkipReason(f"{WEBHOOK} is not set")
        job, run_id = context.dagster_run.job_name, context.dagster_run.run_id
        error = _error(context)
        for token in filter(None, (cachet.api_token, current.get("CACHET_API_TOKEN", "").strip())):
            error = error.replace(token, "***")
        post = {
            "text": f"{job} failed (run {run_id[:8]}): {error}",
            "run_id": run_id,
            "job": job,
            "error": error,
        }
        refused = posted(url, post)
        if refused:
            # Not raised: a webhook that is down must not make failures of its own.
            context.log.warning(
                f"the failure of run {run_id[:8]} could not be posted to {WEBHOOK}: {refused}"
            )
        return None

    return cachet_failure_webhook


def _tick_asking_cachet(
    context: SensorEvaluationContext,
    cachet: CachetResource,
    tick: Callable[[Connection, _Memory], SensorResult],
) -> SensorResult:
    """Return what a tick that asks Cachet requests, or why it could not ask."""
    memory: _Memory | None = None
    try:
        with cachet.connect(context.log.debug) as connection:
            memory = _Memory.of(context.cursor, connection)
            return tick(connection, memory)
    except CachetError as error:
        cursor = context.cursor
        if memory and memory.api and not isinstance(error, Unreachable):
            # It may speak another API since; the next tick finds out.
            memory.api = None
            cursor = memory.text()
        return SensorResult(skip_reason=str(error), cursor=cursor)


def _add_partitions(instance: DagsterInstance, ids: list[int], connection: Connection) -> list[str]:
    path = connection.database.path
    try:
        added, _ = sync_metric_partitions(instance, ids, beside=path, complete=False, wait=_LOCK_SECONDS)
    except LockTimeout as error:
        raise CachetError("a run is adding partitions just now") from error
    except OSError as error:
        raise SettingsError(
            f"no lock can be made beside the database {path} ({error.strerror})",
            "Set CACHET_DATABASE to a path in a folder that exists and can be written.",
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
