"""Waiting one's turn: DuckDB has one writer, and neither it nor dlt waits, so a lock beside the file does.

The lock is `flock` on `<database>.lock`, exclusive for writing and shared for reading. The kernel gives it
back when a process dies, however it dies. It does not work over NFS. Where there is no `fcntl` (Windows)
only DuckDB's own lock is left, for which `DuckDBWarehouse` waits too.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None

_POLL_SECONDS = 0.05


class LockTimeout(Exception):
    """The lock was not free within the bound."""


@contextlib.contextmanager
def locked(
    path: Path, *, exclusive: bool, wait: float, waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock of a file.

    Args:
        path: The file that the lock protects; the lock is a file beside it.
        exclusive: Whether to be alone (to write) or among readers.
        wait: Seconds to wait for it at most.
        waiting: Called once if it is not free at once.

    Raises:
        LockTimeout: It was not free within the bound.
        OSError: The lock file cannot be made.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + wait
        told = False
        while True:
            try:
                fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LockTimeout(path) from None
                if not told:
                    told = True
                    waiting()
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def try_lock(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder itself, if it is free; yields whether it is held. Without `fcntl` it never is.

    Raises:
        OSError: There is no such folder.
    """
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
