"""The wheel in a project of somebody else's, made by `create-dagster`: everything works, nothing is imposed.

The project's Python has the wheel, and below it what is installed here, but not what only the UI and the demo take:
to it no web server is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import yaml

import cachet_dagster
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World

from . import project_child
from .dg_commands import dg

pytestmark = pytest.mark.slow

TYPE = "cachet_dagster.StatusPageComponent"
PROJECT = Path(cachet_dagster.__file__).parents[1]
SECRET = DEMO_TOKEN.partition("|")[2]

NOT_INSTALLED = """
import sys


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dagster_webserver", "starlette", "uvicorn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotInstalled())
"""

OF_THEIR_OWN = """
import dagster as dg
import duckdb


class Place(dg.ConfigurableResource):
    path: str


@dg.asset(deps=[dg.AssetKey(["acme", "incidents"])])
def found(place: Place) -> int:
    with duckdb.connect(place.path, read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM acme_data.incidents").fetchall()[0][0]


defs = dg.Definitions(
    assets=[found],
    jobs=[dg.define_asset_job("mine", [found])],
    resources={"place": Place(path="acme.duckdb")},
    executor=dg.multiprocess_executor,
    loggers={"console": dg.colored_console_logger},
)
"""

DAGSTER_YAML = """
storage:
  sqlite:
    base_dir: storage
concurrency:
  pools:
    default_limit: 3
telemetry:
  enabled: false
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Return the wheel, built as anybody's tools build it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def theirs(wheel, tmp_path_factory) -> SimpleNamespace:
    """Return a project that has the wheel: its folder, and its Python."""
    folder = tmp_path_factory.mktemp("theirs")
    command = [
        Path(sysconfig.get_path("scripts"), "create-dagster"),
        "project",
        "acme_platform",
        "--no-uv-sync",
    ]
    environment = {**os.environ, "DAGSTER_DG_UPDATE_CHECK_ENABLED": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    project = folder / "acme_platform"
    venv.create(project / ".venv", symlinks=True)
    python = project / ".venv/bin/python"
    packages = next((project / ".venv/lib").glob("python*/site-packages"))
    # A wheel of nothing but Python is installed by unpacking it.
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "sitecustomize.py").write_text(NOT_INSTALLED)
    (packages / "rest.pth").write_text(f"{project / 'src'}\n{sysconfig.get_path('purelib')}\n")
    (project / "dagster.yaml").write_text(DAGSTER_YAML)
    return SimpleNamespace(project=project, python=python)


@pytest.fixture(scope="module")
def used(theirs) -> SimpleNamespace:
    """Return what came of using the package there."""
    world = World.generate(incidents=7, components=3, metrics=2, points=5, subscribers=2)
    with DemoServer(world) as server:
        given = ["--base-url", server.url, "--token-variable", "ACME_API_TOKEN"]
        (theirs.project / "src/acme_platform/defs/own.py").write_text(OF_THEIR_OWN)
        commands = dg(
            theirs.python,
            theirs.project,
            ["list", "components", "--json"],
            ["scaffold", "defs", TYPE, "acme", *given],
            ["check", "yaml"],
            ["check", "defs"],
            ["list", "defs", "--json"],
            PYTHONPATH="",
        )
        result = child(theirs, "ran", "acme_platform.definitions", ACME_API_TOKEN=DEMO_TOKEN)
    return SimpleNamespace(project=theirs.project, commands=commands, **result)


def child(
    theirs: SimpleNamespace, *arguments: str, cwd: Path | None = None, **environment: str
) -> dict[str, Any]:
    done = subprocess.run(
        [theirs.python, project_child.__file__, *arguments],
        cwd=cwd or theirs.project,
        env={**os.environ, "PYTHONPATH": "", "DAGSTER_HOME": str(theirs.project), **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert SECRET not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_wheel_holds_types_and_all_that_is_no_python(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    package = PROJECT / "cachet_dagster"
    files = {
        path.relative_to(PROJECT).as_posix()
        for path in package.rglob("*")
        if path.is_file()
        and path.suffix in (".py", ".sql", ".typed", ".yaml")
        and "__pycache__" not in path.parts
    }

    assert "cachet_dagster/py.typed" in packed
    assert files - packed == set()
    assert {name.partition("/")[0] for name in packed} == {
        "cachet_dagster",
        f"cachet_dagster-{cachet_dagster.__version__}.dist-info",
    }


def test_the_commands_of_dg_work_with_it(used):
    assert [command.status for command in used.commands] == [0] * 5, [each.output for each in used.commands]
    assert TYPE in {component["key"] for component in used.commands[0].json["items"]}
    assert "All definitions loaded successfully" in used.commands[3].output
    assert {asset["asset_key"].split("/")[0] for asset in used.commands[4].json["assets"]} == {
        "acme",
        "found",
    }


def test_the_page_is_loaded_and_their_asset_reads_it(used):
    assert used.success == [True, True, True]
    assert used.found == 7
    with duckdb.connect(str(used.project / "acme.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM acme_data.metric_points").fetchall() == [(10,)]


def test_their_executor_is_theirs_and_the_pages_is_the_pages(used):
    pages = {name: executor for name, executor in used.executors.items() if name.startswith("acme_")}

    assert used.executors["mine"] == "multiprocess"
    assert set(pages.values()) == {"in_process"}


def test_their_instance_keeps_the_runs_and_nothing_of_the_token(used):
    kept = [
        path
        for folder in used.project.iterdir()
        if folder.name != ".venv"
        for path in (folder.rglob("*") if folder.is_dir() else [folder])
        if path.is_file()
    ]

    assert {path.name for path in kept} > {"runs.db", "acme.duckdb"}
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_their_yaml_is_all_that_was_added_to_their_project(used):
    written = yaml.safe_load((used.project / "src/acme_platform/defs/acme/defs.yaml").read_text())

    assert written["type"] == TYPE
    assert not (used.project / ".dlt").exists()


@pytest.fixture(scope="module")
def looked(theirs, tmp_path_factory) -> SimpleNamespace:
    """Return what importing the package did in an empty folder, and what the demo said without its extra."""
    folder = tmp_path_factory.mktemp("empty")
    return SimpleNamespace(folder=folder, **child(theirs, "looked", cwd=folder, HOME=str(folder)))


def test_importing_it_has_no_side_effects(theirs, looked):
    assert looked.imported.pop("file").startswith(str(theirs.project))
    assert looked.imported == {"threads": 1, "environment": True, "handlers": True, "demo": False}
    assert list(looked.folder.rglob("*")) == []


def test_the_demo_without_its_extra_is_one_sentence(looked):
    assert "no Cachet is configured, and the demo's " in looked.demo
    assert "Set CACHET_BASE_URL to the status page's address, or install cachet_dagster[demo]." in looked.demo
