"""The daemon of Dagster itself drives the sensors: runs are requested once, and a failure reaches the webhook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.demo.answers import App, Receive, Scope, Send
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.sensors import failure_webhook, posted


def subscribers_fail(app: App) -> App:
    """Answer 500 to a list that the sensors do not look at, in words that give the token away."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/subscribers"):
            await app(scope, receive, send)
            return
        body = json.dumps({"message": f"out of memory (token {DEMO_TOKEN})"}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return failing


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    posts: list[str]

    def do_POST(self):
        self.posts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    posts: list[str] = []
    webhook = ThreadingHTTPServer(("127.0.0.1", 0), type("Hook", (Webhook,), {"posts": posts}))
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    world = World.generate(incidents=3, components=2, metrics=2, points=2, subscribers=1)
    with DemoServer(world, middleware=[subscribers_fail]) as server:
        environment = {
            **os.environ,
            "CACHET_BASE_URL": server.url,
            "CACHET_API_TOKEN": DEMO_TOKEN,
            "CACHET_ATTEMPTS": "1",
            "CACHET_DATABASE": str(folder / "cachet.duckdb"),
            "CACHET_FAILURE_WEBHOOK": f"http://127.0.0.1:{webhook.server_port}/hook",
        }
        done = subprocess.run(
            [sys.executable, "-m", "cachet_dagster_tests.status_page.daemon", str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
    webhook.shutdown()
    assert done.returncode == 0, done.stderr[-3000:]
    return SimpleNamespace(
        **json.loads((folder / "rounds.json").read_text()), posts=posts, log=done.stdout + done.stderr
    )


@pytest.mark.slow
def test_the_first_round_requests_a_sync_and_the_points_of_the_new_metrics(rounds):
    points = rounds.first["cachet_metric_points"]

    assert sorted(rounds.first) == ["cachet_metric_points", "cachet_sync"]
    assert points["dagster/asset_partition_range_start"] == "1"
    assert points["dagster/asset_partition_range_end"] == "2"
    assert rounds.first["cachet_sync"]["cachet/changed"] == "first look"


@pytest.mark.slow
def test_a_round_that_is_repeated_before_the_cursors_were_saved_requests_nothing_again(rounds):
    assert rounds.repeated == {}


@pytest.mark.slow
def test_the_points_follow_a_sync_although_one_of_its_endpoints_failed(rounds):
    assert rounds.ended == "FAILURE"
    assert rounds.after["cachet_all_points"]["dagster/run_key"] == rounds.sync


@pytest.mark.slow
def test_a_failed_run_is_posted_to_the_webhook_once_with_its_reason_and_without_the_token(rounds):
    (posted,) = rounds.posts
    post = json.loads(posted)

    assert (post["job"], post["run_id"]) == ("cachet_sync", rounds.sync)
    assert "subscribers" in post["error"]
    assert post["text"].startswith(f"cachet_sync failed (run {rounds.sync[:8]}): ")
    assert DEMO_TOKEN not in posted
    assert DEMO_TOKEN not in rounds.log


@pytest.mark.parametrize(
    ("values", "status"),
    [({}, "STOPPED"), ({"failure_webhook": "https://hooks.example.com/x"}, "RUNNING")],
)
def test_the_webhook_is_switched_on_only_where_one_is_configured(values, status):
    assert failure_webhook(StatusPage(values=values)).default_status.value == status


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/hook", "refused"),
        ("http://127.0.0.1:notaport/", "port"),
        ("file:///etc/hostname", "not an http or https address"),
    ],
)
def test_a_webhook_that_cannot_be_posted_to_is_said_and_not_raised(url, reason):
    assert reason in posted(url, {"text": "a run failed"})
