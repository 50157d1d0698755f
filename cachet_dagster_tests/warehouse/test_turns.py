"""One writer, many runs: who waits for whom, for how long, and what is said meanwhile."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.warehouse import DatabaseBusy, DuckDBWarehouse
from cachet_dagster.warehouse.folder import run_folder
from cachet_dagster_tests.status_page.dagster_runs import Project, failure

from .children import foreign_holder
from .comparing import rows
from .proofs import many_processes


@pytest.mark.slow
def test_processes_that_load_an_absent_database_at_once_wait_their_turn_and_leave_exact_rows(
    tmp_path: Path,
) -> None:
    counted = many_processes(tmp_path, 3)

    assert counted["loads"] == 3
    assert counted["differences"] == 0


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    """Return a DuckDB file with a table of somebody's."""
    path = tmp_path / "cachet.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    return path


def test_a_foreign_holder_is_named_before_a_request_is_spent_and_ends_the_run_after_the_bound(
    existing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CACHET_LOCK_WAIT", "0.5")
    with DemoServer(World.generate(components=2)) as server:
        project = Project(tmp_path, server.url)
        with foreign_holder(existing, tmp_path) as (holder, _):
            started = time.monotonic()
            result = project.load_tables("components")

        assert failure(result).startswith(
            f"process {holder.process.pid} held the database {existing} for 0.5 s."
        )
        assert "No table was changed. Close it there, or set CACHET_LOCK_WAIT" in failure(result)
        assert 0.5 <= time.monotonic() - started < 60
        assert server.request_count == 0
    with duckdb.connect(str(existing), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert tables == [("kept",)]


def test_a_foreign_holder_that_lets_go_in_time_costs_only_the_wait(existing: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with foreign_holder(existing, tmp_path) as (holder, until):

        def log(message: str) -> None:
            said.append(message)
            until.touch()

        DuckDBWarehouse(existing, wait=20, log=log).probe()

    assert said == [f"waiting for process {holder.process.pid}, which holds {existing}"]


def test_nobody_gets_at_the_file_between_two_steps_of_writing(existing: Path, tmp_path: Path) -> None:
    with (
        DuckDBWarehouse(existing).writing(),
        pytest.raises(AssertionError, match="the holder ended"),
        foreign_holder(existing, tmp_path),
    ):
        pass


def test_a_file_that_this_very_process_holds_is_said_to_be_so(existing: Path) -> None:
    with (
        duckdb.connect(str(existing), read_only=True),
        pytest.raises(DatabaseBusy, match="this process itself"),
    ):
        DuckDBWarehouse(existing, wait=0).probe()


def test_readers_share_and_a_writer_waits_for_them_and_they_for_it(existing: Path) -> None:
    said: list[str] = []
    waits = threading.Event()

    def log(message: str) -> None:
        said.append(message)
        waits.set()

    database = DuckDBWarehouse(existing, wait=30, log=log)
    with database.reading() as first, database.reading() as second:
        assert first is not None
        assert second is not None
        with pytest.raises(DatabaseBusy, match="another run held the database"):
            DuckDBWarehouse(existing, wait=0.1).probe()
    written = threading.Event()

    def write() -> None:
        with database.writing() as connection:
            assert connection is not None
            written.set()
            waits.wait(20)
            connection.execute("INSERT INTO kept VALUES (2)")

    writer = threading.Thread(target=write)
    writer.start()
    written.wait()
    with database.reading() as opened:
        assert opened.execute("SELECT count(*) FROM kept").fetchone() == (2,)
    writer.join()
    assert said == [f"waiting for another run to finish with {existing}"]


def test_looking_creates_nothing(tmp_path: Path) -> None:
    database = DuckDBWarehouse(tmp_path / "cachet.duckdb")

    database.probe()
    with database.reading() as opened:
        assert not opened.columns("incidents")
    with database.writing() as opened:
        assert not opened.columns("incidents")

    assert not database.path.exists()
    assert rows(database.path, "incidents") == 0


def test_a_file_that_was_cut_off_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    database = DuckDBWarehouse(tmp_path / "cachet.duckdb")
    (tmp_path / "cachet.duckdb.new").write_bytes(b"\0" * 100)

    with database.writing(create=True) as connection:
        assert connection is not None
        connection.execute("SELECT 1")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["cachet.duckdb", "cachet.duckdb.lock"]


def test_the_folder_of_a_living_run_is_left_alone(tmp_path: Path) -> None:
    with run_folder(tmp_path / "cachet.duckdb") as first:
        with run_folder(tmp_path / "cachet.duckdb") as second:
            assert first.is_dir()
            assert second.is_dir()
        assert first.is_dir()
        assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a DuckDB file"),
        (b"SQLite format 3\0" + b"\0" * 4096, "is not a DuckDB file"),
        (b"\0" * 8 + b"DUCK" + b"\0" * 4096, "cannot be opened"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_words_and_left_as_it_is(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "cachet.duckdb"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=said) as error:
        DuckDBWarehouse(path).probe()

    assert "CACHET_DATABASE" in str(error.value)
    assert path.read_bytes() == content


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """Give a folder that anyone may enter, and have no privileges while the test runs."""
    folder = Path(tempfile.mkdtemp(prefix="cachet_dagster-"))
    folder.chmod(0o777)
    before = os.geteuid()
    if before == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(before)
        folder.chmod(0o777)
        shutil.rmtree(folder)


def test_a_place_that_cannot_be_written_is_named_before_a_request_is_spent(as_nobody: Path) -> None:
    path = as_nobody / "cachet.duckdb"
    with duckdb.connect(str(path)):
        pass
    path.chmod(0o444)
    with pytest.raises(SettingsError, match="cannot be opened"):
        DuckDBWarehouse(path).probe()

    path.chmod(0o000)
    with pytest.raises(SettingsError, match=r"cannot be read \(Permission denied\)"):
        DuckDBWarehouse(path).probe()

    path.unlink()
    as_nobody.chmod(0o555)
    with pytest.raises(SettingsError, match=r"cannot be written \(Permission denied\)"):
        DuckDBWarehouse(path).probe()

    as_nobody.chmod(0o000)
    with pytest.raises(SettingsError, match="Permission denied"):
        DuckDBWarehouse(path).probe()


@pytest.mark.parametrize("name", ["cachet.db", "cachet", "my pages.duckdb", ".duckdb"])
def test_a_name_that_dlt_could_not_find_again_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"ends in \.duckdb"):
        DuckDBWarehouse(tmp_path / name)


def test_a_folder_in_the_databases_place_or_none_around_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cachet.duckdb").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        DuckDBWarehouse(tmp_path / "cachet.duckdb")

    with pytest.raises(SettingsError, match=r"cannot be written \(No such file or directory\)"):
        DuckDBWarehouse(tmp_path / "absent" / "cachet.duckdb").probe()
