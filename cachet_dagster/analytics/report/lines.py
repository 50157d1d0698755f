"""Lines of a report's tables: a component, an incident with its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cachet_dagster.analytics import formats
from cachet_dagster.source.rows import Row
from cachet_dagster.source.tables import COMPONENT_STATUS

from . import queries
from .figures import Figures
from .uptimes import Uptime, uptime


@dataclass(frozen=True)
class ComponentLine:
    """A component in the period.

    Attributes:
        component_id: Its id.
        name: Its name.
        group: Its group's name, or an empty text.
        uptime: Its uptime.
        target: Promised share, or None.
    """

    component_id: int
    name: str
    group: str
    uptime: Uptime
    target: float | None = None

    @property
    def kept(self) -> str | None:
        """`kept`, `missed` or `not certain`, as where all is assumed; None without a target or where all is unknown."""
        if self.target is not None and self.uptime.upper is not None and not self.uptime.known:
            return "not certain"
        return formats.promise_kept(self.target, self.uptime.lower, self.uptime.upper)

    @property
    def budget_seconds(self) -> float | None:
        """Downtime that the target allows in the period's measured time."""
        measured = self.uptime.measured_seconds
        return None if self.target is None or not measured else (1 - self.target) * measured

    @property
    def left(self) -> tuple[float, float] | None:
        """The least and the most that is left of it, in seconds; negative where it is overspent."""
        budget, down = self.budget_seconds, self.uptime.down
        return None if budget is None or down is None else (budget - down[1], budget - down[0])


@dataclass(frozen=True)
class Update:
    """A step of an incident's timeline."""

    at: datetime | None
    status: str
    message: str


@dataclass(frozen=True)
class IncidentLine:
    """An incident that was open in the period.

    Attributes:
        row: Its row of `incident_facts`.
        components: Names of the components that it hit, with how badly, where that was given.
        updates: Its timeline, oldest first; empty where it is not told.
    """

    row: Row
    components: Sequence[tuple[str, str | None]]
    updates: Sequence[Update]

    @property
    def impact(self) -> str:
        """The worst impact in words."""
        return COMPONENT_STATUS.get(self.row["worst_status"], "not given").lower()


def component_lines(figures: Figures, rows: Sequence[Row], policy: str) -> list[ComponentLine]:
    """Return the components that the audience sees, in the order of the page.

    Args:
        figures: The page's models.
        rows: Rows of `uptimes` of the period.
        policy: Name of the uptime policy.
    """
    found = {row["scope_id"]: row for row in rows if row["scope"] == "component" and row["policy"] == policy}
    targets = queries.component_targets(figures)
    return [
        ComponentLine(
            component["component_id"],
            formats.plain(component["component_name"]),
            formats.plain(component["component_group_name"]),
            uptime(found.get(component["component_id"])),
            targets.get(component["component_id"]),
        )
        for component in queries.components(figures)
    ]
