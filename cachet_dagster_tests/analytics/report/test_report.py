"""A report says what the models do, to whoever may see it, and reaches nowhere."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cachet_dagster.analytics.model_settings import SloTarget
from cachet_dagster.analytics.report import Figures, ModelsMissing, WrittenReport, write_report
from cachet_dagster.analytics.report.lines import ComponentLine
from cachet_dagster.analytics.report.periods import find_period
from cachet_dagster.analytics.report.uptimes import Uptime
from cachet_dagster.analytics.report.verdict import kept
from cachet_dagster.source.errors import SettingsError
from cachet_dagster_tests.analytics.pages import DATASET, Models, Rows, at
from cachet_dagster_tests.truth import RECORDED_AT, tables

HOSTILE = (
    "</h3><script src=//evil.example/x.js></script><img src=x onerror=alert(1)> | [a](javascript:b) `c` **d**"
)
AS_OF = at("2026-11-03 12:00")


def component(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "name": name, "status": 1, "latest_status": 1, "enabled": True, "order": number,
        "created_at": at("2026-09-01 00:00"), **more,
    }  # fmt: skip


def incident(number: int, name: str, begin: str, hours: float, **more: Any) -> dict[str, Any]:
    end = at(begin) + timedelta(hours=hours)
    return {
        "id": number, "name": name, "status": 4, "visible": 1, "occurred_at": at(begin), "created_at": at(begin),
        "updated_at": end, **more,
    }  # fmt: skip


def update(incident: int, status: int, when: datetime, message: str) -> dict[str, Any]:
    return {"id": incident * 10 + status, "incident_id": incident, "status": status, "created_at": when,
            "updated_at": when, "message": message}  # fmt: skip


def link(incident: int, component: int, status: int | None) -> dict[str, Any]:
    return {"incident_id": incident, "component_id": component, "component_status": status}


PAGE: Rows = {
    "components": [
        component(1, "Tracking", component_group_id=7),
        component(2, "=HYPERLINK(1)"),
        component(3, "Backstage", enabled=False),
    ],
    "components_groups": [{"id": 7, "name": "Ship & go", "order": 1, "visible": 1}],
    "incidents": [
        incident(1, HOSTILE, "2026-10-10 10:00", 31),
        incident(2, "Short and =harmless", "2026-10-20 10:00", 1),
        incident(3, "Not for everyone", "2026-10-21 10:00", 50, visible=0),
        incident(4, "In another month", "2026-09-21 10:00", 90),
    ],
    "incident_updates": [
        update(1, 1, at("2026-10-10 10:05"), "Ask ann@example.com\nor <b>Bob</b>"),
        update(1, 4, at("2026-10-11 17:00"), "Done"),
        update(2, 4, at("2026-10-20 11:00"), "Done"),
        update(3, 4, at("2026-10-23 12:00"), "Secret"),
        update(4, 4, at("2026-09-25 04:00"), "Done"),
    ],
    "incident_components": [link(1, 1, 4), link(1, 3, 4), link(2, 2, 3), link(3, 1, 4), link(4, 2, 4)],
    "schedules": [
        {"id": 5, "name": "Moving house", "status": 2, "scheduled_at": at("2026-10-02 00:00"),
         "completed_at": at("2026-10-02 02:00"), "created_at": at("2026-10-01 00:00")},
        {"id": 6, "name": "Embargoed", "status": 0, "scheduled_at": at("2026-10-30 00:00"),
         "completed_at": at("2026-10-30 02:00"), "created_at": at("2026-10-01 00:00"),
         "published_at": at("2027-01-01 00:00")},
    ],
    "schedule_components": [{"schedule_id": 5, "component_id": 1}],
    "metrics": [
        {"id": 1, "name": "Latency", "suffix": "ms", "visible": 1, "order": 1},
        {"id": 2, "name": "Revenue", "suffix": "EUR", "visible": 0, "order": 2},
    ],
    "metric_points": [
        {"id": day, "metric_id": metric, "value": float(day), "counter": 1, "calculated_value": float(day),
         "created_at": at(f"2026-10-{day:02} 12:00")}
        for metric in (1, 2) for day in range(1, 32)
    ],
}  # fmt: skip


def figures_of(rows: Rows, **settings: Any) -> Figures:
    models = Models(rows, **{"as_of": AS_OF, "slo_targets": (SloTarget(0.97),), **settings})
    return Figures(models.connection.execute, DATASET)


def written(rows: Rows, folder: Path, period: str | None = None, **settings: Any) -> WrittenReport:
    return write_report(
        figures_of(rows, **settings), "cachet", folder, title="status.example.com", period=period
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> WrittenReport:
    return written(PAGE, tmp_path_factory.mktemp("report"))


class Page(HTMLParser):
    """A report as a browser takes it apart: its tags, their attributes, and its texts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] if data.strip() else []


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_verdict_names_period_policy_promise_and_what_is_known(report: WrittenReport):
    # 31 of 2 × 744 hours in full and one by 30 %: 1 − 31.3 ÷ 1,488 = 0.97896…
    assert report.report.verdict == (
        "In October 2026 the 2 components were up 97.89 % of the time by the policy statuspage; of 2 targets 1 missed, "
        "1 kept. There were 2 incidents. The status is known for 2 % of the time, assumed for 98 %."
    )
    assert report.report.verdict in Page(report.html.read_text()).texts
    assert report.report.verdict in report.markdown.read_text()


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ([(0.9995, 0.9995), (0.9999, 1)], "All 2 targets kept"),
        ([(0.99, 0.9995), (0.9, 1)], "Of all 2 targets it is not certain"),
        ([(0.9, 0.99), (0.99, 1), (1, 1)], "Of 3 targets 1 missed, 1 not certain, 1 kept"),
        ([(0.9, 0.99)], "The only target missed"),
        ([(None, None)], ""),
    ],
)
def test_targets_are_kept_or_missed_only_where_both_bounds_agree(bounds: list[tuple[Any, Any]], said: str):
    assert (
        kept([ComponentLine(1, "a", "", Uptime(*pair, observed=1.0, unknown=0.0), 0.999) for pair in bounds])
        == said
    )


