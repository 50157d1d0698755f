"""Spends what the server's rate limit grants before sending, so that no request is sent to be refused.

Cachet counts requests in a fixed window that starts at the first one, and names in each answer what is left. A single
request therefore opens a window. Its answer tells the grant, which is then reserved request by request. The window is
taken to end a whole window after that answer, which is never too early. All event loops that use a client share its
limit.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cachet_dagster.source.errors import Unreachable
from cachet_dagster.source.settings import CachetSettings

from .headers import integer, retry_after

# A window that the server keeps in whole seconds may end this much later than it announced.
_MARGIN = 0.25

# Seconds to wait after a refusal at least, whatever the server announces.
_LEAST_PAUSE = 1.0

# An opener whose answer takes longer than this is not waited for: a server that hangs must not get
# one request after the other, each to its timeout.
_PATIENCE = 1.0

# Seconds between two checks whether an opener was answered, which may be in another event loop.
_POLL_INTERVAL = 0.02


@dataclass
class _Window:
    """What is known of the server's window of one bucket.

    Attributes:
        number: Counts the windows.
        left: Requests that may still be sent in it.
        ends: When it ends (`time.monotonic()` seconds).
        remaining: The least that answers have named as left of it.
        in_flight: Requests sent and not yet answered.
        opener_sent: When the request was sent that is to open the next window; None where none is under way.
    """

    number: int = 0
    left: float = 0.0
    ends: float = -math.inf
    remaining: float = math.inf
    in_flight: int = 0
    opener_sent: float | None = None

    def open(self, left: float, ends: float, remaining: float = math.inf) -> None:
        self.number += 1
        self.left, self.ends, self.remaining = left, ends, remaining


@dataclass(frozen=True)
class Reservation:
    """One request that may be sent.

    Attributes:
        number: The window's number when the request was reserved.
        new_from: An answer that names so many requests as left, or more, is of a window that is new to the server.
    """

    window: _Window = field(repr=False)
    number: int
    new_from: float


@dataclass(frozen=True)
class _Wait:
    """Seconds to wait for the server's limit, for the user's cap or for an opener's answer, and how to say so."""

    seconds: float
    announcement: str = ""
    error: str = "the server did not answer the requests before this one"
    remedy: str = "Check the server and the network, then run again."


class RateLimit:
    """The requests that may be sent now, by bucket: Cachet counts `subscribers` per user, all else per address.

    Args:
        settings: The length of the server's window, the user's own cap for all buckets, and the longest wait.
        log: Called with what is waited for and for how long.
    """

    def __init__(self, settings: CachetSettings, log: Callable[[str], None]):
        self._window_seconds = settings.rate_window
        self._max_wait = settings.max_wait
        cap = settings.requests_per_minute
        self._cap = max(1, int(cap * settings.rate_window / 60)) if cap else None
        self._sent: deque[float] = deque(maxlen=self._cap or 0)
        self._log = log
        self._quiet_until = -math.inf
        self._limit: int | None = None
        self._windows = {"api": _Window(), "subscribers": _Window()}
        self._lock = threading.Lock()

    @property
    def granted_per_minute(self) -> int | None:
        """Requests a minute that the server grants and the user's cap allows; None where neither is known."""
        known = [limit for limit in (self._limit, self._cap) if limit is not None]
        return max(1, int(min(known) * 60 / self._window_seconds)) if known else None

    async def acquire(self, bucket: str, deadline: float, endpoint: str) -> Reservation:
        """Wait until one request may be sent, and return its reservation, to be recorded with the answer.

        Args:
            bucket: What the server counts the request for.
            deadline: `time.monotonic()` seconds after which waiting is given up.
            endpoint: The endpoint that an error names.

        Raises:
            Unreachable: The request could only be sent after the deadline.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                found = self._reserve(self._windows[bucket], now)
            if isinstance(found, Reservation):
                return found
            if now + found.seconds > deadline:
                raise Unreachable(
                    f"{found.error}, and a request may wait {self._max_wait:g} s", found.remedy, endpoint
                )
            if found.announcement and now >= self._quiet_until:
                self._quiet_until = now + max(found.seconds, self._window_seconds / 2)
                self._log(found.announcement)
            await asyncio.sleep(min(found.seconds, 1.0))

    def _reserve(self, window: _Window, now: float) -> Reservation | _Wait:
        opens = now >= window.ends
        if opens and window.opener_sent is not None and now < window.opener_sent + _PATIENCE:
            return _Wait(_POLL_INTERVAL)
        if not opens and window.left < 1:
            seconds = window.ends - now
            limit = f" ({self._limit} requests a window)" if self._limit else ""
            return _Wait(
                seconds,
                f"waiting {math.ceil(seconds)} s for Cachet's rate limit{limit}",
                f"the server's rate limit grants nothing for {seconds:.0f} s",
                "Run again later, or set {max_wait} to more seconds.",
            )
        if self._cap and len(self._sent) == self._cap and now < self._sent[0] + self._window_seconds:
            seconds = self._sent[0] + self._window_seconds - now
            return _Wait(
                seconds,
                f"waiting {math.ceil(seconds)} s for the cap on requests a minute",
                f"{{requests_per_minute}} allows nothing for {seconds:.0f} s",
                "Set it to more requests, or {max_wait} to more seconds.",
            )
        self._sent.append(now)
        window.in_flight += 1
        if opens:
            window.opener_sent = window.opener_sent or now
            return Reservation(window, window.number, -math.inf)
        window.left -= 1
        return Reservation(window, window.number, window.remaining)

    def record(self, reservation: Reservation, headers: Mapping[str, str] | None, status: int) -> None:
        """Learn from the answer to a reserved request, or from its absence.

        Args:
            reservation: What `acquire` returned.
            headers: The answer's headers; None where no answer came, which leaves the request spent.
            status: The answer's status; 0 where no answer came.
        """
        window, now = reservation.window, time.monotonic()
        with self._lock:
            window.in_flight -= 1
            if reservation.new_from == -math.inf:
                window.opener_sent = None
            if headers is None:
                return
            if status == 429:
                pause = retry_after(headers)
                pause = self._window_seconds if pause is None else pause + _MARGIN
                window.open(0, now + max(pause, _LEAST_PAUSE))
            elif reservation.number == window.number:
                self._learn(reservation, headers, now)

    def _learn(self, reservation: Reservation, headers: Mapping[str, str], now: float) -> None:
        window, ends = reservation.window, now + self._window_seconds
        remaining = integer(headers, "X-RateLimit-Remaining")
        if remaining is None:
            # A server without a limit labels nothing.
            if now >= window.ends:
                window.open(math.inf, ends)
            return
        self._limit = integer(headers, "X-RateLimit-Limit")
        # As much as before the request was sent, which lessens it: the server's window ended in between. (Answers
        # overtake each other, so one that names more than the last proves nothing.)
        if remaining >= reservation.new_from:
            window.open(remaining - window.in_flight, ends, remaining)
        else:
            window.left = min(window.left, remaining)
            window.remaining = min(window.remaining, remaining)
