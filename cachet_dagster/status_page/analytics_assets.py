"""The models as assets: one op that builds them all, in the warehouse's turn, after a sync that changed something.

They are built together, since they take less time than Dagster takes to start a step, and in one transaction, since
figures of two builds side by side would contradict each other. History tables are assets that nobody materializes:
the loads of the tables fill them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    MaterializeResult,
    MetadataValue,
    SensorDefinition,
    TableRecord,
    multi_asset,
)

from cachet_dagster.analytics import HISTORY, MODELS
from cachet_dagster.analytics.build import Built, analytics_schema, build_models
from cachet_dagster.analytics.history import WATCHED
from cachet_dagster.analytics.model_settings import ModelSettings, SloTarget
from cachet_dagster.analytics.model_sql import model_inputs
from cachet_dagster.analytics.tables import VIEWS
from cachet_dagster.source import FILLED_BY
from cachet_dagster.source.tables import Table
from cachet_dagster.warehouse import Session

from .charts import chart_metadata
from .failures import connected
from .page import StatusPage
from .run_context import RunContext
from .specs import column_schema

REPORT = "report"
"""Name of the asset that is written from the models."""

STATUS_CHECK = "agrees_with_latest_status"

DEMO_TARGETS = ("component=0.999",)
"""What the demo promises. A page promises nothing unless its settings say so."""

_SHOWN = 10


def history_specs(page: StatusPage) -> list[AssetSpec]:
    """Return the history tables as assets that the loads of a page's tables fill."""
    loaded = {table.name for table in page.tables}
    watched_by = {watched.history: watched.table for watched in WATCHED}
    return [
        AssetSpec(
            page.asset_key(name),
            deps=[page.asset_key(watched_by[name])]
            if watched_by.get(name) in loaded
            else [page.asset_key("server")],
            description=f"{table.description}\n\nAdded to by the load of the tables.",
            metadata=_table_metadata(page.dataset, table),
            **_common(page),
        )
        for name, table in HISTORY.items()
    ]


def models_asset(page: StatusPage) -> AssetsDefinition:
    """Return the op that builds the models of a page."""
    intervals = page.asset_key("component_status_intervals")
    checks = [
        AssetCheckSpec(
            STATUS_CHECK,
            asset=intervals,
            description="What incidents and maintenance make of each component is the status that the page shows.",
        )
    ]

    @multi_asset(
        specs=[_spec(page, table) for table in MODELS.values()],
        check_specs=checks if page.checks else [],
        name=page.named("models"),
    )
    def models(context: AssetExecutionContext) -> Iterator[Any]:
        """Build the models from what is loaded."""
        with connected(page, context.log.info) as connection, connection.warehouse.writing() as session:
            schema = analytics_schema(session.dataset)
            built = build_models(session, session.dataset, schema, model_settings(connection))
            agreement = _agreement(session, schema)
            charts = chart_metadata(session)
        for name in MODELS:
            yield MaterializeResult(
                asset_key=page.asset_key(name),
                metadata={**_metadata(connection, built, name), **charts.get(name, {})},
            )
            if page.checks and page.asset_key(name) == intervals:
                yield _status_check(page, agreement)

    return models


def models_sensor(page: StatusPage, seconds: int) -> SensorDefinition:
    """Return the sensor that builds the models once their tables have changed."""
    return AutomationConditionSensorDefinition(
        page.named("models_after_changes"),
        target=AssetSelection.assets(*(page.asset_key(name) for name in (*MODELS, REPORT))),
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        run_tags=page.run_tags,
        description="Builds the models when a sync has changed a table, or points have come in.",
    )


def model_settings(connection: RunContext) -> ModelSettings:
    """Return what a page's settings say of its models."""
    page = connection.page
    return ModelSettings(
        time_zone=connection.settings.timezone,
        audience=page.audience,
        maintenance_cap=timedelta(hours=page.maintenance_cap),
        slo_targets=tuple(
            map(SloTarget.parse, page.slo_targets or (DEMO_TARGETS if connection.demo else ()))
        ),
    )


def _common(page: StatusPage) -> dict[str, Any]:
    return {"group_name": page.analytics_group, "owners": page.owners, "tags": page.tags, "kinds": {"sql"}}


def _table_metadata(schema: str, table: Table) -> dict[str, Any]:
    return {"dagster/table_name": f"{schema}.{table.name}", "dagster/column_schema": column_schema(table)}


