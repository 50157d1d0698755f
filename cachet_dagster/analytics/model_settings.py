"""What the models are built by: time zone, audience, caps, and targets of uptime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cachet_dagster.source.errors import SettingsError

from . import calendars
from .policies import DEFAULT_POLICY


@dataclass(frozen=True)
class SloTarget:
    """A promise of uptime over a rolling window.

    Attributes:
        target: Promised uptime, 0 to 1.
        scope: What promises it; group and page by the mean of their components' time.
        scope_id: Id of the component or group, 0 for the page; None for each component.
        policy: The policy by which downtime is weighed.
        window_days: One of `calendars.WINDOWS`.
    """

    target: float
    scope: Literal["component", "group", "page"] = "component"
    scope_id: int | None = None
    policy: str = DEFAULT_POLICY
    window_days: int = 28

    @classmethod
    def parse(cls, text: str) -> SloTarget:
        """Return the promise that a text names: `component=0.999`, `page=0.99/90`, `group:3=0.9995/28/strict`.

        Raises:
            SettingsError: It names none.
        """
        found = _TARGET.fullmatch(text.strip())
        if found is None or int(found["days"] or 28) not in calendars.WINDOWS:
            days = ", ".join(map(str, calendars.WINDOWS))
            raise SettingsError(
                f"{text!r} is no target of uptime",
                "Set {slo_targets} to such as component=0.999, component:7=0.9995/90/strict, page=0.99: a share "
                f"from 0 to 1, then days ({days}) and a policy if need be.",
            )
        scope, number = found["scope"], found["id"]
        return cls(
            float(found["target"]),
            scope,  # pyright: ignore[reportArgumentType]
            0 if scope == "page" else int(number) if number else None,
            found["policy"] or DEFAULT_POLICY,
            int(found["days"] or 28),
        )


_TARGET = re.compile(
    r"(?P<scope>component|group(?=:)|page(?!:))(:(?P<id>\d+))?=(?P<target>0(\.\d+)?|1(\.0+)?)"
    r"(/(?P<days>\d+)(/(?P<policy>\w+))?)?"
)


@dataclass(frozen=True)
class ModelSettings:
    """What the models are built by.

    Attributes:
        as_of: The moment up to which they tell; None for that of the newest load.
        time_zone: IANA name of the zone of days and months.
        audience: Whose view it is: everyone's, or that of people who see hidden rows too.
        maintenance_cap: After how long maintenance without an end is taken to be over.
        stale_after: Without an update for so long an open incident is stale.
        slo_targets: Promises of uptime; nothing is promised without one.
    """

    as_of: datetime | None = None
    time_zone: str = "UTC"
    audience: Literal["public", "all"] = "public"
    maintenance_cap: timedelta = timedelta(hours=24)
    stale_after: timedelta = timedelta(days=7)
    slo_targets: tuple[SloTarget, ...] = ()