def test_components_come_with_uptime_bounds_target_and_budget(report: WrittenReport):
    lines = read(report.html.with_name("components.csv"))

    assert [(line["component"], line["group"]) for line in lines] == [
        ("'=HYPERLINK(1)", ""),
        ("Tracking", "Ship & go"),
    ]
    tracking = lines[1]
    assert (tracking["uptime_lower"], tracking["uptime_upper"]) == ("0.9583", "0.9583")
    assert float(tracking["budget_seconds"]) == pytest.approx(0.03 * 744 * 3_600)
    left = (0.03 * 744 - 31) * 3_600
    assert float(tracking["left_seconds_lower"]) == pytest.approx(left)
    assert float(tracking["left_seconds_upper"]) == pytest.approx(left)
    assert tracking["kept"] == "missed"


def test_incidents_come_longest_first_with_their_timeline(report: WrittenReport):
    lines = report.report.incidents

    assert [line.row["incident_id"] for line in lines] == [1, 2]
    assert [(update.status, update.at) for update in lines[0].updates] == [
        ("Investigating", at("2026-10-10 10:05")),
        ("Fixed", at("2026-10-11 17:00")),
    ]
    assert [line["open_seconds"] for line in read(report.html.with_name("incidents.csv"))] == [
        "111600.0",
        "3600.0",
    ]


def test_a_hostile_title_stays_a_title_in_html(report: WrittenReport):
    page = Page(report.html.read_text())

    assert HOSTILE in page.texts
    assert page.tags.isdisjoint({"script", "img", "iframe", "link", "object", "embed", "form", "base", "a"})
    assert not [
        name for name, _ in page.attributes if name.startswith("on") or name in {"src", "href", "srcset"}
    ]


