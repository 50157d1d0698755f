"""What a change adds to the asset graph, or takes from it, shows in review: the graph is a committed text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dagster import AssetCheckKey, AssetKey, RepositoryDefinition

from cachet_dagster.analytics import HISTORY, MODELS
from cachet_dagster.definitions import defs

SNAPSHOT = Path(__file__).parent / "snapshots" / "graph.txt"
UPDATE = "UPDATE_SNAPSHOTS=1 python -m pytest cachet_dagster_tests/status_page/test_graph.py"


def test_the_graph_is_as_committed():
    graph = "\n".join(described(defs.get_repository_def())) + "\n"

    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(graph, encoding="utf-8")

    assert graph == SNAPSHOT.read_text(encoding="utf-8"), (
        f"the asset graph has changed. If it is meant to, run: {UPDATE}"
    )


def test_nothing_in_the_graph_names_a_place_on_this_machine():
    graph = "\n".join(described(defs.get_repository_def()))

    assert str(Path.home()) not in graph
    assert str(Path(__file__).parents[2]) not in graph


def test_every_asset_says_what_it_is_and_leads_to_its_code_and_its_api():
    for spec in defs.resolve_all_asset_specs():
        assert spec.description
        if spec.key.path[-1] == "report":
            continue
        ours = spec.key.path[-1] in {*MODELS, *HISTORY}
        assert ours or spec.metadata["api_reference"].value.startswith(
            "https://docs.cachethq.io/api-reference/"
        )
        if spec.key != AssetKey(["cachet", "server"]):
            columns = spec.metadata["dagster/column_schema"].columns
            assert all(column.description for column in columns)
            references = spec.metadata["dagster/code_references"].code_references
            loaded = "points_asset.py" if spec.key.path[-1] == "metric_points" else "tables_asset.py"
            code = "analytics_assets.py" if ours else loaded
            # What no op makes has no code of its own.
            made = {code} if spec.key.path[-1] not in HISTORY else set()
            assert {Path(found.file_path).name for found in references} == {*made, "defs.yaml"}


def described(repository: RepositoryDefinition) -> Iterator[str]:
    graph = repository.asset_graph
    yield "ASSETS"
    for key in graph.toposorted_asset_keys:
        yield from _asset(repository, key)
    yield "JOBS"
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            layer = job.asset_layer.asset_graph
            yield (
                f"  {job.name}: {_count(layer.materializable_asset_keys, 'asset')}, "
                f"{_count(layer.asset_check_keys, 'check')}" + (", partitioned" if job.partitions_def else "")
            )
    yield "SCHEDULES"
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        yield (
            f"  {schedule.name}: {schedule.job_name} at {schedule.cron_schedule} "
            f"{schedule.execution_timezone}, {schedule.default_status.value.lower()}"
        )
    yield "SENSORS"
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        every = f"every {sensor.minimum_interval_seconds} s" if sensor.minimum_interval_seconds else "at once"
        yield f"  {sensor.name}: {sensor.sensor_type.value.lower()}, {every}, {sensor.default_status.value.lower()}"


def _asset(repository: RepositoryDefinition, key: AssetKey) -> Iterator[str]:
    graph = repository.asset_graph
    node = graph.get(key)
    yield f"  {key.to_user_string()}"
    yield f"    group {node.group_name}, {', '.join(sorted(node.kinds))}" + (
        "" if node.is_materializable else ", external"
    )
    if node.parent_keys:
        yield f"    from {', '.join(sorted(parent.to_user_string() for parent in node.parent_keys))}"
    if node.partitions_def:
        yield f"    partitions {node.partitions_def.name}"
    policy = node.freshness_policy
    if policy:
        yield (
            f"    fresh for {policy.warn_window.to_timedelta()}, "
            f"failed after {policy.fail_window.to_timedelta()}"
        )
    checks = sorted(found.name for found in graph.asset_check_keys if _of(found, key))
    if checks:
        yield f"    checks {', '.join(checks)}"


def _of(check: AssetCheckKey, key: AssetKey) -> bool:
    return check.asset_key == key


def _count(things: object, noun: str) -> str:
    number = len(list(things))  # pyright: ignore[reportArgumentType]
    return f"{number} {noun}{'' if number == 1 else 's'}"
