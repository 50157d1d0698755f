"""`doctor` tells what a load would find, red where a run would fail, and spends next to nothing on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World

from .commands import Said, command, down, process

BAD_TOKEN = "7|nobodyknowsthistokenwhichisnotonpurpose"


def page() -> World:
    return World.generate(incidents=3, components=2, metrics=1, points=2, subscribers=1)


@contextmanager
def held(database: Path) -> Iterator[int]:
    """Have another process hold a database, as a DuckDB shell does; gives its process id."""
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.stdin.close()


@pytest.fixture(scope="module")
def on_the_demo(tmp_path_factory) -> Said:
    return process("doctor", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def with_a_bad_token(tmp_path_factory) -> Said:
    """The report where `.env` alone says which Cachet and which token."""
    with DemoServer(page()) as server:
        folder = tmp_path_factory.mktemp("bad")
        (folder / ".env").write_text(f"CACHET_BASE_URL={server.url}\nCACHET_API_TOKEN={BAD_TOKEN}\n")
        return command("doctor", folder)


@pytest.fixture(scope="module")
def without_the_ability(tmp_path_factory) -> Said:
    with DemoServer(page(), tokens={DEMO_TOKEN: {"incidents.manage"}}, rate_limit=300) as server:
        folder = tmp_path_factory.mktemp("ability")
        return command("doctor", folder, CACHET_BASE_URL=server.url, CACHET_API_TOKEN=DEMO_TOKEN)


@pytest.fixture(scope="module")
def unproven(tmp_path_factory) -> Said:
    with DemoServer(page(), middleware=[down("/subscribers")]) as server:
        return command(
            "doctor",
            tmp_path_factory.mktemp("unproven"),
            CACHET_BASE_URL=server.url,
            CACHET_API_TOKEN=DEMO_TOKEN,
            CACHET_ATTEMPTS="1",
        )


@pytest.fixture(scope="module")
def as_a_guest_of_cachet_2(tmp_path_factory) -> tuple[Said, int]:
    """A guest's report on a Cachet 2 whose `/version` fails, while somebody holds the database."""
    folder = tmp_path_factory.mktemp("cachet2")
    with DemoServer(page(), api=2) as server, held(folder / "cachet.duckdb") as process:
        server.settings.latest_release = None  # type: ignore[attr-defined]
        said = command("doctor", folder, CACHET_BASE_URL=server.url, CACHET_ATTEMPTS="1")
        assert ("/api/v1/version", 500) in [(seen.path, seen.status) for seen in server.requests]
        return said, process


def test_the_demo_is_reported_whole_for_two_requests(on_the_demo):
    marks = on_the_demo.marks

    assert on_the_demo.status == 0
    assert all(good for good, _ in marks.values())
    assert marks["page"] == (True, "the embedded demo page")
    assert marks["cachet"] == (True, "3.x-dev, read through /api")
    assert marks["token"][1].startswith("accepted")
    assert marks["subscribers"] == (True, "may be read")
    assert marks["rate limit"] == (True, "the server names none")
    assert marks["requests"] == (True, "2 for this report")
    database = on_the_demo.folder / "cachet_demo.duckdb"
    assert marks["database"] == (True, f"{database} can be written, and nobody holds it")
    assert not database.exists()
    assert not on_the_demo.gives_away(DEMO_TOKEN)


def test_a_bad_token_is_said_to_be_one_without_saying_it(with_a_bad_token):
    good, text = with_a_bad_token.marks["token"]

    assert with_a_bad_token.status == 1
    assert not good
    assert "does not know the API token" in text
    assert "CACHET_API_TOKEN" in text
    assert "subscribers" not in with_a_bad_token.marks
    assert not with_a_bad_token.gives_away(BAD_TOKEN)


def test_a_token_of_least_privilege_is_right_and_what_it_may_not_read_is_said(without_the_ability):
    marks = without_the_ability.marks
    good, text = marks["subscribers"]

    assert without_the_ability.status == 0
    assert good
    assert text == "may not be read with this token, and are left out; the rest is loaded"
    assert marks["token"][0]
    assert marks["rate limit"] == (True, "300 requests a minute")
    assert not without_the_ability.gives_away(DEMO_TOKEN)


def test_a_token_that_cannot_be_proven_is_not_said_to_be_accepted(unproven):
    good, text = unproven.marks["token"]

    assert unproven.status == 1
    assert not good
    assert "503" in text
    assert "accepted" not in unproven.output
    assert not unproven.gives_away(DEMO_TOKEN)


def test_a_guest_of_a_cachet_2_that_cannot_say_its_version_is_well(as_a_guest_of_cachet_2):
    marks = as_a_guest_of_cachet_2[0].marks

    assert marks["cachet"] == (True, "Cachet 2, read through /api/v1")
    assert marks["token"][0]
    assert marks["token"][1].startswith("none: a guest")
    assert "subscribers" not in marks


def test_a_guest_of_a_cachet_2_that_wants_a_token_everywhere_is_told_that_a_run_would_fail(tmp_path):
    with DemoServer(page(), api=2, protected=True) as server:
        said = command("doctor", tmp_path, CACHET_BASE_URL=server.url)
    good, text = said.marks["token"]

    assert said.status == 1
    assert not good
    assert text.startswith("a run would fail: ")
    assert "Set CACHET_API_TOKEN" in text
    assert said.marks["requests"] == (True, "4 for this report")


def test_settings_that_no_run_could_go_by_are_named_with_what_would_do(tmp_path):
    with DemoServer(page()) as server:
        (tmp_path / ".env").write_text(f"CACHET_BASE_URL={server.url}\n")
        said = command("doctor", tmp_path, CACHET_SYNC_CRON="hourly")

    assert said.status == 1
    assert said.output.count("CACHET_SYNC_CRON is 'hourly'. Set it to a cron expression that comes due") == 1
    assert said.marks["token"][1].startswith("none: a guest")


def test_whoever_holds_the_database_is_named_by_process_id(as_a_guest_of_cachet_2):
    said, process = as_a_guest_of_cachet_2
    good, text = said.marks["database"]

    assert said.status == 1
    assert not good
    assert f"process {process} holds the database {said.folder / 'cachet.duckdb'}" in text
