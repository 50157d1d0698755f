"""How far a load into PostgreSQL is, seen from outside it: in the server's catalog, and in the requests that it sends.

A process is killed at a stage that was seen, not after a time that was guessed: a load under way is what a kill is to
hit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg2

from cachet_dagster.demo import DemoServer

from .children import Child
from .places import Place

STAGES = ("reading", "staging", "writing")
"""The API is read and the rows are prepared; they go into the run's staging dataset; they go into the tables."""

_ORDER = ("starting", *STAGES)

_STAGE = r"""
SELECT CASE
    WHEN EXISTS (
        SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation
        WHERE mode = 'RowExclusiveLock' AND relnamespace = to_regnamespace('cachet_data')
        AND relname NOT LIKE '\_dlt%'
    ) THEN 'writing'
    WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'cachet\_data\_staging%') THEN 'staging'
END
"""


class Stages:
    """Watches the loads of a place, one at a time.

    Args:
        place: A PostgreSQL database of its own. Of any other place no stage is seen after reading.
        server: What they read; none where they read nothing.
    """

    def __init__(self, place: Place, server: DemoServer | None = None):
        self.server = server
        self._connection = None
        if place.destination == "postgres":
            self._connection = psycopg2.connect(place.options["credentials"])
            self._connection.autocommit = True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def now(self) -> str:
        """Return at which stage a load is."""
        stage = None
        if self._connection is not None:
            with self._connection.cursor() as cursor:
                cursor.execute(_STAGE)
                ((stage,),) = cursor.fetchall()
        return stage or ("reading" if self.server is None or self.server.request_count else "starting")

    def lasting(self, child: Child) -> dict[str, float]:
        """Return for how many seconds each stage lasts of a load that is left alone."""
        began: dict[str, float] = {}
        self._watch(child, lambda stage: began.setdefault(stage, time.monotonic()) < 0)
        assert not child.result(), "the load failed"
        ends = [*[began[stage] for stage in STAGES if stage in began][1:], time.monotonic()]
        return {
            stage: end - began[stage]
            for stage, end in zip([one for one in STAGES if one in began], ends, strict=True)
        }

    def kill(self, child: Child, stage: str, seconds: float) -> str:
        """Kill a load so many seconds after it has reached a stage; return how far it was, "done" if it had ended."""
        until: list[float] = []

        def due(reached: str) -> bool:
            if not until and _ORDER.index(reached) >= _ORDER.index(stage):
                until.append(time.monotonic() + seconds)
            return bool(until) and time.monotonic() >= until[0]

        reached = self._watch(child, due)
        alive = child.alive
        child.kill()
        return reached if alive else "done"

    def _watch(self, child: Child, enough: Callable[[str], bool]) -> str:
        """Watch a load until it ends, or until how far it is is enough; return how far that was."""
        if self.server is not None:
            self.server.clear_requests()
        reached = _ORDER[0]
        while child.alive and not enough(reached):
            reached = max(reached, self.now(), key=_ORDER.index)
            time.sleep(0.001)
        return reached
