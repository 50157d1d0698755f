"""Several pages share a code location and an instance, and even a file, and know nothing of each other."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    SkipReason,
    build_run_status_sensor_context,
    build_sensor_context,
)
from pydantic import SecretStr

from cachet_dagster import StatusPage, page_definitions
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster_tests import truth, truth_cachet2
from cachet_dagster_tests.changing import ChangingPage
from cachet_dagster_tests.conftest import ADMIN, serve_recorded
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN as TOKEN_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import WORLD as WORLD_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import serving as serving_cachet2

from .dagster_runs import QUIET, Project, failure, instance_in, materialized


def page(name: str, url: str, database: Path, token: str | None = None, **values: Any) -> StatusPage:
    return StatusPage(
        name=name,
        token=SecretStr(token) if token else None,
        checks=False,
        values={"base_url": url, "database": str(database), "attempts": 1, **values},
    )


class Pages:
    """Pages of one code location, and the instance that they share."""

    def __init__(self, instance: DagsterInstance, *pages: StatusPage):
        self.instance = instance
        self.pages = {page.name: page for page in pages}
        self.repository = Definitions.merge(*map(page_definitions, pages)).get_repository_def()

    def run(self, job: str, tags: dict[str, str] | None = None):
        definition = self.repository.get_job(job)
        return definition.execute_in_process(
            instance=self.instance, run_config=QUIET, tags=tags or {}, raise_on_error=False
        )

    def load(self, name: str) -> bool:
        """Load a page's tables, then its points; return whether both went well."""
        synced = self.run(f"{name}_sync").success
        keys = metric_keys(self.pages[name], self.instance)
        if not keys:
            return synced
        ends = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return self.run(f"{name}_metric_points", ends).success and synced

    def tick(self, sensor: str):
        with build_sensor_context(
            instance=self.instance, repository_def=self.repository, sensor_name=sensor
        ) as context:
            return self.repository.get_sensor_def(sensor).evaluate_tick(context)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Return five pages, loaded: a Cachet 3 as two callers in one file, a Cachet 2, one down, one that changes."""
    folder = tmp_path_factory.mktemp("pages")
    changing = ChangingPage()
    with ExitStack() as running:
        three = running.enter_context(serve_recorded())
        two = running.enter_context(serving_cachet2())
        alive = running.enter_context(changing.server())
        with DemoServer(World()) as gone:
            url_of_nobody = gone.url
        instance = instance_in(folder)
        pages = Pages(
            instance,
            page("admin", three.url, folder / "shared.duckdb", ADMIN),
            page("guest", three.url, folder / "shared.duckdb"),
            page("two", two.url, folder / "two.duckdb", TOKEN_2),
            page("down", url_of_nobody, folder / "down.duckdb"),
            page("changing", alive.url, folder / "changing.duckdb", ADMIN),
        )
        success = {name: pages.load(name) for name in pages.pages}
        changed = changing.changes
        # What changes no more is loaded once more.
        changing.changing = False
        pages.load("changing")
        yield SimpleNamespace(
            pages=pages, folder=folder, success=success, two=two, world=changing.world, changed=changed
        )


@pytest.mark.slow
def test_each_page_equals_its_server_cell_by_cell_in_one_file_and_in_several(five):
    with duckdb.connect(str(five.folder / "shared.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert truth.differences(connection, "admin", schema="admin_data") == []
        assert truth.differences(connection, "guest", schema="guest_data") == []
    two = truth_cachet2.differences(
        five.folder / "two.duckdb", WORLD_2, admin=True, page=five.two.url, schema="two_data"
    )
    assert two == []


@pytest.mark.slow
def test_a_page_that_changed_with_each_request_equals_its_server_once_it_has_stopped(five):
    with duckdb.connect(str(five.folder / "changing.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = truth.differences(connection, "admin", world=five.world.dump(), schema="changing_data")

    assert found == []
    assert five.changed > 10


@pytest.mark.slow
def test_the_page_that_is_down_is_red_alone(five):
    assert five.success == {"admin": True, "guest": True, "two": True, "down": False, "changing": True}


@pytest.mark.slow
def test_a_pages_sensor_adds_its_own_partitions_and_only_those(five):
    pages = five.pages
    before = {name: list(metric_keys(each, pages.instance)) for name, each in pages.pages.items()}
    added = five.world.add("metrics", name="new", suffix="", default_value=0, calc_type=1, places=1)

    requests = {name: pages.tick(f"{name}_metric_partitions").run_requests for name in pages.pages}

    after = {name: list(metric_keys(each, pages.instance)) for name, each in pages.pages.items()}
    assert after == {**before, "changing": [*before["changing"], str(added["id"])]}
    assert {name for name, of_page in requests.items() if of_page} == {"changing"}
    assert {request.job_name for request in requests["changing"]} == {"changing_metric_points"}


@pytest.mark.slow
def test_a_run_under_way_makes_its_own_page_wait_and_no_other(five):
    run = DagsterRun(job_name="admin_sync", status=DagsterRunStatus.STARTED)
    five.pages.instance.add_run(run)

    waits, looks = (five.pages.tick(f"{name}_changes") for name in ("admin", "guest"))
    five.pages.instance.report_run_canceled(run)

    assert "(admin_sync) is still started" in (waits.skip_message or "")
    assert [request.job_name for request in looks.run_requests or ()] == ["guest_sync"]


@pytest.mark.slow
def test_the_webhook_speaks_of_this_pages_runs_only(five):
    instance, result = five.pages.instance, five.pages.run("down_sync")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None

    answers = {}
    for name in ("down", "guest"):
        context = build_run_status_sensor_context(
            sensor_name=f"{name}_failure_webhook",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=run,
        ).for_run_failure()
        answers[name] = five.pages.repository.get_sensor_def(f"{name}_failure_webhook")(context)

    assert isinstance(answers["guest"], SkipReason)
    assert "is not one of the page guest" in (answers["guest"].skip_message or "")
    assert "is not set" in (answers["down"].skip_message or "")


def test_another_page_is_refused_before_anything_is_written_and_one_that_moved_is_not(tmp_path):
    old, new = (World.generate(incidents=number, components=1) for number in (2, 3))
    with DemoServer(old) as first, DemoServer(new) as second:
        project = Project(tmp_path, first.url, DEMO_TOKEN)
        assert project.load_tables("incidents").success

        project.set(base_url=second.url)
        refused = project.load_tables("incidents")
        kept = project.count("incidents")
        project.set(moved_from=first.url)
        moved = project.load_tables("incidents")
        project.set(moved_from=None)
        again = project.load_tables("incidents")

    said = failure(refused)
    assert f"holds {first.url}, and {second.url} is another page" in said
    assert f"set CACHET_MOVED_FROM to {first.url}" in said
    assert kept == 2
    assert moved.success
    assert again.success
    assert project.count("incidents") == 3


def test_a_token_that_may_not_read_subscribers_is_no_failure_unless_they_were_read_before(tmp_path):
    world = World.generate(incidents=1, components=1, subscribers=2)
    tokens = {"1|everything": {"*"}, "2|little": {"incidents.manage"}}
    for folder in ("little", "before"):
        (tmp_path / folder).mkdir()
    with DemoServer(world, tokens=tokens) as server:
        project = Project(tmp_path / "little", server.url, "2|little")
        little = project.load_tables("incidents", "subscribers")
        observed = [
            event.asset_observation_data.asset_observation.metadata["what_happened"].value
            for event in little.all_events
            if event.is_asset_observation
        ]
        project.set(subscribers_required=True)
        required = project.load_tables("subscribers")
        before = Project(tmp_path / "before", server.url, "1|everything")
        assert before.load_tables("subscribers").success
        lost = Project(tmp_path / "before", server.url, "2|little").load_tables("subscribers")

    assert little.success
    assert "incidents" in materialized(little)
    assert [text.startswith("refused: ") for text in observed] == [True]
    assert not required.success
    assert not lost.success
    assert before.count("subscribers") == 2
