"""Lines of a report's tables: a component, an incident with its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cachet_dagster.source.rows import Row
from cachet_dagster.source.tables import COMPONENT_STATUS

EVIDENCE = ("observed", "reported", "inferred", "assumed")
"""How a status is known: what columns of seconds begin with."""


@dataclass(frozen=True)
class ComponentLine:
    """A component in the month.

    Attributes:
        name: Its name.
        group: Its group's name, or an empty text.
        row: Its row of `uptime_monthly`; one that says nothing where nothing was measured.
        target: Promised share, or None.
    """

    name: str
    group: str
    row: Row
    target: float | None

    @property
    def budget_seconds(self) -> float | None:
        """Downtime that the target allows in the month's measured time."""
        measured = self.row["measured_seconds"]
        return None if self.target is None or not measured else (1 - self.target) * measured

    @property
    def left_seconds(self) -> float | None:
        """What is left of it; negative where it is overspent."""
        budget = self.budget_seconds
        return None if budget is None else budget - self.row["down_seconds"]

    @property
    def is_met(self) -> bool | None:
        """Whether the target was met; None where there is none, or nothing was measured."""
        uptime = self.row["uptime"]
        return None if self.target is None or uptime is None else uptime >= self.target


@dataclass(frozen=True)
class Update:
    """A step of an incident's timeline."""

    at: datetime | None
    status: str
    message: str


@dataclass(frozen=True)
class IncidentLine:
    """An incident that was open in the month.

    Attributes:
        row: Its row of `incident_facts`.
        components: Names of the components that it hit, with how badly, where that was given.
        updates: Its timeline, oldest first.
    """

    row: Row
    components: Sequence[tuple[str, str | None]]
    updates: Sequence[Update]

    @property
    def impact(self) -> str:
        """The worst impact in words."""
        return COMPONENT_STATUS.get(self.row["worst_status"], "not given").lower()
