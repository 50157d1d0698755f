"""Settings: an address as a person pastes it, and one sentence for what cannot be used."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cachet_dagster.source import CachetSettings
from cachet_dagster.source.errors import CachetError, SettingsError, variable
from cachet_dagster.source.settings import _PAGE_PATHS, normalize_base_url

some_label = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
some_host = st.one_of(
    st.lists(some_label, min_size=1, max_size=3).map(".".join), st.just("127.0.0.1"), st.just("[::1]")
)
some_path = st.lists(some_label.filter(lambda name: not _PAGE_PATHS.search(f"/{name}")), max_size=2).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)


@given(
    some_host,
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
    some_path,
    st.sampled_from(["http://", "https://", "HTTPS://", ""]),
    st.sampled_from(
        [
            "",
            "/",
            "//",
            "/api",
            "/api/",
            "/api//",
            "/api/v1/",
            "/dashboard",
            "/incidents/12",
            "/schedules/3/",
            "/rss",
        ]
    ),
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
    ("name", "text", "sentence"),
    [
        ("timezone", "Mars/Olympus", "'Mars/Olympus' is not a time zone"),
        ("timezone", "../../etc/passwd", "is not a time zone"),
        ("api_version", "4", "CACHET_API_VERSION is '4'. "),
        ("timeout", "soon", "CACHET_TIMEOUT is 'soon'. "),
        ("timeout", "0", "CACHET_TIMEOUT is '0'. "),
        ("timeout", "nan", "CACHET_TIMEOUT is 'nan'. "),
        ("max_wait", "inf", "CACHET_MAX_WAIT is 'inf'. "),
        ("attempts", "2.5", "CACHET_ATTEMPTS is '2.5'. "),
        ("connections", "-1", "CACHET_CONNECTIONS is '-1'. "),
        ("requests_per_minute", "0", "CACHET_REQUESTS_PER_MINUTE is '0'. "),
        ("impact_requests", "-3", "CACHET_IMPACT_REQUESTS is '-3'. "),
        ("ca_bundle", "/no/such/file.pem", "there is no file /no/such/file.pem. "),
        ("subscriber_emails", "sell", "CACHET_SUBSCRIBER_EMAILS is 'sell'. "),
        (
            "subscriber_emails",
            "hash",
            "CACHET_EMAIL_HASH_KEY has to be a secret of 16 characters or more, and it is not set",
        ),
        ("api_key", "to\nken", "the API token has characters that no token has. "),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence_that_names_it(
    name: str, text: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        CachetSettings(**{name: text})

    assert sentence in str(caught.value)
    assert variable(name) in str(caught.value)
    if name == "api_key":
        assert "to\nken" not in str(caught.value)


def test_a_message_names_settings_as_whoever_set_them_calls_them() -> None:
    error = CachetError("too slow", "Set {max_wait} to more seconds, or {api_key}.", "metrics")

    assert error.settings == ("max_wait", "api_key")
    assert str(error).endswith("Set CACHET_MAX_WAIT to more seconds, or CACHET_API_TOKEN.")
    in_yaml = error.with_setting_names("`{}`".format)
    assert str(in_yaml).endswith("Set `max_wait` to more seconds, or `api_key`.")
    of_acme = error.with_setting_names(lambda name: variable(name, "ACME_"))
    assert str(of_acme).endswith("Set ACME_MAX_WAIT to more seconds, or ACME_API_TOKEN.")


def test_a_key_that_can_be_guessed_is_refused_and_not_said() -> None:
    with pytest.raises(SettingsError, match="16 characters or more, and it is shorter") as caught:
        CachetSettings(subscriber_emails="hash", email_hash_key=SecretStr("guessable"))

    assert "guessable" not in str(caught.value)


def test_a_token_is_not_in_the_settings_text() -> None:
    assert "hunter2" not in repr(CachetSettings(api_key="1|hunter2"))
