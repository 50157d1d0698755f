"""Plain code on one side, an event loop on the other: run a coroutine, or iterate over an async generator.

The loop lives in a thread of its own, so that it also works where the calling thread has a loop already
(a notebook, a Dagster op), and so that reading goes on while the caller writes what it was given.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return what it returns."""
    with ThreadPoolExecutor(1, "cachet") as thread:
        return thread.submit(asyncio.run, work).result()


def iterate(source: Callable[[], AsyncIterator[T]], *, ahead: int = 1) -> Iterator[T]:
    """Iterate over an async generator, which runs on while an item is worked on.

    Args:
        source: Makes the generator, within the loop.
        ahead: Items that may wait to be taken before the generator has to.
    """
    items: queue.Queue[Any] = queue.Queue(ahead)
    stopped = threading.Event()

    async def hand_over(item: Any) -> None:
        loop = asyncio.get_running_loop()
        while not stopped.is_set():
            try:
                await loop.run_in_executor(None, lambda: items.put(item, timeout=0.2))
            except queue.Full:
                continue
            return
        raise asyncio.CancelledError

    async def produce() -> None:
        end: Any = (_END, None)
        try:
            async for item in source():
                await hand_over((None, item))
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
            end = (_END, error)
        if not stopped.is_set():
            await hand_over(end)

    def work() -> None:
        try:
            asyncio.run(produce())
        except asyncio.CancelledError:
            return

    thread = threading.Thread(target=work, name="cachet", daemon=True)
    thread.start()
    try:
        while True:
            mark, item = items.get()
            if mark is _END:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        stopped.set()
        thread.join()
