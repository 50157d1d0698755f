"""Nobody has to know which Cachet they have: it is found out, in two requests at most."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.answers import App, Receive, Scope, Send, respond
from cachet_dagster.source import CachetReader, CachetSettings
from cachet_dagster.source.errors import NotCachet
from cachet_dagster_tests.conftest import ADMIN, Serve
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN, serving


def detected(server: DemoServer, token: str | None = None, **settings: object) -> tuple[int, list[str]]:
    """Return the version that was found, and the paths that finding it took."""
    reader = CachetReader(CachetSettings(base_url=server.url, api_key=token, attempts=1, **settings))  # type: ignore[arg-type]
    server.clear_requests()
    reader.read([])
    assert reader.api is not None
    paths = [request.path for request in server.requests]
    return reader.api.version, [path for path in paths if "subscribers" not in path]


def test_cachet_3_takes_one_request_and_cachet_2_takes_two(serve: Serve):
    with serving() as cachet2:
        assert detected(serve()) == (3, ["/api/version"])
        assert detected(cachet2) == (2, ["/api/version", "/api/v1/ping"])


def test_it_is_remembered_for_the_run(serve: Serve):
    with serving() as server:
        reader = CachetReader(CachetSettings(base_url=server.url))
        reader.read(["metrics"])
        reader.read(["components"])
        pings = server.paths["/api/v1/ping"] + server.paths["/api/version"]

    assert pings == 2


@pytest.mark.parametrize("pasted", ["", "/", "/api", "/api/v1", "/api/v1/"])
def test_any_pasted_address_of_the_page_will_do(pasted):
    with serving() as server:
        reader = CachetReader(CachetSettings(base_url=server.url + pasted))
        reads = reader.read(["versions"])

    assert reads["versions"].rows["versions"][0]["api_version"] == 2


def test_the_setting_overrides_it(serve: Serve):
    with serving() as cachet2:
        assert detected(cachet2, api_version="2") == (2, ["/api/v1/ping"])
        assert detected(serve(), api_version="3") == (3, ["/api/version"])
        with pytest.raises(
            NotCachet, match=r"does not answer as Cachet 3 \(/api/version\)\. .*CACHET_API_VERSION"
        ):
            detected(cachet2, api_version="3")
        with pytest.raises(NotCachet, match=r"does not answer as Cachet 2 \(/api/v1/ping\)"):
            detected(serve(), api_version="2")


def test_the_environment_variable_is_the_same_setting():
    with serving() as server:
        settings = CachetSettings(base_url=server.url, api_version="2")
        reader = CachetReader(settings)
        reader.read([])

    assert settings.api_version == "2"
    assert server.request_count == 1


def test_each_gets_its_own_auth_header(serve: Serve):
    cachet3 = serve()
    with serving() as cachet2:
        CachetReader(CachetSettings(base_url=cachet2.url, api_key=TOKEN)).read(["components"])
        CachetReader(CachetSettings(base_url=cachet3.url, api_key=ADMIN)).read(["components"])
        sent2 = [request.headers for request in cachet2.requests if request.path == "/api/v1/components"]
        sent3 = [request.headers for request in cachet3.requests if request.path == "/api/components"]

    assert [(h.get("x-cachet-token"), h.get("authorization")) for h in sent2] == [(TOKEN, None)] * len(sent2)
    assert [(h.get("x-cachet-token"), h.get("authorization")) for h in sent3] == [
        (None, f"Bearer {ADMIN}")
    ] * len(sent3)
    assert sent2
    assert sent3


def always(status: int, kind: bytes, body: bytes) -> Callable[[App], App]:
    """Return a middleware that gives one answer to everything."""

    def wrap(app: App) -> App:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await respond(send, status, body, kind, [], head=False)

        return answer

    return wrap


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, b"text/html", b"<html>hello</html>"),
        (404, b"text/html", b"<html>not here</html>"),
        (200, b"application/json", b'{"data": {"hello": 1}}'),
        (200, b"application/json", b"[]"),
        (404, b"application/json", b'{"message": "Nothing here."}'),
    ],
)
def test_a_server_that_answers_as_neither_is_told_what_was_tried(status, kind, body):
    with DemoServer(World(), middleware=[always(status, kind, body)]) as server:
        with pytest.raises(NotCachet) as caught:
            detected(server)
        asked = server.request_count

    said = str(caught.value)
    assert f"{server.url} does not answer as Cachet 3 (/api/version) or Cachet 2 (/api/v1/ping)" in said
    assert "CACHET_BASE_URL" in said
    assert asked <= 3
