"""Names are resolved beside the event loop: whoever gives up does not wait for a resolver that hangs."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import CachetSettings
from cachet_dagster.source.changes import Poll
from cachet_dagster.source.errors import Unreachable


class SlowResolver:
    """The system's resolver, when its name servers are silent: it blocks its thread until `released`."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.calls = 0
        self.returned = 0

    def __call__(self, *args: Any, **options: Any) -> list[Any]:
        self.calls += 1
        self.released.wait(60)
        self.returned += 1
        return socket.getaddrinfo(*args, **options)


def test_a_poll_ends_within_its_bound_while_the_resolver_hangs() -> None:
    resolver = SlowResolver()
    settings = CachetSettings(base_url="http://localhost:9", connect_timeout=5)
    try:
        with pytest.raises(Unreachable) as raised:
            Poll(settings, seconds=0.5, getaddrinfo=resolver).newest()

        assert resolver.calls
        assert resolver.returned == 0, "it was waited for"
        assert raised.value.retryable
    finally:
        resolver.released.set()


def test_a_process_ends_while_the_resolver_hangs() -> None:
    code = """
import threading
from cachet_dagster.source import CachetSettings
from cachet_dagster.source.changes import Poll
def hangs(*args, **options):
    threading.Event().wait()
try:
    Poll(CachetSettings(base_url="http://localhost:9"), seconds=0.3, getaddrinfo=hangs).newest()
except Exception as error:
    print(type(error).__name__)
"""

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (0, "Unreachable\n"), done.stderr


def test_a_resolver_that_fails_is_named_and_one_that_is_slow_is_waited_for() -> None:
    def fails(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def slow(*args: Any, **options: Any) -> list[Any]:
        threading.Event().wait(0.2)
        return socket.getaddrinfo(*args, **options)

    with DemoServer(World.generate(components=2)) as demo:
        settings = CachetSettings(base_url=f"http://localhost:{demo.port}", retry_delay=0.01)

        with pytest.raises(Unreachable, match="there is no host localhost"):
            Poll(settings, getaddrinfo=fails).newest()
        newest, _ = Poll(settings, getaddrinfo=slow).newest()

    assert newest["components"].digests.keys() == {1, 2}
