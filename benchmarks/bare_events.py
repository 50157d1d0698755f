"""The floor of Dagster itself: an asset that only says, for each of its partitions, that it was materialized.

One decision shapes it: it is the same kind of op as this project's (one run over a range of dynamic
partitions, one event with metadata of its own per key), so what a run costs beyond it is not Dagster's doing.
"""

import dagster as dg

from benchmarks.contender import Bench, Work

metrics = dg.DynamicPartitionsDefinition(name="metrics")


@dg.multi_asset(
    specs=[dg.AssetSpec("points", partitions_def=metrics, skippable=True)],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def points(context: dg.AssetExecutionContext):
    for key in context.partition_keys:
        metadata = {
            "dagster/partition_row_count": 100,
            "rows_read": 100,
            "rows_new": 0,
            "rows_changed": 0,
            "requests": 1,
            "first": dg.TimestampMetadataValue(1_577_836_800.0),
            "last": dg.TimestampMetadataValue(1_577_839_770.0),
            "sketch": "▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█",
        }
        yield dg.AssetMaterialization("points", partition=key, metadata=metadata)


defs = dg.Definitions(assets=[points], jobs=[dg.define_asset_job("all_points", [points])])


def events_only(bench: Bench) -> Work:
    instance = dg.DagsterInstance.local_temp(str(bench.folder))
    keys = [str(metric) for metric in range(1, bench.world.metrics + 1)]
    instance.add_dynamic_partitions("metrics", keys)
    job = defs.resolve_job_def("all_points")
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}

    def run() -> None:
        job.execute_in_process(instance=instance, tags=tags)

    def events() -> dict:
        found = instance.get_materialized_partitions(dg.AssetKey("points"))
        return {"partitions materialized": len(found)}

    return Work(run, notes=events)
