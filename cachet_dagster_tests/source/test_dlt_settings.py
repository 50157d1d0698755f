"""Every setting reaches the plain source as dlt resolves it; secrets and addresses are found nowhere afterwards."""

from __future__ import annotations

import hmac
import inspect
from pathlib import Path

import pytest
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from pydantic import SecretStr

from cachet_dagster.demo import World
from cachet_dagster.source import CachetSettings, cachet_source
from cachet_dagster.source.errors import SettingsError
from cachet_dagster_tests.conftest import Serve
from cachet_dagster_tests.processes import python
from cachet_dagster_tests.searching import cells_holding, holding

SECRET = "FindMeIfYouCan0123456789"
TOKEN = f"7|{SECRET}"
HASH_KEY = "HashWithMeIfYouCan9876543210"


@pytest.fixture
def small() -> World:
    """Return a page with something in each table."""
    return World.generate(
        incidents=5, components=3, groups=1, metrics=2, points=10, subscribers=3, schedules=2, templates=1
    )


def variable(setting: str) -> str:
    """Return dlt's variable of a setting."""
    return f"SOURCES__CACHET_SOURCE__{setting.upper()}"


def secrets_toml(folder: Path, **settings: str) -> None:
    """Write dlt's file of secrets."""
    (folder / ".dlt").mkdir()
    lines = [f'{name} = "{value}"\n' for name, value in settings.items()]
    (folder / ".dlt" / "secrets.toml").write_text("".join(["[sources.cachet_source]\n", *lines]))


# Settings


def test_each_setting_is_an_argument_with_the_same_default() -> None:
    arguments = {
        name: parameter.default
        for name, parameter in inspect.signature(cachet_source).parameters.items()
        if name not in ("full_refresh", "metric_ids")
    }

    assert arguments == {name: field.default for name, field in CachetSettings.model_fields.items()}


def test_what_is_secret_is_secret_to_dlt() -> None:
    secret = {
        name for name, field in CachetSettings.model_fields.items() if SecretStr in _kinds(field.annotation)
    }
    hints = cachet_source.ref.SPEC.get_resolvable_fields()

    assert secret == {"api_key", "email_hash_key", "basic_auth", "headers"}
    assert {name for name, hint in hints.items() if is_secret_hint(hint)} == secret


def _kinds(annotation: object) -> tuple[object, ...]:
    return getattr(annotation, "__args__", (annotation,))


WRONG = {
    "base_url": "ftp://status.example.com",
    "api_key": "to\nken",
    "basic_auth": "user",
    "headers": "X-Zone",
    "timezone": "Mars/Olympus",
    "requests_per_minute": "0",
    "subscriber_emails": "hash",
    "impact_requests": "0",
    "points_overlap": "0",
    "ca_bundle": "/no/such/file.pem",
    "connect_timeout": "0",
    "timeout": "-1",
    "attempts": "0",
    "retry_delay": "0",
    "max_wait": "0",
    "max_body": "0",
    "connections": "0",
    "rate_window": "0",
}


@pytest.mark.parametrize(("setting", "value"), WRONG.items())
def test_a_setting_that_cannot_be_used_is_named_as_dlt_s_users_know_it(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(setting), value)

    with pytest.raises(SettingsError) as caught:
        cachet_source()

    assert f"sources.cachet_source.{setting}" in str(caught.value)
    assert "CACHET_" not in str(caught.value)


def test_a_key_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("subscriber_emails"), "hash")
    monkeypatch.setenv(variable("email_hash_key"), "guessable")

    with pytest.raises(SettingsError, match=r"sources\.cachet_source\.email_hash_key has to be .* shorter"):
        cachet_source()


@pytest.mark.parametrize(("setting", "value"), [("api_version", "4"), ("subscriber_emails", "sell")])
def test_a_word_that_a_setting_does_not_know_is_refused_by_dlt(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(setting), value)

    with pytest.raises(ConfigValueCannotBeCoercedException, match=setting):
        cachet_source()


