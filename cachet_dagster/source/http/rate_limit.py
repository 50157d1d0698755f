"""What the server's rate limit grants, spent before sending, so that no request is sent to be refused.

Cachet counts requests in a fixed window that starts at the first one, and names in each answer what is
left. A window is therefore opened with a single request; its answer tells the grant, which is reserved
request by request. Where the end of a window is unknown it is taken as the first answer seen plus a
whole window, which is never too early. All readers of a bucket pause and go on together, in whichever
event loop each of them runs. A cap of the user's own is one for all buckets.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

# A window that the server keeps in whole seconds may end this much later than it announced.
MARGIN = 0.25

# An opener whose answer takes longer than this is not waited for: a server that hangs must not get
# one request after the other, each to its timeout.
PATIENCE = 1.0

# A server that names astronomical numbers of seconds to wait means "never"; floats hold this one.
_NEVER = 10**9


class Reservation(NamedTuple):
    """One request that may be sent.

    Attributes:
        opens: Whether its answer will tell what a window grants.
        window: The window that it was reserved in, counted from 0.
        remaining: The least that answers had named as left of it by then.
    """

    opens: bool
    window: int
    remaining: float


class _Wait(NamedTuple):
    """Seconds after which to look again, when a request may be sent at the earliest, and what to log."""

    seconds: float
    granted_at: float
    announcement: str = ""


class RequestCap:
    """At most so many requests in any stretch of a window's length, whichever bucket they count for.

    Args:
        requests: How many.
        window: Seconds of the window.
    """

    def __init__(self, requests: int, window: float):
        self.requests = requests
        self._window = window
        self._sent: deque[float] = deque(maxlen=requests)
        self._lock = threading.Lock()
        self._announced = -math.inf

    @property
    def opens_in(self) -> float:
        """Seconds until a request may be sent; 0 where one may be sent now."""
        with self._lock:
            return self._opens_in(time.monotonic())

    def take(self, now: float) -> float:
        """Take one request and return 0; where none is left, return the seconds until one is."""
        with self._lock:
            pause = self._opens_in(now)
            if not pause:
                self._sent.append(now)
            return pause

    def announcement(self, pause: float, now: float) -> str:
        """Return what to log about a pause, once a window; else nothing."""
        with self._lock:
            if now - self._announced < self._window:
                return ""
            self._announced = now
            return f"waiting {math.ceil(pause)} s for the cap on requests a minute"

    def _opens_in(self, now: float) -> float:
        full = len(self._sent) == self.requests
        return max(0.0, self._sent[0] + self._window - now) if full else 0.0


class RateLimiter:
    """The budget of one bucket of requests.

    Args:
        window: Seconds of the server's window.
        cap: The user's own cap, shared by all buckets; None for none.
        log: Called once a pause, with what is waited for and for how long.
    """

    def __init__(self, window: float, cap: RequestCap | None, log: Callable[[str], None]):
        self._window = window
        self._cap = cap
        self._log = log
        self._left = 0.0
        self._ends = -math.inf
        self._openers = 0
        self._opener_sent = -math.inf
        self._in_flight = 0
        self._number = 0
        self._remaining = math.inf
        self._refused = 0
        self.limit: int | None = None
        self._announced = -math.inf
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def opens_in(self) -> float:
        """Seconds until the server grants a request; 0 where it does now."""
        return max(0.0, self._ends - time.monotonic()) if self._left < 1 else 0.0

    async def acquire(self, deadline: float) -> Reservation | None:
        """Wait until one request may be sent, and reserve it.

        Args:
            deadline: `time.monotonic()` seconds after which waiting is given up.

        Returns:
            The reservation, to be recorded with the answer; None where it could only come after the deadline.
        """
        while True:
            with self._lock:
                found = self._reserve(time.monotonic(), deadline)
                if isinstance(found, Reservation):
                    return found
                if found.granted_at > deadline:
                    return None
                changed = asyncio.get_running_loop().create_future()
                self._waiting.add(changed)
            if found.announcement:
                self._log(found.announcement)
            # Not asyncio.wait_for: until Python 3.12 it may swallow a cancellation.
            timer = changed.get_loop().call_later(found.seconds, _wake, changed)
            try:
                await changed
            finally:
                timer.cancel()
                with self._lock:
                    self._waiting.discard(changed)

    def _reserve(self, now: float, deadline: float) -> Reservation | _Wait:
        """Reserve a request, or return how long to wait for one."""
        opens = now >= self._ends
        if opens and self._openers and (patience := self._opener_sent + PATIENCE - now) > 0:
            return _Wait(patience, now)
        if not opens and self._left < 1:
            pause = self._ends - now
            return _Wait(pause, self._ends, self._announcement(pause) if self._ends <= deadline else "")
        if self._cap and (pause := self._cap.take(now)):
            within = now + pause <= deadline
            return _Wait(pause, now + pause, self._cap.announcement(pause, now) if within else "")
        if opens:
            self._opener_sent = self._opener_sent if self._openers else now
            self._openers += 1
        else:
            self._left -= 1
        self._in_flight += 1
        return Reservation(opens, self._number, self._remaining)

    def record(self, reservation: Reservation, headers: Mapping[str, str] | None, status: int) -> None:
        """Learn from the answer to a reserved request, or from its absence.

        Args:
            reservation: What `acquire` returned.
            headers: The answer's headers; None where no answer came, which leaves the request spent.
            status: The answer's status; 0 where no answer came.
        """
        with self._lock:
            self._learn(reservation, headers, status, time.monotonic())
            waiting, self._waiting = self._waiting, set()
        for changed in waiting:
            try:
                changed.get_loop().call_soon_threadsafe(_wake, changed)
            except RuntimeError:
                # Its loop was closed by an interrupt: nobody waits there any more.
                continue

    def _learn(
        self, reservation: Reservation, headers: Mapping[str, str] | None, status: int, now: float
    ) -> None:
        self._in_flight -= 1
        remaining = _integer(headers, "X-RateLimit-Remaining")
        # Another opener may have been quicker.
        opens = reservation.opens and now >= self._ends
        if status == 429:
            # A server that refuses again and again, whatever it announces, gets ever fewer requests.
            self._refused += reservation.opens
            least = min(self._window, MARGIN * 2**self._refused) if self._refused > 1 else 0.0
            self._open(0, now + max(_pause(headers, self._window), least), math.inf)
        else:
            self._refused = 0 if headers is not None else self._refused
            if remaining is not None:
                self.limit = _integer(headers, "X-RateLimit-Limit")
                self._grant(reservation, opens, remaining, now)
            elif status == 401:
                # Neither counted nor labelled by the server: an opener leaves the window unopened.
                if not reservation.opens:
                    self._left += 1
            elif headers is not None and opens:
                # A server without a limit labels nothing.
                self._open(math.inf, now + self._window, math.inf)
        if reservation.opens:
            self._openers -= 1

    def _grant(self, reservation: Reservation, opens: bool, remaining: int, now: float) -> None:
        current = reservation.window == self._number
        # As much as before it was sent, which it was to lessen: somebody else had opened the server's window,
        # and that has ended. (Answers overtake each other, so one that names more than the last proves nothing.)
        if opens or (current and remaining >= reservation.remaining):
            self._open(remaining - self._in_flight, now + self._window, remaining)
        elif current:
            self._left = min(self._left, remaining)
            self._remaining = min(self._remaining, remaining)

    def _open(self, left: float, ends: float, remaining: float) -> None:
        self._number += 1
        self._left, self._ends, self._remaining = left, ends, remaining

    def _announcement(self, pause: float) -> str:
        """Return what to log about a pause, the first time that it is met; else nothing."""
        if self._announced == self._ends:
            return ""
        self._announced = self._ends
        limit = f" ({self.limit} requests a window)" if self.limit else ""
        return f"waiting {math.ceil(pause)} s for Cachet's rate limit{limit}"


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Return the seconds of `Retry-After`, given as a number or as an HTTP date; None where there are none."""
    seconds = _integer(headers, "Retry-After")
    if seconds is not None:
        return float(min(seconds, _NEVER)) if seconds >= 0 else None
    until = _date(headers, "Retry-After")
    if until is None:
        return None
    # The server's own clock, where it tells it, since ours may differ.
    now = _date(headers, "Date") or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds())


def _pause(headers: Mapping[str, str] | None, window: float) -> float:
    """Seconds until the window ends, as a 429 names it; a whole window where it does not."""
    seconds = retry_after(headers)
    if seconds is not None:
        return seconds + MARGIN
    reset = _integer(headers, "X-RateLimit-Reset")
    if reset is not None:
        return max(0.0, min(reset, 10 * _NEVER) - time.time()) + MARGIN
    return window


def _date(headers: Mapping[str, str] | None, name: str) -> datetime | None:
    try:
        at = parsedate_to_datetime((headers or {})[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _integer(headers: Mapping[str, str] | None, name: str) -> int | None:
    try:
        return int((headers or {}).get(name, ""))
    except ValueError:
        return None


def _wake(changed: asyncio.Future[None]) -> None:
    if not changed.done():
        changed.set_result(None)
