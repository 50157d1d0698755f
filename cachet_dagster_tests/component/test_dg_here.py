"""`dg` in this repository, on a copy of it: a second page is scaffolded beside the environment's, and both load."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import cachet_dagster
from cachet_dagster.component import SETTINGS

from .dg_commands import dg

TYPE = "cachet_dagster.StatusPageComponent"


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> SimpleNamespace:
    """Return what the commands left, one after the other, in a copy of the repository."""
    project = tmp_path_factory.mktemp("repository")
    package = Path(cachet_dagster.__file__).parent
    shutil.copy(package.parent / "pyproject.toml", project)
    shutil.copytree(package, project / "cachet_dagster", ignore=shutil.ignore_patterns("__pycache__"))
    given = ["--base-url", "https://status.acme.com", "--token-variable", "ACME_API_TOKEN"]
    done = dg(
        sys.executable,
        project,
        ["list", "components", "--json"],
        ["scaffold", "defs", TYPE, "acme", *given],
        ["check", "yaml"],
        ["check", "defs"],
        ["list", "defs", "--json"],
        ["utils", "inspect-component", TYPE],
        PYTHONPATH=str(project),
    )
    names = ("components", "scaffold", "yaml", "defs", "listed", "inspected")
    return SimpleNamespace(project=project, **dict(zip(names, done, strict=True)))


def test_the_component_is_listed_with_what_it_is(here):
    listed = {component["key"]: component["summary"] for component in here.components.json["items"]}

    assert listed[TYPE].startswith("A Cachet status page")


def test_a_second_page_is_scaffolded_with_what_was_given(here):
    written = yaml.safe_load((here.project / "cachet_dagster/defs/acme/defs.yaml").read_text())

    assert here.scaffold.status == 0, here.scaffold.output
    assert written == {
        "type": TYPE,
        "attributes": {"base_url": "https://status.acme.com", "token_variable": "ACME_API_TOKEN"},
    }


def test_its_yaml_and_all_definitions_are_valid(here):
    assert (here.yaml.status, here.defs.status) == (0, 0), here.yaml.output + here.defs.output
    assert "All definitions loaded successfully" in here.defs.output


def test_both_pages_are_among_the_definitions(here):
    listed = here.listed.json
    pages = {
        kind: {each["name"].split("_")[0] for each in listed[kind]}
        for kind in ("jobs", "schedules", "sensors")
    }

    assert {asset["asset_key"].split("/")[0] for asset in listed["assets"]} == {"acme", "cachet"}
    assert set(map(frozenset, pages.values())) == {frozenset({"acme", "cachet"})}


def test_the_component_can_be_inspected_with_a_description_of_each_attribute(here):
    assert here.inspected.status == 0, here.inspected.output
    assert [
        name for name, setting in SETTINGS.items() if str(setting.description) not in here.inspected.stdout
    ] == []
