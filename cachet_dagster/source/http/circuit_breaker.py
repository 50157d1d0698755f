"""A circuit breaker: a server that answers nothing gets few requests, and is noticed when it is back.

After a number of requests in a row without any answer the circuit opens, and requests wait instead of being sent.
Now and then one goes through as a probe (half-open); its answer closes the circuit, and all go on. A probe's
failure counts for nobody: an outage shorter than the bound costs no request its attempts. After the bound, waiting
requests fail at once, and so do later ones, but for a probe each pause.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from enum import Enum

THRESHOLD = 8
"""Requests in a row without any answer that open the circuit."""

MAX_PAUSE = 30.0
"""Seconds between two probes at most; the first pause doubles until then."""

# Seconds between two looks at whether a probe has come back, which may be in another event loop.
_POLL_INTERVAL = 0.1


class Permit(Enum):
    """What a request may do: be sent as any other, be sent as the probe, or not be sent."""

    SEND = "send"
    PROBE = "probe"
    REFUSE = "refuse"


class CircuitBreaker:
    """The circuit to one server, shared by all its requests, in whichever event loop each of them runs.

    Args:
        first_pause: Seconds after which the first probe is sent.
        max_outage: Seconds without any answer after which requests fail instead of waiting.
        log: Called when the circuit opens.
    """

    def __init__(self, first_pause: float, max_outage: float, log: Callable[[str], None]):
        self._log = log
        self._first_pause = first_pause
        self._max_outage = max_outage
        self._lock = threading.Lock()
        self._unanswered = 0
        self._since = math.inf
        self._pause = first_pause
        self._next_probe = math.inf
        self._probing = False

    @property
    def unanswered(self) -> int:
        """Requests in a row that were not answered."""
        return self._unanswered

    @property
    def is_open(self) -> bool:
        """Whether requests wait."""
        return self._unanswered >= THRESHOLD

    async def acquire(self, deadline: float) -> Permit:
        """Wait until a request may be sent, but not beyond `deadline` (`time.monotonic()` seconds)."""
        while True:
            with self._lock:
                now = time.monotonic()
                if self._unanswered < THRESHOLD:
                    return Permit.SEND
                if now >= self._next_probe and not self._probing:
                    self._probing = True
                    return Permit.PROBE
                given_up = now - self._since >= self._max_outage
                pause = _POLL_INTERVAL if self._probing else self._next_probe - now
            if given_up or now + pause > deadline:
                return Permit.REFUSE
            # No longer than that, since an answer to a request sent before may close the circuit.
            await asyncio.sleep(min(max(pause, 0.001), _POLL_INTERVAL))

    def record(self, permit: Permit, *, answered: bool) -> None:
        """Learn whether a request that had a permit was answered, by whatever status."""
        with self._lock:
            now = time.monotonic()
            if permit is Permit.PROBE:
                self._probing = False
            if answered:
                self._unanswered, self._since, self._pause = 0, math.inf, self._first_pause
                self._next_probe = math.inf
                return
            self._unanswered += 1
            self._since = min(self._since, now)
            opens = self._unanswered == THRESHOLD
            if opens or permit is Permit.PROBE:
                self._next_probe = now + self._pause
                self._pause = min(2 * self._pause, MAX_PAUSE)
        if opens:
            self._log(
                f"no answer to {THRESHOLD} requests in a row: one is sent now and then to see whether the server is "
                f"back, for up to {self._max_outage:g} s"
            )

    def release(self, permit: Permit) -> None:
        """Give a permit back unused, or that of a request that was cancelled."""
        with self._lock:
            if permit is Permit.PROBE:
                self._probing = False
