"""A small status page that lives: a company which ships parcels, as a pure function of a seed and the time.

The decision that shapes it: nothing is remembered. Time is cut into slots (8 hours for incidents, a week for
maintenance, 5 minutes for points), and what happens in a slot follows from the seed and the slot's number alone,
ids too. So every process that asks serves the same page, a thing keeps its id for ever, and what has passed does
not change. As on a page with a retention policy, incidents older than three months go at the turn of a month,
maintenance older than twelve weeks on a Monday, and points older than yesterday at midnight (UTC).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import blake2b

from .world import Row, World, text

# put(table, id, created, updated, **columns) adds a row, touch(component id, time) says that it changed then.
Put = Callable[..., None]
Touch = Callable[[int, datetime], None]

EPOCH = datetime(2024, 1, 1, tzinfo=timezone.utc)
INCIDENT_SLOT = timedelta(hours=8)
WEEK = timedelta(weeks=1)
POINT_SLOT = timedelta(minutes=5)

USERS = [("Maya Lindqvist", "maya@example.com"), ("Tomás Herrera", "tomas@example.com")]

# name, visible (0: for tokens only), collapsed
GROUPS = [
    ("Shipping", 1, 0),
    ("Tracking", 1, 0),
    ("Website & Apps", 1, 0),
    ("Integrations", 1, 1),
    ("Internal Tools", 0, 1),
]

# name, group, enabled, description
COMPONENTS = [
    ("Label API", 1, 1, "Creates shipping labels."),
    ("Rate Quotes", 1, 1, "Compares prices across carriers."),
    ("Pickup Scheduling", 1, 1, "Books collections with carriers."),
    ("Customs Documents", 1, 1, "Fills in CN22, CN23 and commercial invoices."),
    ("Tracking API", 2, 1, "Where a parcel is, for machines."),
    ("Tracking Pages", 2, 1, "Where a parcel is, for people."),
    ("Delivery Notifications", 2, 1, "E-mail and SMS on the way to the door."),
    ("Customer Portal", 3, 1, "Orders, invoices and settings."),
    ("Mobile App", 3, 1, "For iOS and Android."),
    ("Public Website", 3, 1, None),
    ("Shop Plugins", 4, 1, "WooCommerce, Shopify and Magento."),
    ("Webhooks", 4, 1, "Events, delivered to your endpoints."),
    ("Warehouse Scanner Sync", 5, 1, "Keeps the handhelds in the depots up to date."),
    ("Label API v1", 1, 0, "Switched off; use the Label API."),
    ("Single Sign-On", None, 1, "Log in with your company's account."),
]

# name, what happens, what was done, status of the component while it lasts
TROUBLES = [
    ("{c}: slow responses", "a database replica fell behind", "The replica has caught up", 2),
    ("{c}: elevated error rates", "a faulty release", "We have rolled the release back", 3),
    ("{c} unavailable", "a network failure in one of our data centres", "Traffic runs on the second site", 4),
    ("{c}: delays", "a queue that is longer than usual", "The queue has been worked off", 2),
    ("{c}: intermittent timeouts", "an overloaded load balancer", "Capacity has been added", 3),
    ("{c}: some requests fail", "a problem at a carrier that we depend on", "The carrier has recovered", 3),
    ("{c}: login problems", "an expired certificate", "The certificate has been renewed", 4),
]

WORKS = [
    ("Database maintenance", "We are installing a minor database release."),
    ("Network maintenance", "Our provider is replacing a core switch."),
    ("Search index rebuild", "Search results may be incomplete for a short time."),
    ("Security updates", "Servers restart one after the other."),
]

# name, suffix, calc_type (0 sum, 1 average), places, base, daily swing, noise
METRICS = [
    ("API response time", "ms", 1, 0, 142.0, 38.0, 30.0),
    ("Website availability", "%", 1, 2, 99.93, 0.03, 0.08),
    ("Webhooks waiting", "events", 1, 0, 60.0, 45.0, 25.0),
    ("Labels printed", "labels", 0, 0, 410.0, 290.0, 60.0),
]

TEMPLATES = [
    ("Investigating", "investigating", "We are looking into a problem with {{ component }}."),
    ("Identified", "identified", "We know the cause of the problem with {{ component }}: {{ cause }}."),
    ("Watching", "watching", "A fix is in place. We keep an eye on {{ component }}."),
    ("Fixed", "fixed", "The problem with {{ component }} is solved. We apologise for the trouble."),
    (
        "Planned maintenance",
        "planned-maintenance",
        "{{ component }} will be down from {{ start }} to {{ end }}.",
    ),
]

SUBSCRIBERS = [
    "anna",
    "bjorn",
    "chen",
    "dina",
    "emeka",
    "freya",
    "goran",
    "hana",
    "ines",
    "jack",
    "keiko",
    "liam",
]


@dataclass(frozen=True)
class _Trouble:
    """An incident as planned: the updates with their times come to light one by one."""

    slot: int
    begins: datetime
    name: str
    message: str
    visible: int
    stickied: int
    guid: str
    user_id: int | None
    components: tuple[tuple[int, int | None], ...]
    updates: tuple[tuple[datetime, int, str], ...]

    @property
    def ends(self) -> datetime:
        return self.updates[-1][0]


def _noise(*parts: object) -> float:
    """Return a number from 0 to 1 that follows from the parts, on every machine."""
    digest = blake2b(":".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def _trouble(seed: int, slot: int) -> _Trouble | None:
    if _noise(seed, "incident", slot) > 0.3:
        return None
    rng = random.Random(f"{seed}:{slot}")  # noqa: S311
    begins = (
        EPOCH + slot * INCIDENT_SLOT + timedelta(minutes=rng.randrange(0, 470), seconds=rng.randrange(60))
    )
    # The disabled component has no trouble any more.
    ids = [n for n, component in enumerate(COMPONENTS, 1) if component[2]]
    main = rng.choice(ids)
    others = rng.sample([n for n in ids if n != main], rng.choice((0, 0, 1, 2)))
    name, cause, cure, status = rng.choice(TROUBLES)
    component = COMPONENTS[main - 1][0]
    at = begins
    updates = []
    for update_status, words in (
        (2, f"The cause is {cause}. We are working on it."),
        (3, f"{cure}. We keep an eye on it."),
        (4, "Everything works as usual again. We apologise for the trouble."),
    ):
        at += timedelta(minutes=rng.randrange(6, 95), seconds=rng.randrange(60))
        updates.append((at, update_status, words))
    guid = f"{rng.getrandbits(128):032x}"
    return _Trouble(
        slot=slot,
        begins=begins,
        name=name.format(c=component),
        message=f"We have noticed a problem with **{component}** and are looking into it.",
        visible=0 if rng.random() < 0.08 else 1,
        stickied=int(rng.random() < 0.03),
        guid=f"{guid[:8]}-{guid[8:12]}-4{guid[13:16]}-8{guid[17:20]}-{guid[20:]}",
        user_id=rng.choice((1, 2, None)),
        components=((main, status), *((other, rng.choice((2, 3, None))) for other in others)),
        updates=tuple(updates),
    )


def _months_earlier(now: datetime, months: int) -> datetime:
    number = now.year * 12 + now.month - 1 - months
    return now.replace(
        year=number // 12, month=number % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )


def _troubles(seed: int, now: datetime) -> Iterator[_Trouble]:
    first = math.ceil((_months_earlier(now, 3) - EPOCH) / INCIDENT_SLOT)
    # One slot beyond the present, to know what comes next.
    for slot in range(max(first, 0), (now - EPOCH) // INCIDENT_SLOT + 2):
        trouble = _trouble(seed, slot)
        if trouble is not None:
            yield trouble


def living_world(seed: int, now: datetime) -> World:
    """Return the page as it is at an instant (aware; from 22 January 2024 on).

    About a hundred incidents, 15 components of which one is disabled and one hidden from guests, 4 metrics of a
    few hundred points. `valid_until` of the world is the next instant at which something happens. Raises
    ValueError before the page began.
    """
    now = now.astimezone(timezone.utc)
    if now < EPOCH + timedelta(weeks=3):
        raise ValueError(f"the living page begins three weeks after {text(EPOCH)}, not at {text(now)}")
    rows: dict[str, list[Row]] = {}
    ahead: list[datetime] = []
    component_status: dict[int, int] = {}
    touched: dict[int, datetime] = {}

    def put(
        table: str, row_id: int, created: datetime, updated: datetime | None = None, **columns: object
    ) -> None:
        rows.setdefault(table, []).append(
            {"id": row_id, "created_at": text(created), "updated_at": text(updated or created), **columns}
        )

    def touch(component_id: int, at: datetime) -> None:
        touched[component_id] = max(touched.get(component_id, at), at)

    _put_incidents(seed, now, put, touch, component_status, ahead)
    _put_schedules(seed, now, put, touch, component_status, ahead)
    _put_points(seed, now, put, ahead)
    _put_what_stays(put, touched, component_status)
    world = World(rows)
    world.valid_until = min(ahead)
    return world


def _put_incidents(
    seed: int, now: datetime, put: Put, touch: Touch, component_status: dict[int, int], ahead: list[datetime]
) -> None:
    for trouble in _troubles(seed, now):
        if trouble.begins > now:
            ahead.append(trouble.begins)
            continue
        incident_id = trouble.slot + 1
        happened = [update for update in trouble.updates if update[0] <= now]
        ahead += [update[0] for update in trouble.updates if update[0] > now]
        put(
            "incidents",
            incident_id,
            trouble.begins,
            happened[-1][0] if happened else None,
            component_id=None,
            name=trouble.name,
            status=happened[-1][1] if happened else 1,
            message=trouble.message,
            deleted_at=None,
            visible=trouble.visible,
            stickied=trouble.stickied,
            occurred_at=text(trouble.begins - timedelta(minutes=4)),
            user_id=trouble.user_id,
            notifications=1,
            guid=trouble.guid,
            external_provider=None,
            external_id=None,
            long_running_notified_at=None,
            published_at=text(trouble.begins),
            published_notified_at=None,
        )
        for n, (at, status, message) in enumerate(happened):
            put(
                "updates",
                trouble.slot * 8 + n + 1,
                at,
                status=status,
                message=message,
                user_id=trouble.user_id or 1,
                updateable_type="incident",
                updateable_id=incident_id,
            )
        for n, (component_id, status) in enumerate(trouble.components):
            put(
                "incident_components",
                trouble.slot * 4 + n + 1,
                trouble.begins,
                incident_id=incident_id,
                component_id=component_id,
                component_status=status,
            )
            touch(component_id, trouble.begins)
            if trouble.ends <= now:
                touch(component_id, trouble.ends)
            elif status is not None:
                component_status[component_id] = max(component_status.get(component_id, 1), status)
        if trouble.slot % 3 == 0:
            put(
                "meta",
                1000 + trouble.slot * 2,
                trouble.begins,
                key="ticket",
                value=json.dumps(f"OPS-{2000 + trouble.slot}"),
                meta_type="incident",
                meta_id=incident_id,
            )


def _put_schedules(
    seed: int, now: datetime, put: Put, touch: Touch, component_status: dict[int, int], ahead: list[datetime]
) -> None:
    this_week = (now - EPOCH) // WEEK
    for week in range(max(this_week - 12, 0), this_week + 3):
        monday = EPOCH + week * WEEK
        work, message = WORKS[int(_noise(seed, "work", week) * len(WORKS))]
        component_id = 1 + int(_noise(seed, "where", week) * 12)
        begins = monday + timedelta(days=5, hours=int(_noise(seed, "hour", week) * 5) + 1)
        plans = [
            (
                week * 2 + 1,
                begins,
                begins + timedelta(hours=2),
                f"{work}: {COMPONENTS[component_id - 1][0]}",
                message,
                component_id,
                6,
            ),
            # All week long and without effect, so that one is always running.
            (
                week * 2 + 2,
                monday,
                monday + WEEK,
                f"Rolling carrier update, week {week + 1}",
                "Carriers are moved to our new platform one by one. No interruption is expected.",
                11,
                1,
            ),
        ]
        for schedule_id, start, end, name, words, component, status in plans:
            announced = start - timedelta(days=10)
            ahead += [moment for moment in (announced, start, end) if moment > now]
            if announced > now:
                continue
            changed = max(moment for moment in (announced, start, end) if moment <= now)
            put(
                "schedules",
                schedule_id,
                announced,
                end if end <= now else announced,
                name=name,
                message=words,
                scheduled_at=text(start),
                completed_at=text(end) if end <= now else None,
                deleted_at=None,
                notifications=1,
                completed_notified_at=None,
                published_at=text(announced),
                published_notified_at=None,
            )
            put(
                "schedule_components",
                schedule_id * 4 + 1,
                announced,
                schedule_id=schedule_id,
                component_id=component,
                component_status=status,
            )
            put(
                "meta",
                1001 + schedule_id * 2,
                announced,
                key="change",
                value=json.dumps(f"CHG-{400 + schedule_id}"),
                meta_type="schedule",
                meta_id=schedule_id,
            )
            for n, (moment, words) in enumerate(((start, "The work has begun."), (end, "The work is done."))):
                if moment <= now:
                    put(
                        "updates",
                        schedule_id * 8 + 5 + n,
                        moment,
                        status=None,
                        message=words,
                        user_id=2,
                        updateable_type="schedule",
                        updateable_id=schedule_id,
                    )
            if status == 6:
                touch(component, changed)
                if start <= now < end:
                    component_status[component] = max(component_status.get(component, 1), 6)


def _put_points(seed: int, now: datetime, put: Put, ahead: list[datetime]) -> None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    first, last = (midnight - EPOCH) // POINT_SLOT, (now - EPOCH) // POINT_SLOT
    for slot in range(first, last + 1):
        at = EPOCH + slot * POINT_SLOT
        hours = (at.hour * 60 + at.minute) / 60
        # Quiet at four in the morning, busy in the afternoon.
        day = math.sin((hours - 10) / 24 * 2 * math.pi)
        for n, (_, _, calc_type, places, base, swing, noise) in enumerate(METRICS):
            value = base + swing * day + noise * (_noise(seed, n, slot) - 0.5)
            value = min(value, 100.0) if METRICS[n][1] == "%" else max(value, 0.0)
            # A sum counts its posts, one a minute: the newest point grows until its five minutes are over.
            posts = min((now - at) // timedelta(minutes=1) + 1, 5) if calc_type == 0 else 1
            put(
                "metric_points",
                slot * len(METRICS) + n + 1,
                at,
                metric_id=n + 1,
                value=round(value, places + 1),
                counter=posts,
            )
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    ahead.append(minute)


def _put_what_stays(put: Put, touched: dict[int, datetime], component_status: dict[int, int]) -> None:
    for n, (name, email) in enumerate(USERS, 1):
        put("users", n, EPOCH, name=name, email=email)
    for n, (name, visible, collapsed) in enumerate(GROUPS, 1):
        put(
            "component_groups",
            n,
            EPOCH + timedelta(minutes=n),
            name=name,
            order=n,
            collapsed=collapsed,
            visible=visible,
            order_column=None,
            order_direction=None,
        )
    meta_id = 0
    for n, (name, group, enabled, description) in enumerate(COMPONENTS, 1):
        created = EPOCH + timedelta(hours=1, minutes=n)
        put(
            "components",
            n,
            created,
            max(touched.get(n, created), created),
            name=name,
            description=description,
            link=f"https://example.com/help/{name.lower().replace(' ', '-')}",
            status=component_status.get(n, 1),
            order=n,
            component_group_id=group,
            deleted_at=None,
            enabled=enabled,
            checked=0,
            checked_at=None,
        )
        if n % 2:
            for key, value in (("team", f"team-{(group or 0) + 1}"), ("tier", 1 + n % 3)):
                meta_id += 1
                put(
                    "meta",
                    meta_id,
                    created,
                    key=key,
                    value=json.dumps(value),
                    meta_type="component",
                    meta_id=n,
                )
    for n, (name, suffix, calc_type, places, *_) in enumerate(METRICS, 1):
        put(
            "metrics",
            n,
            EPOCH + timedelta(hours=2, minutes=n),
            name=name,
            suffix=suffix,
            description=f"{name}, measured every five minutes.",
            default_value=0,
            calc_type=calc_type,
            display_chart=1,
            places=places,
            default_view=1,
            threshold=5,
            order=n,
            visible=1,
            show_when_empty=0,
        )
    for n, (name, slug, template) in enumerate(TEMPLATES, 1):
        created = EPOCH + timedelta(hours=3, minutes=n)
        put(
            "incident_templates",
            n,
            created,
            name=name,
            slug=slug,
            template=template,
            deleted_at=None,
            engine="twig",
        )
    for n, name in enumerate(SUBSCRIBERS, 1):
        created = EPOCH + timedelta(days=n, hours=9, minutes=7 * n)
        verified = text(created + timedelta(minutes=3)) if n % 5 else None
        put(
            "subscribers",
            n,
            created,
            **{"email": f"{name}@example.com", "email_verified_at": verified, "global": int(n % 3 == 0)},
        )
        if n % 3:
            for k in range(2):
                put(
                    "subscriptions",
                    n * 2 + k - 1,
                    created,
                    subscriber_id=n,
                    component_id=(n * 3 + k * 5) % 12 + 1,
                )
        if n % 4 == 0:
            meta_id += 1
            put(
                "meta",
                meta_id,
                created,
                key="plan",
                value=json.dumps("business"),
                meta_type="subscriber",
                meta_id=n,
            )
