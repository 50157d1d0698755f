"""A small page that was loaded once by what runs by itself; each test gets a copy, since the load takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World

from .automation import Automation, points, sync


@dataclass
class SmallPage:
    """A running server whose world each test sets anew, and a folder in which that page was loaded."""

    server: DemoServer
    folder: Path


def small_world() -> World:
    return World.generate(
        incidents=7, components=4, groups=2, metrics=3, points=6, subscribers=2, schedules=1, templates=1
    )


@pytest.fixture(scope="session")
def worlds() -> list[World]:
    """Return the worlds that the small page's server has had; it serves the last one."""
    return [small_world()]


@pytest.fixture(scope="session")
def small_page(worlds: list[World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallPage]:
    folder = tmp_path_factory.mktemp("small_page")
    with DemoServer(lambda _: worlds[-1], me=True) as running:
        project = Automation(folder, running.url, DEMO_TOKEN)
        assert sync(project).success
        assert points(project).success
        project.instance.dispose()
        yield SmallPage(running, folder)


@pytest.fixture
def small_server(small_page: SmallPage, worlds: list[World]) -> DemoServer:
    """Return the small page's server, with the rows that were loaded."""
    worlds[:] = [small_world()]
    return small_page.server


@pytest.fixture
def loaded(small_page: SmallPage, small_server: DemoServer, tmp_path: Path) -> Automation:
    """Return a project that has been loaded once by what runs by itself: its tables, then its points."""
    shutil.copytree(small_page.folder, tmp_path, dirs_exist_ok=True)
    return Automation(tmp_path, small_server.url, DEMO_TOKEN)
