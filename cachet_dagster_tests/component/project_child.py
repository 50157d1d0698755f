"""What a person does in a project of their own, as a script for that project's Python: load, run, look."""

from __future__ import annotations

import json
import sys
import threading
from importlib import import_module


def imported() -> dict[str, object]:
    """Import the package, and return what is different since."""
    import logging
    import os

    before = dict(os.environ), list(logging.getLogger().handlers)
    import cachet_dagster.component

    return {
        "file": cachet_dagster.component.__file__,
        "threads": threading.active_count(),
        "environment": dict(os.environ) == before[0],
        "handlers": list(logging.getLogger().handlers) == before[1],
        "demo": "cachet_dagster.demo" in sys.modules,
    }


def ran(module: str) -> dict[str, object]:
    """Load the page `acme`, and return what came of it."""
    import dagster as dg

    definitions = import_module(module).defs
    definitions = definitions() if callable(definitions) else definitions
    repository = definitions.get_repository_def()
    job = repository.get_job("acme_sync")
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        keys = instance.get_dynamic_partitions("acme_metric_id")
        points = repository.get_job("acme_metric_points").execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
            },
            raise_on_error=False,
        )
        mine = repository.get_job("mine").execute_in_process(instance=instance, raise_on_error=False)
    return {
        "success": [result.success, points.success, mine.success],
        "executors": {job.name: job.executor_def.name for job in repository.get_all_jobs()},
        "found": mine.output_for_node("found"),
    }


def without_the_demo() -> str:
    """Load the page of the environment where nothing is configured, and return why that fails."""
    from cachet_dagster import StatusPage
    from cachet_dagster.source.errors import SettingsError
    from cachet_dagster.status_page.run_context import open_run

    try:
        with open_run(StatusPage.from_environment(), lambda _: None):
            return ""
    except SettingsError as error:
        return str(error)


def looked() -> dict[str, object]:
    """Import the package, then look for the demo."""
    return {"imported": imported(), "demo": without_the_demo()}


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(json.dumps({"looked": looked, "ran": ran}[what](*arguments)))
