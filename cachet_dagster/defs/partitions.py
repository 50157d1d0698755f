"""Metric ids as dynamic partitions, added and removed in one place.

Ranges of dynamic partitions follow the order in which keys were added, and cover exactly the new ones
only while there is one adder at a time: hence the lock.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from dagster import DagsterInstance, DynamicPartitionsDefinition

from cachet_dagster.warehouse.lock import locked

metric_partitions = DynamicPartitionsDefinition(name="cachet_metric_id")

# A single insert of many more fails on SQLite.
_CHUNK = 10_000


def metric_keys(instance: DagsterInstance) -> Sequence[str]:
    """Return the partition keys in the order in which they were added."""
    return instance.get_dynamic_partitions(str(metric_partitions.name))


def sync_metric_partitions(
    instance: DagsterInstance,
    metric_ids: Collection[int],
    *,
    beside: Path,
    complete: bool,
    wait: float = 60.0,
) -> tuple[list[str], list[str]]:
    """Add partitions for metrics that have none, and drop those of metrics that are gone.

    Args:
        instance: Where partitions are kept.
        metric_ids: Ids of metrics seen.
        beside: File beside which the lock is kept.
        complete: Whether these are all metrics there are; only then are others dropped.
        wait: Seconds to wait for another adder at most.

    Returns:
        Keys added, in the order of their ids, and keys dropped.

    Raises:
        LockTimeout: Another adder kept the lock for longer than that.
        OSError: The lock file cannot be made.
    """
    name = str(metric_partitions.name)
    with locked(beside.with_name(f"{beside.name}.partitions"), exclusive=True, wait=wait):
        present = set(metric_keys(instance))
        added = [str(number) for number in sorted(metric_ids) if str(number) not in present]
        for begin in range(0, len(added), _CHUNK):
            instance.add_dynamic_partitions(name, added[begin : begin + _CHUNK])
        wanted = {str(number) for number in metric_ids}
        dropped = sorted(present - wanted, key=int) if complete else []
        for key in dropped:
            instance.delete_dynamic_partition(name, key)
    return added, dropped