def test_every_setting_has_a_wrong_value_among_these() -> None:
    assert CachetSettings.model_fields.keys() == WRONG.keys() | {"api_version", "email_hash_key"}


def test_a_source_of_another_name_has_settings_and_messages_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__ACME_STATUS__TIMEZONE", "Mars/Olympus")

    with pytest.raises(SettingsError, match=r"sources\.acme_status\.timezone"):
        cachet_source.clone(name="acme_status", section="acme_status")()


def test_what_goes_wrong_while_reading_names_settings_as_dlt_does(serve: Serve, small: World) -> None:
    page = serve(small)

    with pytest.raises(Exception, match=r"sources\.cachet_source\.max_body"):
        list(cachet_source(base_url=page.url, max_body=1).incidents)
    with pytest.raises(Exception, match=r"sources\.cachet_source\.base_url"):
        list(cachet_source(base_url=f"{page.url}/elsewhere").metric_points)


# Secrets

LOADS = """
import sys
sys.stderr = sys.stdout

import dlt
from cachet_dagster.source import cachet_source

pipeline = dlt.pipeline(
    "my_cachet", destination=dlt.destinations.duckdb("mine.duckdb"), dataset_name="cachet_data"
)
pipeline.run(cachet_source({arguments}))
print(pipeline.last_trace.asstr(verbosity=2))
for wrong in ({{"timezone": "Mars/Olympus"}}, {{"max_body": 1}}):
    try:
        pipeline.run(cachet_source({arguments}, **wrong))
    except Exception as error:
        print(repr(error), error)
print(pipeline.last_trace.asstr(verbosity=2))
"""


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("environment", marks=pytest.mark.slow),
        pytest.param("secrets.toml", marks=pytest.mark.slow),
        "arguments",
    ],
)
def test_no_secret_is_anywhere_after_loads_that_succeed_and_fail(
    given: str, serve: Serve, small: World, tmp_path: Path
) -> None:
    page = serve(small, tokens={TOKEN: {"*"}})
    addresses = [row["email"] for row in small.rows("subscribers")]
    secrets = {"api_key": TOKEN, "subscriber_emails": "hash", "email_hash_key": HASH_KEY}
    arguments = {"base_url": page.url, **(secrets if given == "arguments" else {})}
    variables = {variable(name): value for name, value in secrets.items()} if given == "environment" else {}
    if given == "secrets.toml":
        secrets_toml(tmp_path, **secrets)

    printed = python(
        tmp_path,
        LOADS.format(arguments=", ".join(f"{name}={value!r}" for name, value in arguments.items())),
        RUNTIME__LOG_LEVEL="DEBUG",
        **variables,
    )

    assert f"Bearer {TOKEN}" in {request.headers.get("authorization") for request in page.requests}
    assert "is not a time zone" in printed
    assert "max_body" in printed
    assert "|dlt|" in printed, "dlt logged nothing"
    assert next(tmp_path.rglob("trace.pickle"))
    allowed = [str(tmp_path / ".dlt" / "secrets.toml")] if given == "secrets.toml" else []
    for secret in (SECRET, HASH_KEY):
        assert holding(secret, [tmp_path]) == allowed
    for text in (SECRET, HASH_KEY, *addresses):
        assert text not in printed
        assert cells_holding(text, tmp_path / "mine.duckdb") == []
    for address in addresses:
        assert holding(address, [tmp_path]) == []


def test_hashed_addresses_are_the_hmac_of_the_lower_case_address(serve: Serve, small: World) -> None:
    addresses = [row["email"] for row in small.rows("subscribers")]
    small.update("subscribers", 1, email=f" {addresses[0].upper()} ")
    page = serve(small, tokens={TOKEN: {"*"}})

    source = cachet_source(
        base_url=page.url, api_key=TOKEN, subscriber_emails="hash", email_hash_key=HASH_KEY
    )

    assert [row["email"] for row in source.subscribers] == [
        hmac.new(HASH_KEY.encode(), address.lower().encode(), "sha256").hexdigest() for address in addresses
    ]
