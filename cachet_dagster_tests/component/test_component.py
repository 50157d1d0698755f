"""What stands in a page's `defs.yaml` becomes its definitions; what cannot be used is one sentence that names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from cachet_dagster.component import SETTINGS, StatusPageComponent, scaffolded
from cachet_dagster.status_page.page import StatusPage

TYPE = "cachet_dagster.StatusPageComponent"
ACME = {"base_url": "https://status.acme.com"}


class Renamed(StatusPageComponent):
    """Has its incidents elsewhere."""

    def get_asset_spec(self, spec, data):
        if data.resource.name == "incidents":
            return spec.replace_attributes(key=["warehouse", "trouble"], group_name="trouble")
        return spec


@contextmanager
def project(**folders: str | dict[str, Any]) -> Iterator[dg.Definitions]:
    """Yield the definitions of a project with these folders: attributes of a page, or the text of a defs.yaml."""
    with create_defs_folder_sandbox() as sandbox:
        for folder, content in folders.items():
            path = sandbox.defs_folder_path / folder / "defs.yaml"
            path.parent.mkdir()
            text = (
                content if isinstance(content, str) else yaml.safe_dump({"type": TYPE, "attributes": content})
            )
            path.write_text(text)
        with sandbox.build_all_defs() as definitions:
            yield definitions


def page(**attributes: Any) -> tuple[StatusPage, dg.Definitions]:
    """Return the page `acme` that attributes describe, and its definitions."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=StatusPageComponent,
            defs_path="acme",
            defs_yaml_contents={"type": TYPE, "attributes": {**ACME, **attributes}},
        )
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, definitions):
            assert isinstance(component, StatusPageComponent)
            return component.built_page, definitions


def why(**folders: str | dict[str, Any]) -> str:
    """Return why a project does not load: the sentence at the root of what Dagster raises."""
    with pytest.raises(Exception) as caught, project(**folders):
        pass
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_a_page_is_named_by_its_folder_and_everything_by_the_page():
    built, definitions = page()
    repository = definitions.get_repository_def()

    names = [
        *(job.name for job in repository.get_all_jobs() if job.name != "__ASSET_JOB"),
        *(schedule.name for schedule in repository.schedule_defs),
        *(sensor.name for sensor in repository.sensor_defs),
        *(key.split("/")[0] + "_" for key in specs(definitions)),
        built.partitions.name or "",
    ]
    assert len(names) > 30
    assert {name for name in names if not name.startswith("acme_")} == set()


def test_whatever_a_page_can_be_set_to_is_an_attribute():
    given = {
        "timezone": "Europe/Paris",
        "api_version": 2,
        "requests_per_minute": 60,
        "database": "/data/acme.duckdb",
        "dataset": "rows",
        "subscriber_emails": "omit",
        "max_loss": 0.1,
        "moved_from": "https://old.acme.com",
    }
    built, _ = page(**given)

    settings = built.configuration.settings().model_dump()
    assert {name: settings[name] for name in given} == {**given, "api_version": "2"}


