"""Nothing that the public page does not show stands in what is built for the public, whoever looked and when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .pages import Models, Row
from .simulated import BEGIN, Recorder, moment

HOUR = 3_600


@dataclass
class Page:
    """A page whose visibility changes: groups with visible 0, 1 and 2, components in them, incidents, metrics."""

    chance: random.Random
    groups: dict[int, int] = field(default_factory=dict)
    components: dict[int, tuple[bool, int | None]] = field(default_factory=dict)
    incidents: dict[int, tuple[int, int]] = field(default_factory=dict)
    deleted: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.groups = {n: self.chance.choice((0, 1, 1, 2)) for n in range(1, 6)}
        self.components = {n: self._component() for n in range(1, 13)}
        self.incidents = {n: self._incident(0) for n in range(1, 9)}

    def _component(self) -> tuple[bool, int | None]:
        return self.chance.random() < 0.8, self.chance.choice((None, *self.groups))

    def _incident(self, hour: int) -> tuple[int, int]:
        return self.chance.choice((0, 1, 1, 2)), hour + self.chance.choice((-1, -1, -1, 3))

    def change(self, hour: int) -> None:
        """Change who sees some things."""
        for n in self.groups:
            if self.chance.random() < 0.3:
                self.groups[n] = self.chance.choice((0, 1, 2))
        for n in self.components:
            if self.chance.random() < 0.2:
                self.components[n] = self._component()
            if self.chance.random() < 0.05:
                self.deleted.add(("component", n))
        for n in self.incidents:
            if self.chance.random() < 0.3:
                self.incidents[n] = self._incident(hour)
            if self.chance.random() < 0.05:
                self.deleted.add(("incident", n))

    def public(self, hour: int) -> set[tuple[str, int]]:
        """Return what the public page shows."""
        return {
            *(("group", n) for n, visible in self.groups.items() if visible == 1),
            *(
                ("component", n)
                for n, (enabled, group) in self.components.items()
                if enabled and (group is None or self.groups[group] == 1)
            ),
            *(
                ("incident", n)
                for n, (visible, published) in self.incidents.items()
                if visible == 1 and published <= hour
            ),
        } - self.deleted

    def shown(self, rights: str, hour: int, *, as_cachet_2: bool) -> dict[str, list[Row]]:
        """Return what the API shows: to a guest in a hidden group's component, too, as Cachet 2 does, or no group."""
        public, is_guest = self.public(hour), rights == "guest"
        groups = [
            {"id": n, "name": f"secret group {n}.", "visible": visible}
            for n, visible in self.groups.items()
            if visible == 1 or (visible == 0 and not is_guest)
        ]
        listed = {group["id"] for group in groups}
        components = [
            {
                "id": n,
                "name": f"secret component {n}.",
                "enabled": enabled,
                "status": 1,
                "component_group_id": group if group in listed or not is_guest or n % 2 else None,
                "created_at": BEGIN,
                "updated_at": BEGIN,
            }
            for n, (enabled, group) in self.components.items()
            if ("component", n) not in self.deleted
            and (not is_guest or ("component", n) in public or (as_cachet_2 and enabled))
        ]
        incidents = [
            {
                "id": n,
                "name": f"secret incident {n}.",
                "visible": visible,
                "published_at": moment(published * HOUR),
                "status": 1,
                "created_at": BEGIN,
                "updated_at": BEGIN,
            }
            for n, (visible, published) in self.incidents.items()
            if ("incident", n) not in self.deleted
            and visible != 2
            and (not is_guest or ("incident", n) in public)
            and (rights != "token" or published <= hour)
        ]
        return {"components_groups": groups, "components": components, "incidents": incidents}


def given_away(seed: int, looks: int) -> tuple[list[str], int]:
    """Return what the public's models hold and the public page does not show, and how many things were looked for."""
    chance = random.Random(seed)
    page, recorder = Page(chance), Recorder()
    found, looked_for = [], 0
    for hour in range(looks):
        rights = chance.choice(("full", "full", "token", "guest")) if hour else "full"
        recorder.look(page.shown(rights, hour, as_cachet_2=seed % 2 == 0), moment(hour * HOUR), rights)
        recorder.rows["incident_components"] = [
            {"incident_id": n, "component_id": n, "component_name": f"secret component {n}."}
            for n in page.incidents
        ]
        models = Models(recorder.rows, as_of=moment(hour * HOUR))
        public = page.public(hour)
        alive = models.rows(
            "SELECT 'component' AS kind, component_id AS id FROM analytics.component_lives"
            " WHERE in_audience AND is_listed"
            " UNION ALL SELECT 'incident', incident_id FROM analytics.incident_facts WHERE flags NOT LIKE '%deleted%'"
        )
        found += [f"{seed} {hour} {rights} {row}" for row in alive if (row["kind"], row["id"]) not in public]
        everything = {
            *(("group", n) for n in page.groups),
            *(("component", n) for n in page.components),
            *(("incident", n) for n in page.incidents),
        }
        texts = all_texts(models)
        for kind, number in sorted(everything - public - page.deleted):
            looked_for += 1
            if f"secret {kind} {number}." in texts:
                found.append(f"{seed} {hour} {rights}: the name of {kind} {number}")
    return found, looked_for


def all_texts(models: Models) -> set[str]:
    """Return every text that stands in any table or view of the models."""
    columns = models.rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'cachet_analytics' AND data_type = 'VARCHAR'"
    )
    every = " UNION ALL ".join(
        f'SELECT DISTINCT "{row["column_name"]}" AS text FROM analytics."{row["table_name"]}"'
        for row in columns
    )
    return {row["text"] for row in models.rows(every)}


def test_nothing_that_the_public_page_does_not_show_is_in_the_public_audience():
    results = [given_away(seed, 3) for seed in range(2)]

    assert [line for found, _ in results for line in found] == []
    assert sum(looked_for for _, looked_for in results) > 40
