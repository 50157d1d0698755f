"""Pages that nobody would write: every irregularity that the models have to bear, in a few days around a clock change.

Times lie on whole minutes, so that an oracle which paints minutes can be exact.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from .pages import Row, at

# Berlin's clocks change on 2026-03-29; the last day is cut off.
BEGIN = at("2026-03-26 00:00")
AS_OF = at("2026-04-01 15:00")
MINUTES = int((AS_OF - BEGIN).total_seconds() // 60)

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu")

COMPONENTS = (1, 2, 3)
UNLISTED = 9
STATUSES = (1, 2, 3, 4, 5, 6)

minute = st.integers(0, MINUTES + 600).map(lambda n: BEGIN + timedelta(minutes=n))
past = st.integers(60, MINUTES).map(lambda n: BEGIN + timedelta(minutes=n))
maybe = st.one_of(st.none(), minute)


@st.composite
def looks(draw: Any) -> list[datetime]:
    """Return when loads looked, the last one as of now."""
    return sorted({*draw(st.lists(past, max_size=4)), AS_OF})


def recorded(draw: Any, when: list[datetime], values: Any, *, edits: bool = False) -> list[Row]:
    """Return history rows at some of the looks, as `history_rows` would have added them."""
    seen = [n for n in range(len(when)) if draw(st.booleans())]
    rows: list[Row] = []
    for n in seen:
        gone = bool(rows) and not rows[-1]["is_deleted"] and draw(st.integers(0, 4)) == 0
        rows.append(
            {
                **(rows[-1] if gone else draw(values)),
                "observed_at": when[n],
                "previous_observed_at": when[n - 1] if n else None,
                **(
                    {"unedited_until": draw(st.sampled_from((None, when[n - 1] if n else None)))}
                    if edits
                    else {}
                ),
                "is_deleted": gone,
            }
        )
    return rows


@st.composite
def pages(draw: Any) -> dict[str, list[Row]]:
    """Return a page's rows, history included."""
    when = draw(looks())
    rows: dict[str, list[Row]] = {
        name: []
        for name in (
            "components", "components_groups", "incidents", "incident_updates", "incident_components",
            "schedules", "schedule_components", "schedule_updates", "component_history", "incident_history",
            "incident_component_history",
        )
    }  # fmt: skip
    rows["components_groups"] = [
        {"id": 1, "name": "Open", "visible": 1}, {"id": 2, "name": "Hidden", "visible": 0}
    ]  # fmt: skip
    for number in COMPONENTS:
        _component(draw, rows, number, when)
    for number in range(1, draw(st.integers(1, 5)) + 1):
        _incident(draw, rows, number, when)
    for number in range(1, draw(st.integers(0, 2)) + 1):
        start = draw(minute)
        ends = st.one_of(
            st.none(), st.integers(-60, 600).map(lambda n, start=start: start + timedelta(minutes=n))
        )
        rows["schedules"].append(
            {"id": number, "scheduled_at": start, "completed_at": draw(ends), "published_at": draw(maybe)}
        )
        rows["schedule_components"] += [
            {
                "schedule_id": number,
                "component_id": component,
                "component_status": draw(st.sampled_from((None, 1, 6, 6, 4))),
            }
            for component in draw(st.sets(st.sampled_from((*COMPONENTS, UNLISTED)), max_size=2))
        ]
    return rows


def _component(draw: Any, rows: dict[str, list[Row]], number: int, when: list[datetime]) -> None:
    row = {
        "name": f"Component {number}",
        "enabled": draw(st.booleans()),
        "component_group_id": draw(st.sampled_from((None, 1, 2))),
        "created_at": draw(past),
    }
    values = st.fixed_dictionaries(
        {
            "component_id": st.just(number),
            "status": st.sampled_from((None, *STATUSES)),
            "updated_at": maybe,
            **{name: st.just(value) for name, value in row.items()},
        }
    )
    history = recorded(draw, when, values, edits=True)
    rows["component_history"] += history
    if not (history and history[-1]["is_deleted"]):
        now = (
            history[-1] if history else {"status": draw(st.sampled_from(STATUSES)), "updated_at": draw(maybe)}
        )
        rows["components"].append(
            {"id": number, **row, "status": now["status"], "updated_at": now["updated_at"]}
        )


def _incident(draw: Any, rows: dict[str, list[Row]], number: int, when: list[datetime]) -> None:
    start = draw(minute)
    later = st.integers(-120, 1500).map(lambda n: start + timedelta(minutes=n))
    row = {
        "name": f"Incident {number}",
        "visible": draw(st.sampled_from((1, 1, 1, 0))),
        "occurred_at": draw(st.one_of(st.none(), st.just(start), later)),
        "created_at": draw(st.sampled_from((start, start, start, None))),
    }
    values = st.fixed_dictionaries(
        {
            "incident_id": st.just(number),
            "status": st.sampled_from((0, 1, 2, 3, 4, 4)),
            "updated_at": st.one_of(st.none(), later),
            **{name: st.just(value) for name, value in row.items()},
        }
    )
    history = recorded(draw, when, values)
    is_gone = bool(history) and history[-1]["is_deleted"]
    rows["incident_history"] += history
    if not is_gone:
        now = history[-1] if history else draw(values)
        rows["incidents"].append(
            {
                "id": number, **row, "status": now["status"], "updated_at": now["updated_at"],
                "published_at": draw(maybe),
            }
        )  # fmt: skip
    # Updates at the same time stand in the order of their ids.
    rows["incident_updates"] += [
        {"id": number * 100 + n, "incident_id": number, "status": status, "created_at": told}
        for n, (status, told) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from((None, 1, 2, 3, 4, 4)), later), max_size=5))
        )
        if not is_gone
    ]
    for component in draw(st.sets(st.sampled_from((*COMPONENTS, UNLISTED)), max_size=3)):
        key = {"incident_id": number, "component_id": component}
        status = st.sampled_from((None, *STATUSES))
        traced = recorded(
            draw,
            when,
            st.fixed_dictionaries({**{k: st.just(v) for k, v in key.items()}, "component_status": status}),
        )
        rows["incident_component_history"] += traced
        if not is_gone and not (traced and traced[-1]["is_deleted"]):
            now = traced[-1]["component_status"] if traced else draw(status)
            rows["incident_components"] += [{**key, "component_status": now}] * draw(st.integers(1, 2))
