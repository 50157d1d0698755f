"""Plain code on one side, an event loop on the other: run a coroutine, or iterate over an async generator.

The loop lives in a thread of its own, so that it also works where the calling thread has a loop already
(a notebook, a Dagster op), and so that reading goes on while the caller writes what it has received.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")

AT_ONCE = 64
"""How many of one list's requests may be waiting or under way."""

_END = object()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return what it returns; an interrupt cancels it."""

    async def only() -> AsyncGenerator[T, None]:
        yield await work

    with contextlib.closing(iterate(only)) as results:
        return next(results)


async def gather_bounded(*work: Coroutine[Any, Any, T], at_once: int = AT_ONCE) -> list[T]:
    """Return what all of them return; where one fails, the others are cancelled rather than left running.

    No more than `at_once` are under way: thousands of tasks that wait for a connection cost more than those
    that have one.
    """
    results: list[Any] = [None] * len(work)
    waiting = iter(enumerate(work))

    async def worker() -> None:
        for at, one in waiting:
            results[at] = await one

    tasks = [asyncio.ensure_future(worker()) for _ in range(min(at_once, len(work)))]
    try:
        await asyncio.gather(*tasks)
        return results
    finally:
        for task in tasks:
            task.cancel()
        for _, one in waiting:
            one.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def iterate(source: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
    """Iterate over an async generator, which runs on while an item is worked on; closing cancels it.

    It runs on to its next item and no further: what waits there is all that waits.

    Args:
        source: Makes the generator, within the loop.
    """
    producer = _Producer(source)
    thread = threading.Thread(target=producer.work, name="cachet", daemon=True)
    thread.start()
    try:
        while True:
            mark, item = producer.next()
            if mark is _END:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        producer.stop()
        thread.join()


class _Producer(Generic[T]):
    """The side of an iteration that has the event loop: it hands over an item when one is wanted."""

    def __init__(self, source: Callable[[], AsyncGenerator[T, None]]):
        self._source = source
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wanted = threading.Semaphore(0)
        self._stopped = threading.Event()
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    def next(self) -> Any:
        """Wait for the next item: no mark and the item, or the end and the error, if there was one."""
        self._wanted.release()
        return self._items.get()

    def stop(self) -> None:
        """Cancel what is under way; nothing is wanted any more."""
        self._stopped.set()
        # Or its thread would wait in vain for what nobody wants any more.
        self._wanted.release()
        loop, producing = self._started.result()
        if producing:
            # It may be waiting for minutes for a rate limit; where it has ended, its loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(producing.cancel)

    def work(self) -> None:
        """Run the generator to its end, in the calling thread."""
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._produce())

    async def _produce(self) -> None:
        self._started.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        end: Any = (_END, None)
        try:
            async with contextlib.aclosing(self._source()) as found:
                async for item in found:
                    await self._hand_over((None, item))
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
            end = (_END, error)
        if not self._stopped.is_set():
            await self._hand_over(end)

    async def _hand_over(self, item: Any) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopped.is_set():
            if await loop.run_in_executor(None, lambda: self._wanted.acquire(timeout=0.2)):
                self._items.put(item)
                return
        raise asyncio.CancelledError
