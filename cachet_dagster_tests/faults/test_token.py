"""The token goes to the configured origin only, and is said nowhere."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer
from cachet_dagster.source import CachetError, CachetSettings
from cachet_dagster.source.http.client import CachetClient
from cachet_dagster.source.reader import CachetReader

from .loading import settings
from .matrix import PATHS
from .server import Exchange, FaultServer, changed, redirects, resets_in_the_body, says
from .test_matrix import everything_said

SECRETS = (DEMO_TOKEN, DEMO_TOKEN.partition("|")[2])


def read_groups(how: CachetSettings) -> str:
    """Return all that the failure says."""
    read = CachetReader(how).read(["components_groups"])["components_groups"]
    assert read.error is not None
    return everything_said(read.error)


@pytest.mark.parametrize(
    "location",
    [
        "http://{other}/api/component-groups",
        "//{other}/api/component-groups",
        "http://{origin}@{other}/api/component-groups",
        "http://{other}\\@{origin}/api/component-groups",
        "http:\\\\{other}/api/component-groups",
        "http://localhost:{port}/api/component-groups",
        "http://user:password@{origin}/api/component-groups",
        "https://{origin}/api/component-groups",
        "javascript:alert(1)",
        "http://[::1/",
        "\t//{other}/",
    ],
)
def test_no_redirect_takes_the_token_to_another_origin(
    location: str, server: FaultServer, other: FaultServer
) -> None:
    origin, elsewhere = f"127.0.0.1:{server.port}", f"127.0.0.1:{other.port}"
    target = location.format(origin=origin, other=elsewhere, port=other.port)
    server.misbehave(redirects(target), PATHS["components_groups"])

    said = read_groups(settings(server.url))

    assert other.requests == []
    assert server.asked(PATHS["components_groups"]) <= 2, "it is not asked again and again"
    assert not any(secret in said for secret in SECRETS)


def test_no_link_takes_the_token_to_another_origin(server: FaultServer, other: FaultServer) -> None:
    def elsewhere(document: dict[str, object]) -> dict[str, object]:
        text = json.dumps(document).replace(server.demo.url, other.url).replace(server.url, other.url)
        return json.loads(text)

    server.misbehave(changed(elsewhere), PATHS["incidents"])

    read = CachetReader(settings(server.url)).read(["incidents"])["incidents"]

    assert read.error is None
    assert len(read.rows["incidents"]) == 250
    assert other.requests == []


def test_a_netrc_replaces_no_token_and_its_password_is_not_sent(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password of-another-site\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    for key in (DEMO_TOKEN, None):
        assert (
            CachetReader(settings(server.url, api_key=key)).read(["components"])["components"].error is None
        )

    sent = {seen.headers.get("authorization") for seen in server.requests}
    assert sent == {f"Bearer {DEMO_TOKEN}", None}


def test_a_proxy_of_the_environment_is_used(other: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", other.url)
    monkeypatch.setenv("no_proxy", "")

    read = CachetReader(settings("http://status.invalid")).read(["components"])["components"]

    assert read.error is None
    assert {seen.headers["host"] for seen in other.requests} == {"status.invalid"}


async def _echo(exchange: Exchange) -> None:
    """Repeat the token, as a page in debug mode does."""
    body = json.dumps({"message": f"no user for {exchange.seen.headers['authorization']}"}).encode()
    await exchange.answer(500 if exchange.nth % 2 else 422, body)


@pytest.mark.parametrize(
    "fault", [_echo, resets_in_the_body, says(500, {"message": "x"}), says(403, {"message": "x"})]
)
def test_the_token_is_in_no_error_log_or_representation(
    fault: object, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.misbehave(fault, PATHS["components_groups"])  # type: ignore[arg-type]
    how = settings(server.url)
    reader = CachetReader(how)

    read = reader.read(["components_groups"])["components_groups"]

    assert read.error is not None
    said = [everything_said(read.error), repr(how), str(how), repr(reader), repr(reader.client), repr(read)]
    said += [record.getMessage() for record in caplog.records]
    assert caplog.records, "something is logged"
    assert not [text for text in said for secret in SECRETS if secret in text]


def test_a_refusal_to_use_the_token_does_not_say_it() -> None:
    with pytest.raises(CachetError) as raised:
        settings("http://status.example.com", api_key="secret\r\nHost: elsewhere")

    assert "secret" not in everything_said(raised.value)


def test_the_token_is_in_no_exception_of_the_http_library(demo: DemoServer, server: FaultServer) -> None:
    async def gibberish(exchange: Exchange) -> None:
        exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
        exchange.writer.close()

    async def ask() -> None:
        async with CachetClient(settings(server.url)) as client:
            await client.get("components", endpoint="components")

    server.misbehave(gibberish, "*")

    with pytest.raises(CachetError) as raised:
        asyncio.run(ask())

    assert not any(secret in everything_said(raised.value) for secret in SECRETS)
