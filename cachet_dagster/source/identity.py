"""Which page a dataset holds, and as whose view, kept in the dataset itself.

Loading another page over it would mix the two, and a guest's view over a token's would drop all hidden rows. The
address tells two pages apart. A dataset from before this was kept takes both from the next load.
"""

from __future__ import annotations

from datetime import datetime, timezone

import dlt
from dlt.extract import DltResource

from .errors import CachetError
from .rows import Query
from .settings import CachetSettings
from .tables import Column, Table

IDENTITY = Table(
    "cachet_page",
    ("address",),
    (
        Column("address", "text", "The status page's address."),
        Column("name", "text", "Name of the page in Dagster."),
        Column("viewer", "text", "Whose view it is: `token`, or `guest`, who sees public rows only."),
        Column("recorded_at", "timestamp", "When this was recorded (UTC)."),
    ),
    "The status page that the dataset holds: one row.",
)


class AnotherPage(CachetError):
    """The dataset holds another page than the one to be loaded; nothing was written."""


class AnotherViewer(CachetError):
    """The dataset holds what a token sees, and a guest is about to be loaded; nothing was written."""


def viewer_of(settings: CachetSettings) -> str:
    """Return whose view a load reads."""
    return "token" if settings.api_key else "guest"


def check_viewer(query: Query, viewer: str, where: str) -> str | None:
    """Return whose view a dataset holds; None where that is not recorded.

    Args:
        query: Runs SQL over the dataset.
        viewer: Whose view is to be loaded.
        where: The dataset and its database, for people.

    Raises:
        AnotherViewer: It sees less than the dataset holds.
    """
    found = query(IDENTITY.name, "SELECT * FROM {table}")
    held = found[0].get("viewer") if found else None
    if held == "token" and viewer == "guest":
        raise AnotherViewer(
            f"{where} holds what a token may see, and there is no token: a guest's load would drop every hidden row",
            "Set {api_key}. To keep no more than a guest may see, let the loss through: `cachet-dagster run "
            "--accept-loss`, or `accept_loss: true` in the run's config.",
        )
    return held


def check_page(query: Query, address: str, moved_from: str | None, where: str) -> str | None:
    """Return the address of the page that a dataset holds: this one, where it was before, or none.

    Args:
        query: Runs SQL over the dataset.
        address: The page to be loaded.
        moved_from: Where it was before, if it has moved.
        where: The dataset and its database, for people.

    Raises:
        AnotherPage: It holds another page.
    """
    found = query(IDENTITY.name, "SELECT address FROM {table}")
    held = found[0]["address"] if found else None
    if held in (None, address, moved_from):
        return held
    raise AnotherPage(
        f"{where} holds {held}, and {address} is another page",
        "Set {database} or {dataset} to another one for it; if it is the same page under a new address, "
        f"set {{moved_from}} to {held}.",
    )


def identity_resource(address: str, name: str, viewer: str) -> DltResource:
    """Return the dlt resource that records which page a dataset holds, and whose view."""
    row = {"address": address, "name": name, "viewer": viewer, "recorded_at": datetime.now(timezone.utc)}
    return dlt.resource(
        [row],
        name=IDENTITY.name,
        primary_key=IDENTITY.key,
        columns=IDENTITY.hints(),
        write_disposition="replace",
    )
