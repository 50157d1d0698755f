"""Points that arrive while an embedded Cachet answers, at a set rate: a page that is used while it is read.

A middleware, so that what arrives depends on nothing but the requests and the server's clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from .answers import App, Clock, Receive, Scope, Send, utc_now
from .world import World, instant


class Arrivals:
    """Posts points to a metric before the requests for its points are answered.

    - `per_request`: points before each such request.
    - `every`: one point each time so much has passed on the server's clock; None for none.
    - `age`: how long before the latest point they claim to be, as those of a history that is imported; None for now.

    Each is the metric's threshold later than its latest one, or as much further back than the one before, so that each
    is a row of its own; `posted` counts them.
    """

    def __init__(
        self,
        world: World,
        metric_id: int = 1,
        *,
        per_request: int = 0,
        every: timedelta | None = None,
        age: timedelta | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.world, self.metric_id = world, metric_id
        self.per_request, self.every, self.age = per_request, every, age
        self.posted = 0
        self._clock = clock
        self._due = clock() + (every or timedelta(0))

    def __call__(self, app: App) -> App:
        """Wrap the app of a server."""

        async def arriving(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith(f"/metrics/{self.metric_id}/points"):
                self._post(self.per_request + self._overdue())
            await app(scope, receive, send)

        return arriving

    def _overdue(self) -> int:
        if not self.every:
            return 0
        count = max(0, (self._clock() - self._due) // self.every + 1)
        self._due += count * self.every
        return count

    def _post(self, count: int) -> None:
        with self.world.lock:
            for _ in range(count):
                self.posted += 1
                at, claimed = self._times()
                self.world.post_point(self.metric_id, float(self.posted), at=at, created_at=claimed)

    def _times(self) -> tuple[datetime, datetime | None]:
        """Return when the next one is posted, and the time that it claims where that is another."""
        latest = self.world.latest_point(self.metric_id)
        if latest is None:
            return self._clock(), None
        threshold = (self.world.get("metrics", self.metric_id) or {}).get("threshold")
        apart = timedelta(minutes=threshold or 1)
        newest = instant(latest["created_at"])
        if self.age is None:
            return newest + apart, None
        return self._clock(), newest - self.age - self.posted * apart
