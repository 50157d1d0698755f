"""What each asset is: key, lineage, description, columns. Derived from the tables, through dagster-dlt's translator."""

from collections.abc import Sequence
from graphlib import TopologicalSorter

from dagster import (
    AssetDep,
    AssetSpec,
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableConstraints,
    TableSchema,
)
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData

from cachet_dagster.source import ENDPOINTS, FILLED_BY, TABLES, metric_points_resource, table_resource
from cachet_dagster.source.http.api import API_2, API_3
from cachet_dagster.source.tables import Table

from .page import StatusPage

API_REFERENCE = "https://docs.cachethq.io/api-reference"
_INTRODUCTION = "introduction"

ENDPOINT_TAG = "cachet/endpoint"
"""Tag of the assets that an endpoint fills: its name."""


def server_spec(page: StatusPage) -> AssetSpec:
    """Return the Cachet server as an external asset: where a page's tables come from."""
    return AssetSpec(
        page.asset_key("server"),
        description="The Cachet server: where everything here comes from. It is read, never written.",
        group_name=page.group,
        owners=page.owners,
        tags=page.tags,
        kinds={"cachet"},
        metadata={"api_reference": MetadataValue.url(f"{API_REFERENCE}/{_INTRODUCTION}")},
    )


class CachetDltTranslator(DagsterDltTranslator):
    """Says what asset a dlt resource of this source is, on one page."""

    def __init__(self, page: StatusPage):
        self.page = page

    def get_asset_spec(self, data: DltResourceTranslatorData) -> AssetSpec:
        """Return the asset `<page>/<resource>`, with its lineage as it really is."""
        page = self.page
        table = TABLES[data.resource.name]
        endpoint = FILLED_BY[table.name]
        loaded = {table.name for table in page.tables}
        from_tables = [AssetDep(page.asset_key(name)) for name in parents(table) if name in loaded]
        spec = (
            super()
            .get_asset_spec(data)
            .replace_attributes(
                key=page.asset_key(table.name),
                deps=from_tables or [AssetDep(page.asset_key("server"))],
                description=_description(table),
                group_name=page.group,
                owners=page.owners,
                kinds={"dlt", page.load_time.destination},
                tags={**page.tags, ENDPOINT_TAG: endpoint.name},
                skippable=True,
                partitions_def=page.partitions if endpoint.kind.per_metric else None,
            )
            .merge_attributes(
                metadata={
                    "dagster/table_name": f"{page.dataset}.{table.name}",
                    "dagster/column_schema": column_schema(table),
                    "api_reference": MetadataValue.url(f"{API_REFERENCE}/{endpoint.docs or _INTRODUCTION}"),
                }
            )
        )
        return page.translate(spec, data) if page.translate else spec


def parents(table: Table) -> list[str]:
    """Return the tables that a table is made from: its list, its metrics, its links' both ends."""
    endpoint = FILLED_BY[table.name]
    if endpoint.of and table.name == endpoint.name:
        return [endpoint.of]
    if endpoint.kind.per_metric or table.name != endpoint.tables[0]:
        first = [endpoint.tables[0]] if table.name != endpoint.tables[0] else []
        return list(dict.fromkeys([*first, *(reference.table for reference in table.references)]))
    return []


LINEAGE_ORDER = list(
    TopologicalSorter({name: parents(table) for name, table in TABLES.items()}).static_order()
)
"""Tables, each after those that it is made from."""


def column_schema(table: Table) -> TableSchema:
    """Return a table's declared columns for Dagster's asset page."""
    return TableSchema(
        columns=[
            TableColumn(
                column.name,
                column.data_type,
                column.description,
                TableColumnConstraints(
                    nullable=column.name not in table.key, unique=table.key == (column.name,)
                ),
            )
            for column in table.columns
        ],
        constraints=TableConstraints(other=[f"unique: {', '.join(table.key)}"])
        if len(table.key) > 1
        else None,
    )


def table_specs(page: StatusPage) -> Sequence[AssetSpec]:
    """Return the assets that are read as a whole."""
    return [_spec(page, table) for table in page.whole_tables]


def points_spec(page: StatusPage) -> AssetSpec:
    """Return the asset of the metrics' points, a partition a metric."""
    return _spec(page, TABLES["metric_points"])


def _spec(page: StatusPage, table: Table) -> AssetSpec:
    points = FILLED_BY[table.name].kind.per_metric
    resource = metric_points_resource(lambda: iter(())) if points else table_resource(table)
    data = DltResourceTranslatorData(resource=resource, pipeline=None)
    return CachetDltTranslator(page).get_asset_spec(data)


def _description(table: Table) -> str:
    endpoint = FILLED_BY[table.name]
    how = endpoint.kind.how.format(of=endpoint.of)
    key = ", ".join(f"`{column}`" for column in table.key)
    asked = ENDPOINTS[endpoint.of or endpoint.name]
    paths = [
        f"`GET {api.root}/{listing.path}`"
        for api, listing in ((API_3, asked.v3), (API_2, asked.v2))
        if listing
    ]
    path = f"\n\nRead from {' or '.join(paths)}."
    return f"{table.description}\n\n{how} Key: {key}.{path}"
