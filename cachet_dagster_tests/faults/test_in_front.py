"""What stands in front of a Cachet: servers that want a password, firewalls, proxies, caches, sign-in pages."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import CachetError, CachetSettings
from cachet_dagster.source.errors import Challenged, SettingsError
from cachet_dagster.source.reader import CachetReader

from .loading import settings
from .server import HTML, Exchange, FaultServer, redirects, says, well
from .test_matrix import everything_said

BASIC = "someone:open sesame"
HEADERS = "CF-Access-Client-Id: me.access; CF-Access-Client-Secret: hush-hush"
SECRETS = ("open sesame", base64.b64encode(BASIC.encode()).decode(), "hush-hush")


async def gate(exchange: Exchange) -> None:
    """Let only requests with the basic credentials pass."""
    sent = exchange.seen.headers.get("authorization", "")
    if sent == f"Basic {base64.b64encode(BASIC.encode()).decode()}":
        await well(exchange)
    else:
        await exchange.answer(401, HTML, "text/html", [("WWW-Authenticate", 'Basic realm="staff"')])


def failure(how: CachetSettings) -> CachetError:
    """Return why reading the components fails, whether it does for them alone or altogether."""
    try:
        error = CachetReader(how).read(["components"])["components"].error
    except CachetError as raised:
        error = raised
    assert error is not None
    return error


def test_a_page_behind_a_password_is_read_with_it_and_named_as_such_without(server: FaultServer) -> None:
    server.misbehave(gate, "*")

    refused = failure(settings(server.url, api_key=None))
    wrong = failure(settings(server.url, api_key=None, basic_auth="someone:else"))
    read = CachetReader(settings(server.url, api_key=None, basic_auth=BASIC)).read(["components"])

    assert isinstance(refused, Challenged)
    assert "a server in front of Cachet wants a user name and password (Basic realm=" in str(refused)
    assert "Set CACHET_BASIC_AUTH to user:password." in str(refused)
    assert "does not accept the user name and password" in str(wrong)
    assert read["components"].error is None


def test_a_cachet_3_cannot_take_a_token_beside_a_password_and_a_cachet_2_can(server: FaultServer) -> None:
    server.misbehave(gate, "*")
    refused = failure(settings(server.url, basic_auth=BASIC))
    with DemoServer(World.generate(components=2), api=2) as demo, FaultServer(demo) as older:
        older.misbehave(gate, "*")
        read = CachetReader(settings(older.url, basic_auth=BASIC)).read(["components", "subscribers"])

    assert isinstance(refused, SettingsError)
    assert "Cachet 3 takes the token in the header in which CACHET_BASIC_AUTH is sent" in str(refused)
    assert [one.error for one in read.values()] == [None, None]
    assert {seen.headers.get("x-cachet-token") for seen in older.requests} >= {DEMO_TOKEN}


def test_secret_headers_are_sent_to_the_origin_and_said_nowhere(
    server: FaultServer, other: FaultServer
) -> None:
    how = settings(server.url, api_key=None, basic_auth=BASIC, headers=HEADERS)
    assert CachetReader(how).read(["components"])["components"].error is None
    first = server.requests[0].headers
    server.misbehave(redirects(f"{other.url}/api/components"), "/api/components")
    redirected = failure(how)

    async def echo(exchange: Exchange) -> None:
        sent = exchange.seen.headers
        text = f"{sent['authorization']} {sent['cf-access-client-secret']}"
        await exchange.answer(422, b'{"message": "%s"}' % text.encode())

    server.misbehave(echo, "/api/components")
    echoed = failure(how)

    assert first["cf-access-client-id"] == "me.access"
    assert first["cf-access-client-secret"] == "hush-hush"
    assert first["cache-control"] == "no-cache"
    assert other.requests == []
    assert "the server refuses the request (422, '… …')" in str(echoed)
    said = [everything_said(redirected), everything_said(echoed), repr(how), repr(CachetReader(how).client)]
    assert not [text for text in said for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    ("answer", "reads"),
    [
        (
            says(403, HTML, "text/html", cf_mitigated="challenge"),
            "a firewall (Cloudflare) in front of the server",
        ),
        (says(403, HTML, "text/html"), "a firewall or proxy in front of Cachet refuses the request (403)"),
        (says(407, HTML, "text/html"), "the proxy wants a user name and password, or other ones (407)"),
    ],
)
def test_a_refusal_that_is_not_cachet_s_is_named_from_the_start_and_in_mid_run(
    answer: Any, reads: str, server: FaultServer
) -> None:
    server.misbehave(answer, "/api/components")
    in_mid_run = failure(settings(server.url))
    asked = server.asked("/api/components")
    server.misbehave(answer, "*")
    at_first = failure(settings(server.url))

    assert reads in str(in_mid_run)
    assert reads in str(at_first)
    assert asked == 1, "it would be answered in the same way again"


def test_a_redirect_is_named_with_its_port(server: FaultServer) -> None:
    server.misbehave(redirects("http://127.0.0.1:81/api/version"), "*")

    assert "redirects to http://127.0.0.1:81, where the token is not sent" in str(
        failure(settings(server.url))
    )


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_a_proxy_is_taken_as_curl_takes_it(
    name: str, other: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"127.0.0.1:{other.port}")
    monkeypatch.setenv("no_proxy", "")

    read = CachetReader(settings("http://status.invalid")).read(["components"])

    assert read["components"].error is None
    assert {seen.headers["host"] for seen in other.requests} == {"status.invalid"}


def test_a_proxy_that_cannot_be_used_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
    monkeypatch.setenv("no_proxy", "")

    with pytest.raises(SettingsError, match="a proxy of kind socks5h, which is not supported"):
        CachetReader(settings("http://status.invalid")).read(["components"])


def test_a_proxy_that_refuses_to_connect_names_its_password(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.misbehave(says(407, HTML, "text/html"), "*")
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")

    error = failure(settings("https://status.invalid"))

    assert isinstance(error, Challenged)
    assert "the proxy wants a user name and password" in str(error)


@pytest.mark.parametrize(
    ("setting", "value", "reads"),
    [
        ("basic_auth", "someone", "CACHET_BASIC_AUTH is not a user name and a password"),
        ("headers", "no colon", "CACHET_HEADERS holds something that is not a header"),
        ("headers", "X-One: 1\r\nHost: elsewhere", "CACHET_HEADERS holds Host, which the client sets itself"),
        ("headers", "Authorization: Bearer x", "CACHET_HEADERS holds Authorization"),
        ("headers", "X-One: ä", "CACHET_HEADERS holds something that is not a header"),
    ],
)
def test_a_secret_that_cannot_be_sent_is_refused_without_being_said(
    setting: str, value: str, reads: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        settings("http://status.example.com", **{setting: value})

    assert reads in str(raised.value)
    assert value not in everything_said(raised.value)


def test_a_cookie_with_semicolons_is_one_header() -> None:
    how = settings("http://status.example.com", headers="Cookie: a=1; b=2; X-Other: 3\nX-Third: 4")

    assert how.extra_headers == {"Cookie": "a=1; b=2", "X-Other": "3", "X-Third": "4"}