def test_off_is_off_although_yaml_reads_it_as_false():
    text = (
        f"type: {TYPE}\nattributes:\n  base_url: https://a.example\n  sync_cron: off\n  sensor_seconds: off\n"
    )

    with project(acme=text) as definitions:
        repository = definitions.get_repository_def()

    assert {schedule.name for schedule in repository.schedule_defs} == {
        "acme_metric_points_schedule",
        "acme_full_refresh_schedule",
        "acme_housekeeping_schedule",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {"acme_failure_webhook"}


def test_endpoints_can_be_left_out_as_a_list():
    _, definitions = page(exclude_endpoints=["subscribers", "metrics"])
    keys = set(specs(definitions))

    assert not keys & {"acme/subscribers", "acme/subscriber_components", "acme/metrics", "acme/metric_points"}
    assert {"acme/incidents", "acme/components"} <= keys


def test_keys_groups_owners_tags_and_checks_are_what_the_attributes_say():
    _, definitions = page(
        key_prefix=["status", "acme"],
        group_name="pages",
        owners=["team:web"],
        tags={"tier": "1"},
        checks=False,
    )
    found = specs(definitions)
    incidents = found["status/acme/incidents"]

    assert {key.rsplit("/", 1)[0] for key in found} == {"status/acme"}
    assert (incidents.group_name, incidents.owners, incidents.tags["tier"]) == ("pages", ["team:web"], "1")
    assert not list(definitions.resolve_asset_graph().asset_check_keys)


def test_translation_and_post_processing_work_as_with_dagsters_own_components():
    text = f"""
type: {TYPE}
attributes:
  base_url: https://status.acme.com
  translation:
    key: "lake/{{{{ resource.name }}}}"
    metadata: {{resource: "{{{{ resource.name }}}}"}}
post_processing:
  assets:
    - target: "key:lake/metrics"
      attributes:
        tags: {{important: "yes"}}
"""
    with project(acme=text) as definitions:
        found = specs(definitions)

    assert {key.split("/")[0] for key in found} == {"lake", "acme"}
    assert found["lake/incidents"].metadata["resource"] == "incidents"
    assert found["lake/metrics"].tags["important"] == "yes"
    assert "important" not in found["lake/incidents"].tags
    # What is made from a table knows it by its new key.
    assert [dep.asset_key.to_user_string() for dep in found["lake/metric_points"].deps] == ["lake/metrics"]


def test_a_subclass_says_what_asset_a_table_is():
    text = f"type: {__name__}.Renamed\nattributes:\n  base_url: https://status.acme.com\n"

    with project(acme=text) as definitions:
        found = specs(definitions)

    assert found["warehouse/trouble"].group_name == "trouble"
    assert "acme/incidents" not in found
    assert dg.AssetKey(["warehouse", "trouble"]) in {
        dep.asset_key for dep in found["acme/incident_updates"].deps
    }


def test_one_file_can_hold_several_pages():
    both = "\n---\n".join(
        f"type: {TYPE}\nattributes:\n  name: {name}\n  base_url: https://{name}.example"
        for name in ("one", "two")
    )

    with project(pages=both) as definitions:
        found = specs(definitions)

    assert {key.split("/")[0] for key in found} == {"one", "two"}


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"max_loss": 3}, "`max_loss` in the defs.yaml of acme is 3.0. "),
        (
            {"base_url": "ftp://a.example"},
            "Set `base_url` in the defs.yaml of acme to the status page's address",
        ),
        ({"timezone": "Mars/Olympus"}, "Set `timezone` in the defs.yaml of acme to a name such as UTC"),
        ({"api_version": 4}, "`api_version` in the defs.yaml of acme is '4'. "),
        ({"sync_cron": "hourly"}, "`sync_cron` in the defs.yaml of acme is 'hourly'. "),
        ({"points_cron": "0 0 31 4 *"}, "Set it to a cron expression that comes due, or `off`."),
        ({"schedule_timezone": "Mars"}, "`schedule_timezone` in the defs.yaml of acme is 'Mars'. "),
        ({"sensor_seconds": 0}, "`sensor_seconds` in the defs.yaml of acme is '0'. "),
        (
            {"exclude_endpoints": ["incident"]},
            "`exclude_endpoints` in the defs.yaml of acme names incident, ",
        ),
        ({"database": "acme.db"}, "Set `database` in the defs.yaml of acme to a path that ends in .duckdb"),
        ({"dataset": "Acme Data"}, "Set `dataset` in the defs.yaml of acme to small letters"),
        ({"database": "acme_data.duckdb"}, "the dataset 'acme_data' has the name of its database"),
        ({"name": "Acme"}, "a page cannot be named 'Acme'"),
        (
            {"subscriber_emails": "hash"},
            "`subscriber_emails` in the defs.yaml of acme is 'hash', for which the variable ACME_EMAIL_HASH_KEY (with "
            "`env_prefix: ACME_` in the defs.yaml of acme) has to be a secret",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_a_sentence_that_names_the_attribute_and_the_page(
    attributes, sentence
):
    said = why(acme={**ACME, **attributes})

    assert sentence in said
    assert "CACHET_" not in said


@pytest.mark.parametrize(
    "given", ["3|sEcReTpArT", "sEcReTpArT12", "{{ env.NO_SUCH_VARIABLE or '3|sEcReTpArT' }}"]
)
def test_a_token_in_the_place_of_its_variable_is_refused_and_not_repeated(given):
    said = why(acme={**ACME, "token_variable": given})

    assert "`token_variable` in the defs.yaml of acme" in said
    assert "sEcReTpArT" not in said


def test_two_pages_of_one_name_are_refused():
    assert "two pages are named acme" in why(acme=ACME, other={**ACME, "name": "acme"})


def test_two_pages_in_one_dataset_are_refused_when_the_project_loads():
    place = {"database": "/data/pages.duckdb", "dataset": "pages_data"}

    said = why(acme={**ACME, **place}, bolt={"base_url": "https://status.bolt.com", **place})

    assert (
        "the pages acme and bolt would both be loaded into the dataset pages_data of /data/pages.duckdb"
        in said
    )
    assert "defs.yaml of bolt" in said


def test_pages_that_share_a_servers_rate_limit_share_a_pool_and_others_have_their_own():
    with project(
        acme={**ACME, "pool": "status_api"}, guest={**ACME, "pool": "status_api"}, bolt=ACME
    ) as found:
        repository = found.get_repository_def()
    pools = {
        page: {
            node.definition.pool
            for job in (f"{page}_sync", f"{page}_all_points", f"{page}_metric_points")
            for node in repository.get_job(job).nodes
        }
        for page in ("acme", "guest", "bolt")
    }

    assert pools == {"acme": {"status_api"}, "guest": {"status_api"}, "bolt": {"bolt_api"}}


@pytest.mark.parametrize(("name", "other"), [("acme", "acme_demo"), ("acme", "acme_metric"), ("a", "a_full")])
def test_no_name_makes_a_pages_definitions_those_of_another(name, other):
    with project(**{name: {}, other: ACME}) as definitions:
        jobs = {job.name for job in definitions.get_repository_def().get_all_jobs()}
    pools = {
        StatusPage(name=each, values=values).partitions.name for each, values in ((name, {}), (other, ACME))
    }

    assert {f"{name}_sync", f"{other}_sync"} <= jobs
    assert len(pools) == 2


def test_what_is_scaffolded_holds_every_attribute_and_says_what_it_is():
    text = scaffolded("acme", TYPE, {"base_url": "https://status.acme.com"})
    attributes = set(StatusPageComponent.model_fields) - {"translation"}

    assert yaml.safe_load(text)["attributes"] == ACME
    assert set(re.findall(r"^  (?:# )?([a-z_]+):(?: |$)", text, re.MULTILINE)) == attributes
    unwrapped = text.replace("\n  # ", " ")
    assert all(
        str(setting.description) in unwrapped for name, setting in SETTINGS.items() if name not in ACME
    )


def test_what_is_scaffolded_as_a_comment_is_the_default():
    text = scaffolded("acme", TYPE, {"base_url": "https://status.acme.com"})
    everything = re.sub(r"^  # ([a-z_]+):(?=$| [\[\"\d]| true| false)", r"  \1:", text, flags=re.MULTILINE)
    everything = everything.replace("  token_variable:", "  # token_variable:")
    built, _ = page()

    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.defs_folder_path / "acme"
        path.mkdir()
        (path / "defs.yaml").write_text(everything)
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, _):
            assert isinstance(component, StatusPageComponent)
            uncommented = component.built_page

    assert len(uncommented.values) > len(built.values) + 20
    assert uncommented.configuration.settings() == built.configuration.settings()
    assert uncommented.load_time == built.load_time.model_copy(update={"dataset": "acme_data"})


@pytest.mark.parametrize("folder", ["Acme-Status", "2nd page", "acme.status"])
def test_a_folder_whose_name_no_page_can_have_gets_one_in_its_file(folder):
    attributes = yaml.safe_load(scaffolded(folder, TYPE, dict(ACME)))["attributes"]

    assert StatusPage(name=attributes["name"]).name == attributes["name"]


def test_a_value_with_quotes_and_colons_is_scaffolded_as_it_is():
    odd = {"base_url": "https://status.acme.com", "database": 'it\'s "here": #1.duckdb'}

    assert yaml.safe_load(scaffolded("acme", TYPE, odd))["attributes"] == odd


def test_the_descriptions_are_those_of_the_settings():
    schema = StatusPageComponent.get_model_cls().model_json_schema()["properties"]

    assert {name: schema[name]["description"] for name in SETTINGS} == {
        name: setting.description for name, setting in SETTINGS.items()
    }
    assert all(schema[name].get("description") for name in schema if name != "translation")
