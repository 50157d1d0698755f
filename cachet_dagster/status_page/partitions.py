"""Metric ids as dynamic partitions, added and removed in one place.

Ranges of dynamic partitions follow the order in which keys were added, and cover exactly the new ones
only while there is one adder at a time: hence the lock.
"""

import re
from collections.abc import Collection, Sequence

from dagster import DagsterInstance

from cachet_dagster.warehouse import Warehouse

from .page import StatusPage

# A single insert of many more fails on SQLite.
_CHUNK = 10_000


def all_keys(page: StatusPage, instance: DagsterInstance) -> Sequence[str]:
    """Return all partition keys, those too that are no metric ids, in the order in which they were added."""
    return instance.get_dynamic_partitions(str(page.partitions.name))


def metric_keys(page: StatusPage, instance: DagsterInstance) -> Sequence[str]:
    """Return the partition keys that are metric ids, in the order in which they were added.

    A person can add any key in the UI; what is no id is left out, and dropped by the next sync.
    """
    return [key for key in all_keys(page, instance) if is_metric_key(key)]


def is_metric_key(key: str) -> bool:
    """Return whether a partition key is a metric's id, written as it is written here."""
    return re.fullmatch(r"[1-9][0-9]{0,17}", key) is not None


def sync_metric_partitions(
    page: StatusPage,
    instance: DagsterInstance,
    metric_ids: Collection[int],
    warehouse: Warehouse,
    *,
    droppable: Collection[str] = (),
    wait: float = 60.0,
) -> tuple[list[str], list[str]]:
    """Add partitions for metrics that have none, and drop those of metrics that are gone.

    Args:
        page: The page.
        instance: Where partitions are kept.
        metric_ids: Ids of metrics seen.
        warehouse: Where the page is loaded, which keeps its adders apart.
        droppable: Keys to drop where these metrics, which are then all there are, lack them: those that were there
            before the metrics were read. A key that a sensor has added since is of a metric newer than they.
        wait: Seconds to wait for another adder at most.

    Returns:
        Keys added, in the order of their ids, and keys dropped.

    Raises:
        LockTimeout: Another adder kept the lock for longer than that.
        OSError: The lock file cannot be made.
    """
    name = str(page.partitions.name)
    with warehouse.lock(name, wait=wait):
        known = set(all_keys(page, instance))
        added = [str(number) for number in sorted(set(metric_ids)) if str(number) not in known]
        for begin in range(0, len(added), _CHUNK):
            instance.add_dynamic_partitions(name, added[begin : begin + _CHUNK])
        dropped = sorted(known.intersection(droppable).difference(map(str, metric_ids)))
        for key in dropped:
            instance.delete_dynamic_partition(name, key)
    return added, dropped
