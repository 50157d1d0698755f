"""Cachet's rate limit: a fixed window per bucket that starts at its first request.

Laravel's limiter as the dataset `throttle` shows it. The decision that matters: time is real time here, not the
server's clock, so that a server whose clock stands still for a test still opens its next window; a test of the
texts gives a clock of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Throttle:
    """Counts requests per bucket and says no beyond `limit` per `window` seconds.

    `limit` None lets everything pass and sends no headers. `clock` returns epoch seconds.
    """

    def __init__(
        self, limit: int | None, window: float = 60.0, clock: Callable[[], float] = time.time
    ) -> None:
        self.limit = limit
        self.window = window
        self.clock = clock
        self.rejected = 0
        self._buckets: dict[str, tuple[float, int]] = {}

    def reset(self) -> None:
        """Forget all windows, as if the server's cache had been cleared."""
        self._buckets.clear()
        self.rejected = 0

    def take(self, bucket: str) -> tuple[bool, list[tuple[bytes, bytes]]]:
        """Count one request of a bucket; return whether it may pass and the headers of its answer.

        `Retry-After` is in whole seconds and `X-RateLimit-Reset` in epoch seconds, both rounded up, so that who
        keeps to them is let in.
        """
        if self.limit is None:
            return True, []
        now = self.clock()
        started, used = self._buckets.get(bucket, (now, 0))
        if now >= started + self.window:
            started, used = now, 0
        allowed = used < self.limit
        if allowed:
            used += 1
        else:
            self.rejected += 1
        self._buckets[bucket] = (started, used)
        headers = [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % (self.limit - used)),
        ]
        if not allowed:
            end = started + self.window
            headers += [
                (b"retry-after", b"%d" % max(1, math.ceil(round(end - now, 6)))),
                (b"x-ratelimit-reset", b"%d" % math.ceil(round(end, 6))),
            ]
        return allowed, headers