def test_nothing_in_the_file_makes_a_browser_ask_anybody(report: WrittenReport):
    text = report.html.read_text()

    assert "default-src 'none'" in text
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) == {"http://www.w3.org/2000/svg"}


def test_a_hostile_title_stays_a_title_in_markdown(report: WrittenReport):
    text = report.markdown.read_text()
    without_pictures = re.sub(r"\(<charts/[\w-]+\.svg>\)", "()", text)

    assert "<" not in without_pictures
    (title,) = [line for line in text.splitlines() if line.startswith("### ") and "evil" in line]
    assert not re.search(r"(?<!\\)[`*\[\]|]", title)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "Ship" in line]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 10


def test_markdown_shows_charts_that_lie_beside_it(report: WrittenReport):
    shown = re.findall(r"^!\[.+\]\(<(.+)>\)$", report.markdown.read_text(), re.MULTILINE)

    assert len(report.markdown.read_text()) < 20_000
    assert {report.markdown.parent / path for path in shown} == set(report.charts)
    for path in report.charts:
        assert path.read_text().startswith("<svg ")


def test_no_e_mail_address_is_in_any_file(report: WrittenReport):
    for path in (report.html, report.markdown, *report.csvs):
        assert "ann@" not in path.read_text()
        assert "ann&#64;" not in path.read_text()
    assert "(e-mail address)" in report.html.read_text()


def test_what_is_hidden_from_everyone_is_in_no_file(report: WrittenReport):
    for path in (report.html, report.markdown, *report.csvs):
        text = path.read_text()
        for hidden in ("Not for everyone", "Secret", "Backstage", "Embargoed", "Revenue"):
            assert hidden not in text, path
    assert "Moving house" in report.html.read_text()
    assert "Latency" in report.html.read_text()


def test_for_those_who_may_see_it_what_is_hidden_is_there_and_the_report_says_so(tmp_path: Path):
    report = written(PAGE, tmp_path, audience="all")
    text = report.html.read_text()

    for hidden in ("Not for everyone", "Secret", "Backstage", "Embargoed", "Revenue"):
        assert hidden in text
    assert "not for the public" in text


def test_uptime_stands_under_each_policy_side_by_side(report: WrittenReport):
    lines = {(line["of"], line["policy"]): line for line in read(report.html.with_name("policies.csv"))}

    assert {policy for of, policy in lines if of == "Tracking"} == {
        "statuspage", "openstatus", "incident_io", "major_only", "strict", "sla"
    }  # fmt: skip
    uptime = {
        policy: float(line["uptime_lower"]) for (of, policy), line in lines.items() if "HYPERLINK" in of
    }
    assert uptime["major_only"] == 1
    assert uptime["incident_io"] == pytest.approx(1 - 1 / 744, abs=1e-4)
    assert uptime["statuspage"] == pytest.approx(1 - 0.3 / 744, abs=1e-4)


def test_charts_of_the_month_are_within_the_file_each_once(report: WrittenReport):
    text = report.html.read_text()

    assert set(report.report.charts) == {
        "bars",
        "calendar",
        "months",
    }
    for chart in [*report.report.charts.values(), *report.report.metric_charts.values()]:
        assert text.count(chart.inline()) == 1
    assert len(report.report.metric_charts) == 1


def test_a_spreadsheet_takes_no_text_for_a_formula(report: WrittenReport):
    for path in report.csvs:
        for line in read(path):
            assert not [value for value in line.values() if re.match(r"[=+@]|-\D", value)]


def test_a_period_and_a_policy_that_do_not_exist_are_named_with_those_that_do():
    figures = figures_of(PAGE)

    with pytest.raises(SettingsError, match=r"no record of January 2020.*within 1 Sep 2026 to 3 Nov 2026"):
        find_period(figures, "2020-01")
    with pytest.raises(SettingsError, match=r"no uptime policy 'nines'.*incident_io, major_only"):
        figures.policy("nines")
    with pytest.raises(SettingsError, match=r"'foo' is not a month or another period.*Use YYYY-MM, "):
        find_period(figures, "foo")


