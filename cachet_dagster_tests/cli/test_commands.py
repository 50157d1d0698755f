"""The command `cachet-dagster`: help with examples, exit codes, machine-readable output, several pages."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

import cachet_dagster
from cachet_dagster.cli import COMMANDS, main
from cachet_dagster.cli.doctor import doctor
from cachet_dagster.cli.run import run
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.page import StatusPage


@pytest.fixture
def server():
    with DemoServer(
        World.generate(incidents=40, components=2, metrics=1, points=2, subscribers=1)
    ) as running:
        yield running


def a_page(url: str, name: str = "cachet") -> StatusPage:
    values = {"base_url": url, "database": f"{name}.duckdb", "attempts": 1}
    return StatusPage(name=name, values=values, token=SecretStr(DEMO_TOKEN))


def test_each_command_has_help_with_examples_and_the_version_is_the_package_s(capsys):
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert f"Examples:\n    cachet-dagster {name}" in capsys.readouterr().out

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cachet-dagster {cachet_dagster.__version__}\n"


def test_a_wrong_command_line_is_exit_code_2(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert main(["run", "--no-such-option"]) == 2
    assert "No such option" in capsys.readouterr().err
    assert main(["doctor", "--page", "acme"]) == 2
    assert "There is no page 'acme'. The pages are: " in capsys.readouterr().err


def test_run_as_json_is_one_document_and_a_full_refresh_asks_for_each_incident(
    server, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    assert run([a_page(server.url)], as_json=True) == 0
    first = json.loads(capsys.readouterr().out)
    assert run([a_page(server.url)], as_json=True) == 0
    again = json.loads(capsys.readouterr().out)
    assert run([a_page(server.url)], full_refresh=True, as_json=True) == 0
    refreshed = json.loads(capsys.readouterr().out)

    (page,) = first["pages"]
    assert page["page"] == "cachet"
    assert page["database"] == "cachet.duckdb"
    assert page["failures"] == []
    assert page["tables"]["incidents"]["dagster/row_count"] == 40
    requests = [found["pages"][0]["tables"]["incidents_by_id"]["requests"] for found in (again, refreshed)]
    assert requests[0] < 40 <= requests[1]


def test_after_several_pages_a_table_says_which_failed_and_failures_are_on_the_error_output(
    server, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with DemoServer(World.generate()) as gone:
        dead = gone.url

    status = run([a_page(server.url, "well"), a_page(dead, "acme")])

    said = capsys.readouterr()
    closing = said.out.rpartition("1 of 2 pages loaded")[2]
    assert status == 1
    assert "refuses connections" in said.err
    assert [line.split()[0] for line in closing.split("\n")[1:] if line.strip()] == ["page", "well", "acme"]
    assert "failed: " in closing


def test_a_quiet_run_says_nothing_where_all_is_well(server, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert run([a_page(server.url)], quiet=True) == 0

    assert capsys.readouterr() == ("", "")


def test_doctor_as_json_is_one_document(server, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert doctor([a_page(server.url)], as_json=True) == 0

    (page,) = json.loads(capsys.readouterr().out)["pages"]
    assert {finding["name"] for finding in page["findings"]} >= {"page", "cachet", "token", "database"}
    assert all(finding["good"] for finding in page["findings"])
