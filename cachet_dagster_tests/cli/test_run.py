"""`run` loads everything and says what happened to each asset; what it could not load, it says why."""

from __future__ import annotations

import re

import duckdb
import pytest
from dagster import DagsterInstance, job, op, resource
from pydantic import SecretStr

from cachet_dagster.cli.run import reasons, run
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import TABLES
from cachet_dagster.status_page.page import StatusPage

from .commands import Said, command, down, process


def page() -> World:
    return World.generate(incidents=3, components=2, metrics=1, points=2, subscribers=1)


@pytest.fixture(scope="module")
def on_the_demo(tmp_path_factory) -> Said:
    return process("run", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def as_a_guest(tmp_path_factory) -> Said:
    with DemoServer(page(), middleware=[down("/component-groups")]) as server:
        folder = tmp_path_factory.mktemp("guest")
        return command("run", folder, CACHET_BASE_URL=server.url, CACHET_ATTEMPTS="1")


@pytest.fixture(scope="module")
def against_a_dead_server(tmp_path_factory) -> Said:
    with DemoServer(page()) as server:
        url = server.url
    folder = tmp_path_factory.mktemp("dead")
    return command("run", folder, CACHET_BASE_URL=url, CACHET_API_TOKEN=DEMO_TOKEN, CACHET_ATTEMPTS="1")


def test_the_demo_is_loaded_with_a_line_and_the_rows_of_each_asset(on_the_demo):
    with duckdb.connect(str(on_the_demo.folder / "cachet_demo.duckdb"), read_only=True) as database:
        for table in TABLES:
            ((rows,),) = database.execute(f"SELECT count(*) FROM cachet_data.{table}").fetchall()
            assert rows
            assert on_the_demo.row(table).startswith(f"{table} {rows:,} ")
    assert on_the_demo.status == 0


def test_the_database_and_the_way_into_it_are_named(on_the_demo):
    assert "the embedded demo page is in cachet_demo.duckdb (" in on_the_demo.output
    assert "duckdb.connect('cachet_demo.duckdb', read_only=True)" in on_the_demo.output


def test_a_run_ends_by_naming_the_report_that_it_wrote(on_the_demo):
    *_, verdict, written, _ = on_the_demo.output.strip().splitlines()
    (path,) = re.findall(r"^The report: (\S+) ", written)

    assert verdict.startswith("In ")
    assert verdict in (on_the_demo.folder / path).read_text()
    assert DEMO_TOKEN.partition("|")[2] not in (on_the_demo.folder / path).read_text()


def test_a_report_of_a_month_that_the_page_does_not_know_says_which_it_does(on_the_demo):
    said = command("report", on_the_demo.folder, "--period", "2016-01")

    assert said.status == 1
    assert "the page has no record of January 2016" in said.output
    assert "Name a period within 1 Jan 2024 to " in said.output


def test_the_token_is_in_no_output(on_the_demo):
    assert "reading every endpoint" in on_the_demo.output
    assert not on_the_demo.gives_away(DEMO_TOKEN)


def test_the_runs_can_be_seen_in_the_instance_afterwards(on_the_demo):
    with DagsterInstance.from_config(str(on_the_demo.folder / "home")) as instance:
        runs = {run.job_name: run.status.value for run in instance.get_runs()}

    assert runs == {"cachet_sync": "SUCCESS", "cachet_all_points": "SUCCESS"}


def test_a_guest_is_told_why_subscribers_are_not_loaded_and_that_is_no_failure(as_a_guest):
    assert "subscribers: " not in as_a_guest.output
    assert as_a_guest.row("subscribers") == "subscribers refused: the server wants an API token"
    assert as_a_guest.row("subscriber_components").endswith("refused: the server wants an API token")
    assert as_a_guest.row("metric_points").startswith("metric_points 2 ")


def test_a_token_that_may_not_read_subscribers_has_the_refusal_in_its_table_and_fails_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with DemoServer(page(), tokens={"2|little": {"incidents.manage"}}) as server:
        values = {"base_url": server.url, "database": "cachet.duckdb"}
        status = run([StatusPage(values=values, token=SecretStr("2|little"))])

    said = Said(status, capsys.readouterr().out, tmp_path)
    assert said.status == 0
    assert said.row("subscribers") == "subscribers refused: the API token lacks the ability for it"
    assert said.row("incidents").startswith("incidents 3 ")


def test_an_endpoint_that_failed_says_so_and_keeps_its_rows_while_the_rest_is_loaded(as_a_guest):
    assert as_a_guest.status == 1
    assert "failed: the server fails (503)" in as_a_guest.row("components_groups")
    assert "previous rows are kept" in as_a_guest.row("components_groups")
    assert as_a_guest.row("incidents").startswith("incidents 3 ")
    assert "Check the server's log, then run again." in as_a_guest.output


def test_a_page_that_wants_a_token_says_so_once_and_names_no_table_that_is_not_there(tmp_path):
    with DemoServer(page(), api=2, protected=True) as server:
        said = command("run", tmp_path, CACHET_BASE_URL=server.url)

    assert said.status == 1
    assert said.output.count(". Their tables are unchanged. Set CACHET_API_TOKEN.") == 1
    assert "Its tables are unchanged" not in said.output
    (table,) = re.findall(r"SELECT \* FROM cachet_data\.(\w+) LIMIT", said.output)
    with duckdb.connect(str(said.folder / "cachet.duckdb"), read_only=True) as connection:
        assert connection.execute(f"SELECT count(*) FROM cachet_data.{table}").fetchall() == [(1,)]


def test_a_dead_server_is_one_sentence_that_names_the_setting(against_a_dead_server):
    assert against_a_dead_server.status == 1
    assert against_a_dead_server.output.count("refuses connections") == 1
    assert "CACHET_BASE_URL has its address and port." in against_a_dead_server.output
    assert "Traceback" not in against_a_dead_server.output
    assert not against_a_dead_server.gives_away(DEMO_TOKEN)
    # Nothing is said to be where nothing is.
    assert not re.search(r"is in .*\.duckdb|not loaded", against_a_dead_server.output)


def test_a_run_that_fails_outside_its_steps_says_which_job_why_and_where_to_look():
    @resource
    def broken():
        raise RuntimeError("the disk is gone")

    @op(required_resource_keys={"broken"})
    def nothing():
        pass

    @job(resource_defs={"broken": broken})
    def a_job():
        nothing()

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = a_job.execute_in_process(raise_on_error=False, run_config=quiet)

    (said,) = reasons(result)
    assert said.startswith("a_job failed outside its steps: ")
    assert "the disk is gone" in said
    assert f"run {result.run_id[:8]}" in said
    assert "make dev" in said


def test_a_loss_is_printed_and_let_through_by_an_option_and_failed_checks_are_printed(tmp_path):
    world = page()
    with DemoServer(world) as server:
        settings = {"CACHET_BASE_URL": server.url, "CACHET_API_TOKEN": DEMO_TOKEN}
        first = command("run", tmp_path, **settings)
        world.update("components", 1, status=9)
        for row in world.rows("incidents"):
            world.delete("incidents", row["id"])
        refused = command("run", tmp_path, **settings)
        accepted = command("run", tmp_path, "--accept-loss", **settings)

    assert (first.status, refused.status, accepted.status) == (0, 1, 0)
    assert "incidents held 3 rows and would hold 0" in refused.output
    assert "cachet-dagster run --accept-loss" in refused.output
    assert "components: Codes that nobody foresaw: " in refused.output
    assert accepted.row("incidents").startswith("incidents 0 ")