@pytest.mark.parametrize(
    ("text", "key", "words", "first", "last"),
    [
        (None, "2026-10", "October 2026", "2026-10-01", "2026-10-31"),
        ("2026-11", "2026-11", "November 2026 so far", "2026-11-01", "2026-11-03"),
        ("2026q4", "2026-Q4", "quarter 4 of 2026 so far", "2026-10-01", "2026-11-03"),
        ("2026", "2026", "2026 so far", "2026-01-01", "2026-11-03"),
        ("2026-10-05..2026-10-06", "2026-10-05..2026-10-06", "5 Oct 2026 to 6 Oct 2026", "2026-10-05", "2026-10-06"),
        ("last-30-days", "last-30-days", "the last 30 days", "2026-10-05", "2026-11-03"),
    ],
)  # fmt: skip
def test_a_period_is_days_of_the_pages_zone(text: str | None, key: str, words: str, first: str, last: str):
    period = find_period(figures_of(PAGE, time_zone="America/New_York"), text)

    assert (period.key, period.name) == (key, words)
    assert (str(period.first_day), str(period.last_day)) == (first, last)
    assert period.begin.isoformat() == f"{first}T00:00:00{'-05:00' if first < '2026-03' else '-04:00'}"


def test_figures_of_any_days_are_exact_at_both_ends(tmp_path: Path):
    report = written(PAGE, tmp_path, "2026-10-10..2026-10-10").report
    year = written(PAGE, tmp_path, "2026").report

    # An outage from 10:00 to the end of the day: 14 of 24 hours, on one of two components.
    assert report.components[1].uptime.down_seconds == pytest.approx(14 * 3_600)
    assert report.uptime.lower == report.uptime.upper == pytest.approx(1 - 14 / 48)
    assert [line.row["incident_id"] for line in report.incidents] == [1]
    assert [row["n"] for words, row, _ in report.stats if words == "start to fixed"] == [1]
    assert [row["points"] for _, row in report.metrics] == []
    assert [line.row["incident_id"] for line in year.incidents] == [4, 1, 2]
    assert [row["n"] for words, row, _ in year.stats if words == "start to fixed"] == [3]


def test_a_months_figures_are_those_of_the_model(report: WrittenReport):
    figures = figures_of(PAGE)
    for row in figures.rows(
        "SELECT u.* FROM analytics.uptime_monthly AS u WHERE u.month = DATE '2026-10-01' AND u.policy = 'statuspage'"
        " AND u.scope = 'component'"
    ):
        lines = [line for line in report.report.components if line.component_id == row["scope_id"]]
        for line in lines:
            assert line.uptime.lower == pytest.approx(row["uptime_lower"], abs=1e-12)
            assert line.uptime.upper == pytest.approx(row["uptime_upper"], abs=1e-12)
            assert line.uptime.down_seconds == pytest.approx(row["down_seconds"])


def test_without_models_the_error_says_how_to_build_them():
    models = Models(PAGE, as_of=AS_OF)

    with pytest.raises(ModelsMissing, match=r"x_analytics.build_settings has not been built"):
        _ = Figures(models.connection.execute, DATASET, "x_analytics").settings


def test_the_recorded_page_has_a_report_with_all_that_went_on(tmp_path: Path):
    models = Models(tables("admin"), as_of=RECORDED_AT)
    figures = Figures(models.connection.execute, DATASET)
    report = write_report(figures, "cachet", tmp_path, period="2026-11")
    page = Page(report.html.read_text())

    assert page.tags.isdisjoint({"script", "img", "iframe", "a"})
    assert (
        len(report.report.components)
        == figures.rows("SELECT COUNT(*) AS n FROM analytics.component_lives AS l WHERE l.in_audience")[0][
            "n"
        ]
    )
    assert report.report.issues
    for issue in report.report.issues:
        found = models.connection.execute(issue.sql).fetchall()
        assert len(found) >= len(issue.ids)
