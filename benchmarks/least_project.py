"""The least that is a Dagster project with dlt: one asset of two rows from dagster-dlt, loaded twice into DuckDB."""

import dlt
from dagster import AssetExecutionContext, DagsterInstance, Definitions, define_asset_job
from dagster_dlt import DagsterDltResource, dlt_assets


@dlt.source
def two_rows():
    @dlt.resource(write_disposition="replace")
    def rows():
        yield [{"id": 1}, {"id": 2}]

    return rows


pipeline = dlt.pipeline(
    "least", destination=dlt.destinations.duckdb("least.duckdb"), dataset_name="least_data"
)


@dlt_assets(dlt_source=two_rows(), dlt_pipeline=pipeline)
def assets(context: AssetExecutionContext, resource: DagsterDltResource):
    # A source of its own for each run: dlt 1.31 stumbles over one whose schema it has seen data of.
    yield from resource.run(context=context, dlt_source=two_rows())


definitions = Definitions(
    assets=[assets], jobs=[define_asset_job("load")], resources={"resource": DagsterDltResource()}
)

if __name__ == "__main__":
    job = definitions.resolve_job_def("load")
    with DagsterInstance.from_config(".") as instance:
        for _ in range(2):
            assert job.execute_in_process(instance=instance).success
