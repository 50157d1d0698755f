"""Wrong input gets one sentence that says what is wrong, what is unchanged, and what to set or check."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer
from cachet_dagster.source import CachetError, CachetSettings
from cachet_dagster.source.points.read import read_points
from cachet_dagster.source.reader import CachetReader
from cachet_dagster.warehouse import DuckDBWarehouse

from .certificates import Authority
from .loading import contents, differences, load_once, settings, truth
from .server import HTML, FaultServer, says

NAMES = ("components_groups", "subscribers")


def refusal(how: CachetSettings, database: DuckDBWarehouse, names: Sequence[str] = NAMES) -> str:
    """Return what a load says that must not change anything."""
    before = contents(database)
    with pytest.raises(CachetError) as raised:
        load_once(how, database, names)
    assert contents(database) == before
    return str(raised.value)


def test_no_such_host(database: DuckDBWarehouse) -> None:
    assert refusal(settings("http://status.invalid"), database) == (
        "there is no host status.invalid; asked 3 times at http://status.invalid. No table was changed. "
        "Check CACHET_BASE_URL, or this machine's name resolution."
    )


def test_connection_refused(database: DuckDBWarehouse) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"

        said = refusal(settings(f"http://{place}"), database)

    assert said == (
        f"{place} refuses connections; asked 3 times at http://{place}. No table was changed. "
        "Check that the server runs and that CACHET_BASE_URL has its address and port."
    )


def test_tls_failure(database: DuckDBWarehouse, demo: DemoServer, authority: Authority) -> None:
    with FaultServer(demo, authority.serve()) as server:
        said = refusal(settings(server.url), database)

    assert said == (
        f"the TLS certificate of {server.url} is not valid (unable to get local issuer certificate). "
        "No table was changed. For a private CA set CACHET_CA_BUNDLE to a file with its certificates."
    )


def test_a_ca_bundle_without_certificates(database: DuckDBWarehouse, authority: Authority) -> None:
    empty = authority.folder / "empty.pem"
    empty.write_text("no certificate")

    assert refusal(settings("https://127.0.0.1:9", ca_bundle=str(empty)), database) == (
        f"the file {empty} holds no certificates that can be read. Nothing was requested or changed. "
        "Set CACHET_CA_BUNDLE to a PEM file of certificates."
    )


def test_a_page_that_is_not_cachet(database: DuckDBWarehouse, server: FaultServer) -> None:
    server.misbehave(says(200, HTML, "text/html"), "*")

    said = refusal(settings(server.url), database)

    assert said.startswith(
        f"{server.url} does not answer as Cachet 3 (/api/version) or Cachet 2 (/api/v1/ping)"
    )
    assert said.endswith("No table was changed. Set CACHET_BASE_URL to the status page's address.")


def test_another_json_api(database: DuckDBWarehouse, server: FaultServer) -> None:
    server.misbehave(says(200, {"hello": "world"}, "application/json"), "*")

    assert refusal(settings(server.url), database) == (
        f"{server.url} does not answer as Cachet 3 (/api/version) or Cachet 2 (/api/v1/ping). "
        "No table was changed. Set CACHET_BASE_URL to the status page's address."
    )


def test_http_where_the_page_has_moved_to_https(database: DuckDBWarehouse, server: FaultServer) -> None:
    server.misbehave(says(301, Location=f"https://127.0.0.1:{server.port}/api/version"), "*")

    said = refusal(settings(server.url), database)

    assert f"{server.url} redirects to https://127.0.0.1" in said
    assert "If that is your status page, set CACHET_BASE_URL to it." in said


def test_api_disabled(database: DuckDBWarehouse, demo: DemoServer) -> None:
    demo.settings.disabled = True

    assert refusal(settings(demo.url), database) == (
        f"{demo.url} does not answer as Cachet 3 (/api/version) or Cachet 2 (/api/v1/ping): its API is switched off. "
        "No table was changed. Enable the API in Cachet's settings."
    )


def test_api_protected_and_no_token(database: DuckDBWarehouse, demo: DemoServer) -> None:
    demo.settings.protected = True

    assert refusal(settings(demo.url, api_key=None), database) == (
        "the server wants an API token. No table was changed. Set CACHET_API_TOKEN."
    )


def test_api_protected_and_a_bad_token(database: DuckDBWarehouse, demo: DemoServer) -> None:
    demo.settings.protected = True

    assert refusal(settings(demo.url, api_key="1|expired"), database) == (
        "the server does not accept the API token. No table was changed. "
        "Set CACHET_API_TOKEN to a token that is valid and not expired."
    )


def test_a_bad_token_that_cachet_treats_as_a_guest(database: DuckDBWarehouse, demo: DemoServer) -> None:
    for names in (NAMES, ["components_groups"]):
        assert refusal(settings(demo.url, api_key="1|expired"), database, names) == (
            "the server does not know the API token and would answer as to a guest, without hidden rows. "
            "No table was changed. "
            "Set CACHET_API_TOKEN to a token that is valid and not expired, or unset it to load as a guest."
        )


def test_a_token_without_the_ability_for_subscribers(database: DuckDBWarehouse, demo: DemoServer) -> None:
    demo.settings.tokens = {DEMO_TOKEN: frozenset()}
    before = contents(database, ["subscribers"])
    demo.world.add("component_groups", name="Came meanwhile")

    errors = load_once(settings(demo.url), database, NAMES)

    assert [str(error) for error in errors.values()] == [
        "subscribers: the API token lacks the ability for it. Its tables are unchanged. "
        "Set CACHET_API_TOKEN to a token with the ability subscribers.manage, or with all abilities."
    ]
    assert contents(database, ["subscribers"]) == before
    assert differences(database, truth(demo.world, ["components_groups"])) == []


def test_rows_that_a_token_in_doubt_does_not_show_are_kept(
    database: DuckDBWarehouse, demo: DemoServer, server: FaultServer
) -> None:
    hidden = demo.world.add("component_groups", name="Hidden", visible=0)
    load_once(settings(server.url), database, NAMES)
    before = contents(database)
    for table in ("components", "component_groups"):
        demo.world.add(table, name="Came meanwhile")
    server.misbehave(says(500), "/api/subscribers")

    errors = load_once(settings(server.url, api_key="1|expired"), database, (*NAMES, "components"))

    assert str(errors["components_groups"]) == (
        "components_groups: 1 stored rows are not shown, and whether they are gone or the server no longer knows the "
        "API token cannot be told, since subscribers fails (the server fails (500); asked 3 times at "
        f"{server.url}). Its tables are unchanged. "
        "Run again when the server answers subscribers, or unset CACHET_API_TOKEN to load as a guest."
    )
    after = contents(database)
    assert hidden["id"] in {row["id"] for row in after["components_groups"]}
    assert after["components_groups"] == before["components_groups"]
    assert differences(database, truth(demo.world, ["components"])) == []


def test_a_malformed_url() -> None:
    for url in ("ftp://status.example.com", "http://", "http://status.example.com:port", "not a page"):
        with pytest.raises(CachetError) as raised:
            settings(url)

        assert str(raised.value).endswith(
            "Nothing was requested or changed. "
            "Set CACHET_BASE_URL to the status page's address, such as https://status.example.com."
        )


def test_a_metric_id_that_does_not_exist(database: DuckDBWarehouse, demo: DemoServer) -> None:
    before = contents(database)

    batches = list(read_points(CachetReader(settings(demo.url)), [99], {}))

    assert [str(step.error) for batch in batches for step in batch] == [
        "metric_points: Cachet shows no metric 99, to this token at least. The points loaded before stay. "
        "Check the id, or load `metrics` so that its partition is dropped."
    ]
    assert contents(database) == before
