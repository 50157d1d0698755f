"""Nothing hangs, nothing leaks: every wait is bounded by a setting, and what is given up is given back."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Coroutine
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, TypeVar

import pytest

from cachet_dagster.demo import DemoServer
from cachet_dagster.source import CachetError
from cachet_dagster.source.errors import Unreachable
from cachet_dagster.source.http.client import CachetClient
from cachet_dagster.source.points.read import read_points
from cachet_dagster.source.reader import CachetReader

from .loading import settings
from .server import Exchange, FaultServer, bomb, drips, first, is_silent, says, well

T = TypeVar("T")

SOON = 20.0
"""Seconds: more than any bound that is set here takes on a crowded machine, and less than what it bounds."""


def timed(work: Coroutine[Any, Any, T]) -> tuple[float, T]:
    began = time.monotonic()
    result = asyncio.run(work)
    return time.monotonic() - began, result


async def failure(client: CachetClient, path: str = "components", **other: Any) -> str:
    """Return what one request's failure says."""
    async with client:
        with pytest.raises(CachetError) as raised:
            await client.get(path, endpoint="components", **other)
    return str(raised.value)


def test_max_wait_bounds_a_request_in_all_whatever_the_other_settings(server: FaultServer) -> None:
    server.misbehave(is_silent, "*")
    client = CachetClient(settings(server.url, timeout=0.4, attempts=1000, max_wait=1.0))

    took, said = timed(failure(client))

    assert 0.7 < took < SOON
    assert "no whole answer within" in said


def test_a_timeout_longer_than_max_wait_is_cut_to_it(server: FaultServer) -> None:
    server.misbehave(drips, "*")
    client = CachetClient(settings(server.url, timeout=60, attempts=1000, max_wait=0.5))

    took, said = timed(failure(client))

    assert took < SOON
    assert "set CACHET_MAX_WAIT to more seconds" in said


def test_redirects_share_one_timeout(server: FaultServer) -> None:
    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(0.2)
        await exchange.answer(302, b"", headers=[("Location", exchange.seen.target)])

    server.misbehave(slowly, "*")
    client = CachetClient(settings(server.url, timeout=0.3, attempts=1))

    said = asyncio.run(failure(client))

    assert "no whole answer within 0.3 s" in said


@pytest.mark.parametrize(
    "later", ["99999", "9" * 400, format_datetime(datetime(2090, 1, 1, tzinfo=timezone.utc))]
)
def test_a_rate_limit_beyond_max_wait_is_an_error_at_once(later: str, server: FaultServer) -> None:
    server.misbehave(says(429, {}, Retry_After=later), "*")
    client = CachetClient(settings(server.url, max_wait=30))

    took, said = timed(failure(client))

    assert took < SOON
    assert server.asked("/api/components") == 1
    assert "the server's rate limit grants nothing for" in said
    assert "and a request may wait 30 s" in said
    assert said.endswith("Run again later, or set CACHET_MAX_WAIT to more seconds.")


def test_a_date_to_wait_for_is_read_by_the_servers_clock(server: FaultServer) -> None:
    # This server's clock is a year behind: it means one second from now.
    there = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=365)
    until = format_datetime(there + timedelta(seconds=1), usegmt=True)
    server.misbehave(
        first(1, says(429, {}, Retry_After=until, Date=format_datetime(there, usegmt=True))), "*"
    )

    async def ask() -> None:
        async with CachetClient(settings(server.url)) as client:
            await client.get("components", endpoint="components")

    took, _ = timed(ask())

    assert took >= 1


def test_a_server_that_refuses_for_ever_and_says_at_once_is_not_flooded(server: FaultServer) -> None:
    server.misbehave(says(429, {}, Retry_After="0"), "*")
    client = CachetClient(settings(server.url, max_wait=4.0, rate_window=60))

    took, _ = timed(failure(client))

    assert took < SOON
    assert server.asked("/api/components") <= 6


def test_a_server_that_hangs_is_not_asked_one_request_after_the_other(server: FaultServer) -> None:
    server.misbehave(is_silent, "*")
    client = CachetClient(settings(server.url, timeout=3, attempts=1, max_wait=40, connections=8))

    async def ask() -> list[Any]:
        async with client:
            return await asyncio.gather(
                *(client.get(f"incidents/{n}", endpoint="incidents") for n in range(8)),
                return_exceptions=True,
            )

    took, errors = timed(ask())

    assert all(isinstance(error, Unreachable) for error in errors)
    assert took < SOON, "each would wait for the one before it"


