"""Settings: an address as a person pastes it, and one sentence for what cannot be used."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachet_dagster.source import CachetSettings
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.source.settings import VARIABLES, normalize_base_url

some_label = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
some_host = st.one_of(
    st.lists(some_label, min_size=1, max_size=3).map(".".join), st.just("127.0.0.1"), st.just("[::1]")
)
some_path = st.lists(some_label.filter(lambda name: name != "api"), max_size=2).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)


@given(
    some_host,
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
    some_path,
    st.sampled_from(["http://", "https://", "HTTPS://", ""]),
    st.sampled_from(["", "/", "//", "/api", "/api/", "/api//", "/api/v1", "/api/v1/"]),
    st.sampled_from(["", "?x=1", "#incidents"]),
    st.sampled_from(["", " ", "\n", "\t "]),
)
def test_an_address_means_the_same_however_it_is_pasted(
    host: str, port: str, path: str, scheme: str, end: str, rest: str, space: str
) -> None:
    expected = f"{scheme.lower() or 'https://'}{host}{port}{path}"

    assert normalize_base_url(f"{space}{scheme}{host}{port}{path}{end}{rest}{space}") == expected
    assert normalize_base_url(expected) == expected


@given(some_host)
def test_a_host_in_capitals_is_the_same_host(host: str) -> None:
    assert normalize_base_url(f"https://{host.upper()}/api") == f"https://{host}"


@given(st.text())
def test_any_text_is_an_address_or_a_clear_refusal(text: str) -> None:
    try:
        url = normalize_base_url(text)
    except SettingsError:
        return

    assert re.match(r"https?://[^\s/]+", url)
    assert normalize_base_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "https://",
        "ftp://status.example.com",
        "not an address",
        "https://exa mple.com",
        "https://host:port",
        "https://host:99999",
        "http://[::1",
        "https://user:secret@example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "/api",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_a_password(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        CachetSettings(base_url=text)

    assert str(caught.value).endswith(
        "Set CACHET_BASE_URL to the status page's address, such as https://status.example.com."
    )
    assert "Nothing was requested or changed." in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("CACHET_TIMEZONE", "Mars/Olympus", "'Mars/Olympus' is not a time zone"),
        ("CACHET_TIMEZONE", "../../etc/passwd", "is not a time zone"),
        ("CACHET_API_VERSION", "4", "CACHET_API_VERSION is '4'. "),
        ("CACHET_TIMEOUT", "soon", "CACHET_TIMEOUT is 'soon'. "),
        ("CACHET_TIMEOUT", "0", "CACHET_TIMEOUT is 0.0. "),
        ("CACHET_TIMEOUT", "nan", "CACHET_TIMEOUT is nan. "),
        ("CACHET_MAX_WAIT", "inf", "CACHET_MAX_WAIT is inf. "),
        ("CACHET_ATTEMPTS", "2.5", "CACHET_ATTEMPTS is '2.5'. "),
        ("CACHET_CONNECTIONS", "-1", "CACHET_CONNECTIONS is -1. "),
        ("CACHET_REQUESTS_PER_MINUTE", "0", "CACHET_REQUESTS_PER_MINUTE is 0. "),
        ("CACHET_BY_ID_DAYS", "-3", "CACHET_BY_ID_DAYS is -3.0. "),
        ("CACHET_CA_BUNDLE", "/no/such/file.pem", "there is no file /no/such/file.pem. "),
        ("CACHET_SUBSCRIBER_EMAILS", "sell", "CACHET_SUBSCRIBER_EMAILS is 'sell'. "),
        ("CACHET_API_TOKEN", "to\nken", "the API token has characters that no token has. "),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence_that_names_it(
    variable: str, text: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        CachetSettings.from_environment({variable: text})

    assert sentence in str(caught.value)
    assert variable in str(caught.value)
    if variable == "CACHET_API_TOKEN":
        assert "to\nken" not in str(caught.value)


def test_the_environment_sets_everything_and_what_is_given_wins() -> None:
    settings = CachetSettings.from_environment(
        {
            "CACHET_BASE_URL": "status.example.com/api/",
            "CACHET_API_TOKEN": " 1|token ",
            "CACHET_TIMEZONE": "Europe/Paris",
            "CACHET_TIMEOUT": "12.5",
            "CACHET_ATTEMPTS": "",
            "CACHET_REQUESTS_PER_MINUTE": "60",
            "CACHET_BY_ID_DAYS": "0",
        },
        timezone="UTC",
        api_version=None,
    )

    assert settings.base_url == "https://status.example.com"
    assert settings.api_key == "1|token"
    assert settings.timezone == "UTC"
    assert settings.timeout == 12.5
    assert settings.attempts == CachetSettings().attempts
    assert settings.requests_per_minute == 60
    assert settings.by_id_days == 0


def test_every_variable_is_one_of_the_settings() -> None:
    assert set(VARIABLES.values()) <= set(CachetSettings.__dataclass_fields__)


def test_a_token_is_not_in_the_settings_text() -> None:
    assert "hunter2" not in repr(CachetSettings(api_key="1|hunter2"))
