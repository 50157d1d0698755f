"""What the server's rate limit grants, spent before sending, so that no request is sent to be refused.

Cachet counts requests in a fixed window that starts at the first one, and says after each answer what is
left. A window is therefore opened with a single request; its answer tells the grant, which is reserved
request by request. Where the end of a window is unknown it is taken as the first answer seen plus a
whole window, which is never too early. All readers of a bucket pause and go on together.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

# A window that the server keeps in whole seconds may end this much later than it said.
MARGIN = 0.25


class Reservation(NamedTuple):
    """One request that may be sent; `opens` where its answer will tell what the window grants."""

    opens: bool


class RateBudget:
    """The budget of one bucket of requests.

    Args:
        window: Seconds of the server's window.
        cap: Requests a window that may be sent at most, whatever is granted; None for no cap.
        say: Told once a pause, in words, what is waited for and for how long.
    """

    def __init__(self, window: float, cap: int | None, say: Callable[[str], None]):
        self._window = window
        self._cap = cap
        self._say = say
        self._left = 0.0
        self._ends = -math.inf
        self._opener_out = False
        self._out = 0
        self.limit: int | None = None
        self._announced = -math.inf
        self._changed = asyncio.Event()

    def bind(self) -> None:
        """Make the budget usable in the running event loop; what was learned is kept."""
        self._changed = asyncio.Event()
        self._opener_out = False
        self._out = 0

    async def reserve(self, deadline: float) -> Reservation | None:
        """Wait until one request may be sent, and reserve it.

        Args:
            deadline: `time.monotonic()` seconds after which waiting is given up.

        Returns:
            The reservation, to be settled with the answer; None where it could only come after the deadline.
        """
        while True:
            now = time.monotonic()
            if now >= self._ends:
                if not self._opener_out:
                    self._opener_out = True
                    self._out += 1
                    return Reservation(opens=True)
                # The opener's answer is bounded by the request timeout: this wait needs no bound of its own.
                await self._wait_for_change(None)
            elif self._left >= 1:
                self._left -= 1
                self._out += 1
                return Reservation(opens=False)
            else:
                pause = self._ends - now
                if self._ends > deadline:
                    return None
                self._announce(pause)
                await self._wait_for_change(pause)

    def settle(self, reservation: Reservation, headers: Mapping[str, str] | None, status: int) -> None:
        """Learn from the answer to a reserved request, or from its absence.

        Args:
            reservation: What `reserve` gave.
            headers: The answer's headers; None where no answer came, which leaves the request spent.
            status: The answer's status; 0 where no answer came.
        """
        now = time.monotonic()
        self._out -= 1
        remaining = _integer(headers, "X-RateLimit-Remaining")
        if status == 429:
            self._left, self._ends = 0, now + _pause(headers, self._window)
        elif remaining is not None:
            self.limit = _integer(headers, "X-RateLimit-Limit")
            self._grant(reservation, remaining, now)
        elif status == 401:
            # Neither counted nor labelled by the server: an opener leaves the window unopened.
            if not reservation.opens:
                self._left += 1
        elif headers is not None and reservation.opens:
            # A server without a limit labels nothing; only the cap counts then.
            self._left = math.inf if self._cap is None else self._cap - 1
            self._ends = now + self._window
        if reservation.opens:
            self._opener_out = False
        self._changed.set()
        self._changed = asyncio.Event()

    def _grant(self, reservation: Reservation, remaining: int, now: float) -> None:
        cap = math.inf if self._cap is None else self._cap - 1
        if reservation.opens:
            self._left, self._ends = min(remaining, cap), now + self._window
        elif remaining > self._left + self._out:
            # More than could be left of our window: somebody else had opened the server's, and it ended first.
            self._left, self._ends = min(remaining - self._out, cap), now + self._window
        else:
            self._left = min(self._left, remaining)

    async def _wait_for_change(self, seconds: float | None) -> None:
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def _announce(self, pause: float) -> None:
        if self._announced == self._ends:
            return
        self._announced = self._ends
        limit = f" ({self.limit} requests a window)" if self.limit else ""
        self._say(f"waiting {pause:.0f} s for Cachet's rate limit{limit}")


def _pause(headers: Mapping[str, str] | None, window: float) -> float:
    """Seconds until the window ends, as a 429 tells it; a whole window where it does not."""
    retry_after = _integer(headers, "Retry-After")
    if retry_after is not None and retry_after >= 0:
        return retry_after + MARGIN
    reset = _integer(headers, "X-RateLimit-Reset")
    if reset is not None:
        return max(0.0, reset - time.time()) + MARGIN
    return window


def _integer(headers: Mapping[str, str] | None, name: str) -> int | None:
    try:
        return int((headers or {}).get(name, ""))
    except ValueError:
        return None