def _spec(page: StatusPage, table: Table) -> AssetSpec:
    how = "A view." if table.name in VIEWS else "Built anew, all models in one transaction."
    key = ", ".join(f"`{column}`" for column in table.key)
    return AssetSpec(
        page.asset_key(table.name),
        deps=[page.asset_key(name) for name in _inputs(page, table.name)],
        description=f"{table.description}\n\n{how} Key: {key}.",
        metadata=_table_metadata(analytics_schema(page.dataset), table),
        automation_condition=_condition(page),
        **_common(page),
    )


def _inputs(page: StatusPage, name: str) -> list[str]:
    if name == "uptime_policies":
        return []
    inputs = model_inputs(name)
    known = {*HISTORY, *(table.name for table in page.tables)}
    return [
        *(table for table in inputs["source"] if table in known),
        *(model for model in inputs["analytics"] if model in MODELS),
    ]


def _condition(page: StatusPage) -> AutomationCondition | None:
    """Build when a table's content has changed, or points have come in, and nothing is under way.

    None where the page has no sensors: Dagster would bring one of its own, for the whole code location.
    """
    if not page.load_time.has_sensors:
        return None
    whole = [table.name for table in page.whole_tables if not FILLED_BY[table.name].kind.appends]
    if page.has_points:
        whole.append("metric_points")
    tables = AssetSelection.assets(*map(page.asset_key, whole))
    changed = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed()).allow(tables)
    # One that wants it is enough: an op that builds all of them is requested for all of them.
    return changed.since_last_handled() & ~AutomationCondition.in_progress()


def _metadata(connection: RunContext, built: Built, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "as_of": MetadataValue.timestamp(built.as_of),
        "audience": connection.page.audience,
        "demo": connection.demo,
    }
    if name in built.rows:
        metadata["dagster/row_count"] = built.rows[name]
    if name in built.seconds:
        metadata["seconds"] = round(built.seconds[name], 3)
    return metadata


@dataclass(frozen=True)
class _Agreement:
    """Components with a shown status, those that are not the worst of all (id, name, why), and which rule fits."""

    components: int
    disagreeing: Sequence[tuple[Any, ...]]
    by_newest_incident: int

    @property
    def rule(self) -> str:
        """The rule that reproduces what the page shows of every component, if one does."""
        if not self.disagreeing:
            return "worst of all"
        return "newest incident" if self.by_newest_incident == self.components else "neither"


def _agreement(session: Session, schema: str) -> _Agreement:
    disagreeing = session.run(
        f'SELECT h.row_id, l.component_name, h.why FROM "{schema}".hygiene AS h'
        f' INNER JOIN "{schema}".component_lives AS l ON l.component_id = h.row_id'
        " WHERE h.rule = 'status_disagrees' ORDER BY h.row_id"
    )
    ((components, by_newest),) = session.run(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN t.newest_incident = t.page_status THEN 1 ELSE 0 END), 0)"
        f' FROM "{schema}".shown_statuses AS t'
    )
    return _Agreement(components, disagreeing, int(by_newest))


def _status_check(page: StatusPage, agreement: _Agreement) -> AssetCheckResult:
    disagreeing = agreement.disagreeing
    metadata: dict[str, Any] = {
        "found": len(disagreeing),
        "components": agreement.components,
        "by_newest_incident": agreement.by_newest_incident,
        "rule": agreement.rule,
    }
    if disagreeing:
        metadata["rows"] = MetadataValue.table(
            [
                TableRecord({"component_id": number, "name": str(name), "why": str(why)})
                for number, name, why in disagreeing[:_SHOWN]
            ]
        )
    return AssetCheckResult(
        asset_key=page.asset_key("component_status_intervals"),
        check_name=STATUS_CHECK,
        passed=not disagreeing,
        severity=AssetCheckSeverity.WARN,
        description=_told(agreement),
        metadata=metadata,
    )


def _told(agreement: _Agreement) -> str:
    if not agreement.disagreeing:
        return "The page shows the same status of each component."
    numbers = [number for number, *_ in agreement.disagreeing]
    ids = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    why = (
        "It is an older Cachet, whose rule fits all of them: the newest open incident's status wins."
        if agreement.rule == "newest incident"
        else f"Nor does the rule of older versions, the newest open incident's status, fit all: it fits "
        f"{agreement.by_newest_incident} of {agreement.components}."
    )
    return f"The page shows another status of components {ids}{more} than their incidents and maintenance make. {why}"
