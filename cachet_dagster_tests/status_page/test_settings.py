"""A page's settings: from variables and a `.env` file, from values given, and what each says that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachet_dagster.source import ENDPOINTS
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.run_context import open_run
from cachet_dagster.status_page.settings import PageSettings, load_time_settings, page_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_environment_sets_everything_and_what_is_given_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CACHET_BASE_URL": "status.example.com/api/",
        "CACHET_API_TOKEN": " 1|token ",
        "CACHET_TIMEZONE": "Europe/Paris",
        "CACHET_TIMEOUT": "12.5",
        "CACHET_ATTEMPTS": "",
        "CACHET_REQUESTS_PER_MINUTE": "60",
        "CACHET_IMPACT_REQUESTS": "7",
        "CACHET_SUBSCRIBERS_REQUIRED": "true",
    }.items():
        monkeypatch.setenv(name, value)

    settings = page_settings("CACHET_", {"timezone": "UTC"})

    assert settings.base_url == "https://status.example.com"
    assert settings.token == "1|token"
    assert settings.timezone == "UTC"
    assert settings.timeout == 12.5
    assert settings.attempts == PageSettings().attempts
    assert settings.requests_per_minute == 60
    assert settings.impact_requests == 7
    assert settings.subscribers_required
    assert settings.cachet().token == "1|token"


def test_a_file_sets_what_the_environment_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("CACHET_TIMEOUT=7\nCACHET_ATTEMPTS=2\nOTHER=x\n")
    monkeypatch.setenv("CACHET_ATTEMPTS", "3")

    settings = page_settings("CACHET_", {})

    assert (settings.timeout, settings.attempts) == (7, 3)


def test_a_page_without_a_prefix_heeds_no_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHET_BASE_URL", "https://status.example.com")

    assert page_settings(None, {}).base_url is None
    assert page_settings("ACME_", {}).base_url is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_loss": "1.5"}, "CACHET_MAX_LOSS is '1.5'. "),
        ({"max_loss": "most"}, "CACHET_MAX_LOSS is 'most'. "),
        ({"lock_wait": "nan"}, "CACHET_LOCK_WAIT is 'nan'. "),
        ({"keep_loads": 0}, "CACHET_KEEP_LOADS is 0. "),
        ({"dataset": "Mine; DROP"}, "Set CACHET_DATASET to small letters, digits and _"),
        ({"subscribers_required": "perhaps"}, "Set it to true or false."),
        ({"no_such": 1}, "there is no setting 'no_such'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(folder: Path, values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        page_settings("CACHET_", values)

    assert sentence in str(caught.value)


def test_a_token_is_not_in_the_settings_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHET_API_TOKEN", "1|hunter2")

    assert "hunter2" not in repr(page_settings("CACHET_", {}))


def test_an_endpoint_that_is_left_out_takes_along_what_needs_it() -> None:
    left = load_time_settings(None, {"exclude_endpoints": "incidents, metrics ,unheard"})

    assert set(ENDPOINTS) - set(left.endpoints) == {
        "incidents",
        "incidents_by_id",
        "metrics",
        "metric_points",
    }
    assert left.unknown_endpoints == ("unheard",)


def test_an_endpoint_to_leave_out_that_is_none_stops_a_run_before_anything_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHET_EXCLUDE_ENDPOINTS", "subscriber")

    with (
        pytest.raises(SettingsError, match="names subscriber, and there is no such endpoint"),
        open_run(StatusPage.from_environment(), lambda _: None),
    ):
        pass
    assert list(folder.iterdir()) == []
