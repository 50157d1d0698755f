"""A page that changes while it is read: each request finds something added or altered since the one before.

It begins as the recorded world, so that what it ends as can be compared cell by cell. What changes is what people and
machines change on a living page: incidents, updates, components, points.
"""

from __future__ import annotations

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.answers import App, Receive, Scope, Send
from cachet_dagster.demo.world import text
from cachet_dagster_tests import recordings
from cachet_dagster_tests.conftest import serve_recorded
from cachet_dagster_tests.truth import RECORDED_AT


class ChangingPage:
    """The recorded world, which something happens to before each request is answered.

    Attributes:
        world: Its rows as they are now.
        changes: How many there have been.
        changing: Whether requests change anything; set it to False and the page stands still.
    """

    def __init__(self) -> None:
        self.world = World(recordings.world("v3"))
        self.changes = 0
        self.changing = True

    def server(self) -> DemoServer:
        """Return a server of it, not started, with the recorded clock and admin."""
        return serve_recorded(self.world, middleware=[self._changed_by_each_request])

    def change(self) -> None:
        """Let one thing happen."""
        happen = (self._incident, self._point, self._update, self._component)
        happen[self.changes % len(happen)]()
        self.changes += 1

    def _changed_by_each_request(self, app: App) -> App:
        async def changed(scope: Scope, receive: Receive, send: Send) -> None:
            if self.changing:
                self.change()
            await app(scope, receive, send)

        return changed

    def _incident(self) -> None:
        components = {1: 2, 2: None}
        self.world.post_incident(f"Change {self.changes}", at=RECORDED_AT, components=components)

    def _point(self) -> None:
        at = text(RECORDED_AT)
        self.world.add("metric_points", metric_id=1, value=float(self.changes), created_at=at, updated_at=at)

    def _update(self) -> None:
        newest = self.world.ids("incidents")[-1]
        self.world.post_update(newest, 2, f"Change {self.changes}", at=RECORDED_AT)

    def _component(self) -> None:
        self.world.update("components", 1, description=f"Change {self.changes}", updated_at=text(RECORDED_AT))