def test_a_thousand_metrics_of_a_dead_server_are_given_up_together(server: FaultServer) -> None:
    async def dies(exchange: Exchange) -> None:
        await (well if exchange.seen.path in ("/api/version", "/api/subscribers") else is_silent)(exchange)

    server.misbehave(dies, "*")
    reader = CachetReader(settings(server.url, timeout=0.1))

    steps = [step for batch in read_points(reader, range(1, 1001), {}) for step in batch]

    assert len(steps) == 1000
    assert all(isinstance(step.error, Unreachable) for step in steps)
    assert len(server.requests) < 300
    assert any("not sent, since" in str(step.error) for step in steps)


def test_one_failure_cancels_the_requests_that_it_makes_useless(
    server: FaultServer, demo: DemoServer
) -> None:
    async def fails_at_page_2(exchange: Exchange) -> None:
        if exchange.page == 2:
            await exchange.answer(400, b'{"message": "no"}')
        elif exchange.page == 1 and not exchange.descending:
            await asyncio.sleep(0.3)
            await well(exchange)
        else:
            await well(exchange)

    server.misbehave(fails_at_page_2, "/api/incidents")
    reader = CachetReader(settings(server.url, attempts=50, max_wait=30))

    began = time.monotonic()
    read = reader.read(["incidents"])["incidents"]

    assert read.error is not None
    assert time.monotonic() - began < SOON
    asked = len(server.requests)
    time.sleep(0.3)
    assert len(server.requests) == asked


def test_a_cancelled_request_gives_back_what_it_reserved(server: FaultServer) -> None:
    server.misbehave(is_silent, "/api/components")
    client = CachetClient(settings(server.url, timeout=30, max_wait=60))

    async def ask() -> float:
        async with client:
            waiting = [
                asyncio.ensure_future(client.get("components", endpoint="components")) for _ in range(12)
            ]
            await asyncio.sleep(0.1)
            for one in waiting:
                one.cancel()
            assert all(
                isinstance(one, asyncio.CancelledError)
                for one in await asyncio.gather(*waiting, return_exceptions=True)
            )
            began = time.monotonic()
            await client.get("metrics", endpoint="metrics")
            return time.monotonic() - began

    assert asyncio.run(ask()) < SOON


def test_one_client_serves_loops_in_turn_and_at_once(server: FaultServer) -> None:
    client = CachetClient(settings(server.url, timeout=5, connect_timeout=5))
    errors: list[BaseException] = []

    async def ask(times: int) -> None:
        async with client:
            for _ in range(times):
                await asyncio.gather(*(client.get("components", endpoint="components") for _ in range(4)))

    def work() -> None:
        try:
            asyncio.run(ask(4))
        except Exception as error:  # noqa: BLE001 - the test asserts that there is none
            errors.append(error)

    asyncio.run(ask(1))
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    asyncio.run(ask(1))

    assert errors == []
    assert client.request_count == len(server.requests) == 4 + 3 * 16 + 4


def test_loops_at_once_share_the_rate_limit_without_a_refusal() -> None:
    from .conftest import a_world

    with DemoServer(a_world(), rate_limit=10, rate_window=1.0) as demo:
        client = CachetClient(settings(demo.url, rate_window=1.0, timeout=5, max_wait=20))

        async def ask() -> None:
            async with client:
                await asyncio.gather(*(client.get("components", endpoint="components") for _ in range(12)))

        threads = [threading.Thread(target=asyncio.run, args=(ask(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert demo.request_count == 24
        assert demo.throttle.rejected == 0


def test_a_bomb_takes_no_more_memory_than_the_cap(server: FaultServer) -> None:
    cap = 1_000_000
    server.misbehave(bomb(200 * cap), "*")
    client = CachetClient(settings(server.url, max_body=cap, timeout=10))
    tracemalloc.start()
    try:
        said = asyncio.run(failure(client))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "an answer is larger than 1,000,000 bytes" in said
    assert peak < 8 * cap


def test_a_failed_load_leaves_no_warning_task_thread_or_socket(server: FaultServer) -> None:
    code = f"""
import gc, threading
from cachet_dagster.source.reader import CachetReader
from cachet_dagster.source.settings import CachetSettings
how = CachetSettings(base_url={server.url!r}, timeout=0.3, attempts=2, retry_delay=0.01)
reads = CachetReader(how).read(["components", "incidents", "metrics"])
assert reads["components"].error and reads["incidents"].error and not reads["metrics"].error
gc.collect()
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
"""
    server.misbehave(drips, "/api/components", "/api/incidents")

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    left = re.compile("ResourceWarning|RuntimeWarning|Task was destroyed|never (awaited|retrieved)|Unclosed")
    assert [line for line in done.stderr.splitlines() if left.search(line)] == []
