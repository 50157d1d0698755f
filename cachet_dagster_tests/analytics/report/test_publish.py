"""The folder of all reports can be published as it is: it tells of each page what its reports tell, and asks nobody."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cachet_dagster.analytics.report import write_report
from cachet_dagster_tests.analytics.pages import at

from .test_report import AS_OF, HOSTILE, PAGE, Page, component, figures_of, incident, link, update

OTHER = {
    "components": [component(1, HOSTILE)],
    "components_groups": [],
    "incidents": [
        incident(1, HOSTILE, "2026-11-02 10:00", 30),
        incident(2, "Not for everyone", "2026-11-02 10:00", 1, visible=0),
    ],
    "incident_updates": [update(1, 4, at("2026-11-03 11:00"), "Done"), update(2, 4, at("2026-11-02 11:00"), "Secret")],
    "incident_components": [link(1, 1, 4), link(2, 1, 4)],
}  # fmt: skip
WITH_OPEN = {
    **PAGE,
    "incidents": [
        *PAGE["incidents"],
        {"id": 9, "name": "Still going", "status": 1, "visible": 1, "occurred_at": at("2026-11-02 12:00"),
         "created_at": at("2026-11-02 12:00"), "updated_at": at("2026-11-02 12:00")},
    ],
    "incident_components": [*PAGE["incident_components"], link(9, 1, 4)],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    for name, rows in (("cachet", WITH_OPEN), ("other", OTHER)):
        for period in ("2026-10", "this-month") if name == "cachet" else ("this-month",):
            written = write_report(figures_of(rows), name, folder, title=f"Page {name}", period=period)
            assert written.index == folder / "index.html"
    return folder


def standing(folder: Path, page: str) -> dict[str, Any]:
    return json.loads((folder / page / "status.json").read_text())


def test_the_index_names_each_page_the_worst_first_with_links_to_every_report(folder: Path):
    text = (folder / "index.html").read_text()
    links = re.findall(r'(?:href|src)="([^"#][^"]*)"', text)

    assert re.findall(r"<h2 id=\"(\w+)\">", text) == ["other", "cachet"]
    assert {link for link in links if link.endswith("report.html")} == {
        "cachet/2026-10/report.html", "cachet/2026-11/report.html", "other/2026-11/report.html"
    }  # fmt: skip
    assert [link for link in links if not (folder / link).is_file()] == []
    assert "Still going" in text


def test_nothing_in_the_folder_runs_or_asks_or_shows_what_is_hidden(folder: Path):
    page = Page((folder / "index.html").read_text())

    assert page.tags.isdisjoint({"script", "iframe", "object", "form", "base"})
    assert not any(name.startswith("on") for name, _ in page.attributes)
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)[^\s\"'<>]+", text), path
            for hidden in ("Not for everyone", "Secret", "Backstage", "Embargoed", "Revenue"):
                assert hidden not in text, path


def test_status_json_says_what_the_report_says(folder: Path):
    found = standing(folder, "cachet")
    report = write_report(
        figures_of(WITH_OPEN), "cachet", folder, title="Page cachet", period="this-month"
    ).report

    assert datetime.fromisoformat(found["as_of"]) == AS_OF
    assert [one["name"] for one in found["open_incidents"]] == ["Still going"]
    assert found["status"] == "major outage"
    assert len(found["days"]) == 90
    assert found["days"][-1]["kind"] == "major"
    assert [one["name"] for one in found["components"]] == [line.name for line in report.components]
    assert f"{found['month']['lower'] * 100:.2f} %" == report.uptime.text


def test_incidents_of_two_pages_at_the_same_time_are_named_together(folder: Path):
    text = (folder / "index.html").read_text()
    _, _, section = text.partition("Incidents at the same time")

    # From 12:00 on the second, when the second one began, to 11:00 on the third, when the first was fixed.
    assert "Still going" in section
    assert "2 Nov 2026 12:00" in section
    assert "23 h" in section


def test_metrics_are_what_prometheus_reads(folder: Path):
    text = (folder / "metrics.prom").read_text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = [sample for family in families.values() for sample in family.samples]

    # promtool's rules: a help for each, base units, no type in a name, no sample twice.
    for name, family in families.items():
        assert family.documentation.endswith(".")
        assert family.type == "gauge"
        assert re.fullmatch(r"cachet_[a-z_]+(_ratio|_seconds|_incidents)", name)
    assert len({(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}) == len(samples)
    value = {
        sample.labels["window"]: sample.value
        for sample in families["cachet_uptime_lower_ratio"].samples
        if (sample.labels["page"], sample.labels["policy"], sample.labels["aggregation"])
        == ("cachet", "statuspage", "mean")
    }
    assert value.keys() == {"7d", "28d", "30d", "90d", "365d"}
    assert {
        sample.labels["component"] for sample in families["cachet_component_uptime_lower_ratio"].samples
    } >= {HOSTILE}
    assert {s.labels["page"]: s.value for s in families["cachet_open_incidents"].samples} == {
        "cachet": 1,
        "other": 0,
    }
    assert {s.value for s in families["cachet_data_as_of_timestamp_seconds"].samples} == {AS_OF.timestamp()}


def test_badges_are_pictures_with_a_text_for_everyone(folder: Path):
    status = ElementTree.fromstring((folder / "cachet/badges/status.svg").read_text())
    uptime = ElementTree.fromstring((folder / "cachet/badges/uptime-90-days.svg").read_text())

    assert status.get("aria-label") == "status: major outage"
    assert re.fullmatch(r"uptime 90 days: [\d.–]+ %", uptime.get("aria-label", ""))
