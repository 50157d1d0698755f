"""Between plain code and an event loop: what stops on one side stops on the other, and soon."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator

import pytest

from cachet_dagster.source import event_loop


async def then_waits(ended: threading.Event) -> AsyncGenerator[int, None]:
    """Yield one number, then wait for an hour, as for a rate limit."""
    try:
        yield 1
        await asyncio.sleep(3600)
    finally:
        ended.set()


def test_who_stops_iterating_does_not_wait_for_the_next_item() -> None:
    ended = threading.Event()
    numbers = event_loop.iterate(lambda: then_waits(ended))
    assert next(numbers) == 1
    began = time.monotonic()

    numbers.close()

    assert time.monotonic() - began < 30
    assert ended.is_set()


def test_items_come_in_order_and_an_error_comes_after_them() -> None:
    async def fails() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        raise ZeroDivisionError

    seen: list[int] = []
    with pytest.raises(ZeroDivisionError):
        list(map(seen.append, event_loop.iterate(fails)))

    assert seen == [1, 2]


def test_while_an_item_is_worked_on_the_next_one_is_made_and_no_more() -> None:
    made: list[int] = []

    async def counts() -> AsyncGenerator[int, None]:
        for number in range(9):
            made.append(number)
            yield number

    numbers = event_loop.iterate(counts)
    assert next(numbers) == 0
    time.sleep(0.3)

    numbers.close()

    assert made == [0, 1]


def test_a_coroutine_s_result_and_its_error_are_its_caller_s() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    assert event_loop.run(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        event_loop.run(fails())


def test_a_coroutine_s_end_is_not_waited_for() -> None:
    began = time.monotonic()

    for _ in range(20):
        event_loop.run(asyncio.sleep(0.01))

    assert time.monotonic() - began < 30


def test_where_one_of_several_fails_the_others_are_cancelled() -> None:
    ended = threading.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    async def both() -> None:
        await event_loop.gather_bounded(waits(), fails())

    with pytest.raises(ZeroDivisionError):
        event_loop.run(both())
    assert ended.is_set()
