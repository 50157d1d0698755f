"""The token and subscribers' addresses: a search for them wherever a run leaves anything."""

from __future__ import annotations

import contextlib
import hmac
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dlt
import duckdb
import pytest
from dagster import DagsterInstance, execute_job, reconstructable
from dlt.common.pipeline import get_dlt_pipelines_dir

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster_tests.searching import cells_holding, holding

from .children import load_tables
from .jobs import points_job_in_process, tables_job, tables_job_in_process

SECRET = "FindMeIfYouCan0123456789"
TOKEN = f"7|{SECRET}"
HASH_KEY = "a key that nobody guesses"


def a_page() -> World:
    """Return a page with something in each table."""
    return World.generate(
        incidents=5, components=3, groups=1, metrics=2, points=10, subscribers=3, schedules=2, templates=1
    )


@contextlib.contextmanager
def settings(**variables: str) -> Iterator[None]:
    """Set environment variables, as a person does who runs the project."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Watcher:
    """Copies what a run keeps in its own folder while it lasts."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: dict[str, bytes] = {}

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            # Folders come and go while they are walked.
            with contextlib.suppress(OSError):
                for path in self._folder.glob("cachet.duckdb.load-*/**/*"):
                    with contextlib.suppress(OSError):
                        self.seen[f"{path.relative_to(self._folder)}"] = path.read_bytes()
            time.sleep(0.005)


@pytest.mark.slow
def test_the_token_is_nowhere_after_runs_that_succeed_and_one_that_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    for folder in (home, data):
        folder.mkdir()
    database = data / "cachet.duckdb"
    with (
        DemoServer(a_page(), tokens={TOKEN: {"*"}}) as server,
        settings(CACHET_BASE_URL=server.url, CACHET_API_TOKEN=TOKEN, CACHET_DATABASE=str(database)),
        DagsterInstance.local_temp(str(home)) as instance,
        Watcher(data) as watcher,
    ):
        with execute_job(reconstructable(tables_job), instance) as result:
            assert result.success
        keys = metric_keys(StatusPage.from_environment(), instance)
        tags = {
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        }
        with execute_job(reconstructable(points_job_in_process), instance, tags=tags) as result:
            assert result.success
        server.settings.tokens = {}
        with execute_job(reconstructable(tables_job_in_process), instance) as result:
            assert not result.success
        logs = [str(event) for run in instance.get_runs() for event in instance.all_logs(run.run_id)]
        sent = [request.headers.get("authorization") for request in server.requests]

    assert f"Bearer {TOKEN}" in sent
    printed = "".join(capfd.readouterr()) + "".join(logs)
    assert "does not know the API token" in printed
    assert "Set CACHET_API_TOKEN" in printed
    assert SECRET not in printed

    assert any("state.json" in name for name in watcher.seen), "the run's own folder was not seen"
    assert [name for name, content in watcher.seen.items() if SECRET.encode() in content] == []
    published = Path(get_dlt_pipelines_dir()) / "cachet_pipeline"
    assert (published / "trace.pickle").exists()
    assert list(home.rglob("*.err")), "no compute log was kept"
    assert holding(SECRET, [home, data, published]) == []
    assert SECRET not in str(dlt.attach("cachet_pipeline").last_trace)

    assert cells_holding(SECRET, database) == []


@pytest.mark.parametrize("setting", ["hash", "omit"])
def test_subscribers_addresses_that_are_not_to_be_kept_are_nowhere(tmp_path: Path, setting: str) -> None:
    world = a_page()
    addresses = [row["email"] for row in world.rows("subscribers")]
    path = tmp_path / "cachet.duckdb"
    with (
        DemoServer(world) as server,
        settings(CACHET_SUBSCRIBER_EMAILS=setting, CACHET_EMAIL_HASH_KEY=HASH_KEY),
        Watcher(tmp_path) as watcher,
    ):
        assert load_tables(path, server.url) == []

    with duckdb.connect(str(path), read_only=True) as connection:
        stored = connection.execute("SELECT email FROM cachet_data.subscribers ORDER BY id").fetchall()
    hashed = [(hmac.new(HASH_KEY.encode(), address.encode(), "sha256").hexdigest(),) for address in addresses]
    assert stored == (hashed if setting == "hash" else [(None,)] * len(addresses))
    assert watcher.seen
    for text in (*addresses, HASH_KEY):
        assert holding(text, [tmp_path]) == []
        assert [name for name, content in watcher.seen.items() if text.encode() in content] == []
