"""What the server's rate limit grants is spent to the end, and nothing beyond it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import time
from typing import Any

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.answers import App, Receive, Scope, Send
from cachet_dagster.source import CachetReader, CachetSettings
from cachet_dagster.source.errors import Unreachable
from cachet_dagster.source.http.rate_limit import RateLimit, Reservation
from cachet_dagster.source.points.read import MetricStep, read_points
from cachet_dagster_tests.conftest import ADMIN, Serve

WINDOW = 1.0


def read_all(
    server: DemoServer, metrics: int, said: list[str] | None = None, **options: Any
) -> list[MetricStep]:
    """Read metrics of one page each: a request for each, and one to find out the API."""
    settings = CachetSettings(base_url=server.url, rate_window=WINDOW, **options)
    reader = CachetReader(settings, log=(said if said is not None else []).append)
    return [step for batch in read_points(reader, range(1, metrics + 1), {}) for step in batch]


def jitter(app: App) -> App:
    """Answer in another order than asked."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_late(message: Any) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(sum(scope["path"].encode()) % 5 * 0.01)
            await send(message)

        await app(scope, receive, send_late)

    return answer


def test_a_load_beyond_the_limit_is_never_refused_and_ends_when_the_limit_lets_it(serve: Serve) -> None:
    server = serve(World.generate(metrics=60, points=5), rate_limit=20, rate_window=WINDOW)
    said: list[str] = []
    began = time.monotonic()

    steps = read_all(server, 60, said)

    assert sorted(step.metric_id for step in steps if not step.error) == list(range(1, 61))
    assert server.throttle.rejected == 0
    assert server.request_count == 61
    # Sixty-one requests at twenty a window: three windows to wait for.
    assert time.monotonic() - began < 3 * WINDOW + 10
    assert said
    assert set(said) == {"waiting 1 s for Cachet's rate limit (20 requests a window)"}


def test_answers_that_overtake_each_other_neither_overdraw_nor_waste_the_limit(serve: Serve) -> None:
    server = serve(
        World.generate(metrics=60, points=5), rate_limit=20, rate_window=WINDOW, middleware=[jitter]
    )
    began = time.monotonic()

    read_all(server, 60)

    assert server.throttle.rejected == 0
    assert server.request_count == 61
    assert time.monotonic() - began < 3 * WINDOW + 10


def test_what_another_client_takes_is_noticed_and_waited_for(serve: Serve) -> None:
    server = serve(World.generate(metrics=30, points=5), rate_limit=20, rate_window=WINDOW)
    other = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(15):
        other.request("GET", "/api/ping")
        other.getresponse().read()
    other.close()

    steps = read_all(server, 30)

    assert not [step for step in steps if step.error]
    assert server.request_count - server.throttle.rejected == 15 + 31
    assert server.throttle.rejected <= 2


def test_a_cap_for_polite_sharing_is_kept_where_the_server_has_no_limit(serve: Serve) -> None:
    server = serve(World.generate(metrics=24, points=5))
    began = time.monotonic()

    read_all(server, 24, requests_per_minute=600)

    # Ten a window of a second.
    assert server.request_count == 25
    assert time.monotonic() - began >= 2 * WINDOW * 0.95


def test_a_cap_is_kept_below_the_server_s_own_limit(serve: Serve) -> None:
    server = serve(World.generate(metrics=24, points=5), rate_limit=100, rate_window=WINDOW)
    began = time.monotonic()

    read_all(server, 24, requests_per_minute=600)

    assert time.monotonic() - began >= 2 * WINDOW * 0.95


def test_a_load_of_both_buckets_stays_below_the_cap(serve: Serve) -> None:
    server = serve(World.generate(components=4, groups=2, subscribers=3))
    names = ["components", "components_groups", "subscribers", "versions"]
    bounds: dict[str, Any] = {"api_key": ADMIN, "rate_window": 60.0, "max_wait": 1.0}

    reads = CachetReader(CachetSettings(base_url=server.url, requests_per_minute=3, **bounds)).read(names)

    assert server.request_count == 3
    (refused,) = [str(read.error) for read in reads.values() if read.error]
    assert "CACHET_REQUESTS_PER_MINUTE allows nothing for" in refused


def rate_limit(**options: Any) -> RateLimit:
    return RateLimit(CachetSettings(base_url="http://cachet.test", rate_window=60, **options), print)


async def reserved(limit: RateLimit, count: int) -> list[Reservation]:
    return [await limit.acquire("api", time.monotonic(), "components") for _ in range(count)]


def granted_at_once(limit: RateLimit, bucket: str = "api") -> int:
    """Return how many requests are still granted without waiting."""

    async def count() -> int:
        granted = 0
        with contextlib.suppress(Unreachable):
            while True:
                await limit.acquire(bucket, time.monotonic(), "components")
                granted += 1
        return granted

    return asyncio.run(count())


def answer(limit: RateLimit, reservation: Reservation, remaining: int) -> None:
    limit.record(reservation, {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": str(remaining)}, 200)


def test_an_answer_that_was_overtaken_does_not_bring_back_what_was_spent() -> None:
    limit = rate_limit()
    (opener,) = asyncio.run(reserved(limit, 1))
    answer(limit, opener, 10)
    first, second, third = asyncio.run(reserved(limit, 3))

    for reservation, remaining in ((third, 7), (second, 8), (first, 9)):
        answer(limit, reservation, remaining)

    assert granted_at_once(limit) == 7


def test_an_answer_with_more_left_than_there_could_be_is_of_a_new_window() -> None:
    limit = rate_limit()
    (opener,) = asyncio.run(reserved(limit, 1))
    answer(limit, opener, 10)
    first, second = asyncio.run(reserved(limit, 2))

    answer(limit, first, 59)
    answer(limit, second, 58)

    assert granted_at_once(limit) == 58


def test_a_cap_is_one_for_all_buckets_and_an_opener_s_answer_is_what_the_window_grants() -> None:
    limit = rate_limit(requests_per_minute=30)
    (opener,) = asyncio.run(reserved(limit, 1))
    answer(limit, opener, 59)

    assert granted_at_once(limit) == 29
    assert granted_at_once(limit, "subscribers") == 0


def test_an_opener_that_fails_lets_the_next_one_open() -> None:
    limit = rate_limit()
    (opener,) = asyncio.run(reserved(limit, 1))
    assert granted_at_once(limit) == 0

    limit.record(opener, None, 0)

    assert granted_at_once(limit) == 1
