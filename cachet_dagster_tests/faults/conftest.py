"""What the fault tests share: a loaded database to copy, a server that misbehaves, another host that records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.warehouse import DuckDBWarehouse

from .certificates import Authority
from .loading import load_once, settings
from .server import FaultServer

LOADED = ("components_groups", "components", "incidents", "subscribers", "metrics", "metric_points")


def a_world() -> World:
    """Return a page whose incidents fill three pages."""
    return World.generate(
        incidents=250, components=4, groups=3, metrics=3, points=120, subscribers=3, schedules=2, templates=2,
        updates=1,
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _own_dlt_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep dlt's own folder out of the home directory."""
    before = os.environ.get("DLT_DATA_DIR")
    os.environ["DLT_DATA_DIR"] = str(tmp_path_factory.mktemp("dlt"))
    yield
    if before is None:
        del os.environ["DLT_DATA_DIR"]
    else:
        os.environ["DLT_DATA_DIR"] = before


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, _own_dlt_folder: None) -> Path:
    """Return a database that was loaded when everything was well."""
    path = tmp_path_factory.mktemp("loaded") / "cachet.duckdb"
    with DemoServer(a_world()) as demo, FaultServer(demo) as server:
        errors = load_once(settings(server.url), DuckDBWarehouse(path), LOADED)
    assert errors == {}
    return path


@pytest.fixture
def database(loaded: Path, tmp_path: Path) -> DuckDBWarehouse:
    """Return a copy of the loaded database."""
    path = tmp_path / loaded.name
    path.write_bytes(loaded.read_bytes())
    return DuckDBWarehouse(path, wait=5)


@pytest.fixture
def demo() -> Iterator[DemoServer]:
    """Return the embedded Cachet whose page was loaded."""
    with DemoServer(a_world()) as running:
        yield running


@pytest.fixture
def server(demo: DemoServer) -> Iterator[FaultServer]:
    """Return a server in front of it, well until it is told to misbehave."""
    with FaultServer(demo) as running:
        yield running


@pytest.fixture
def other(demo: DemoServer) -> Iterator[FaultServer]:
    """Return another host: nobody has any business there."""
    with FaultServer(demo) as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return a private CA."""
    return Authority.make(tmp_path_factory.mktemp("authority"))
