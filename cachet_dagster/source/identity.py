"""Which page a dataset holds, kept in the dataset itself: loading another one over it would mix the two.

The address is what tells two pages apart. A dataset from before this was kept holds the page that is loaded next.
"""

from __future__ import annotations

from datetime import datetime, timezone

import dlt
from dlt.extract import DltResource

from .errors import CachetError
from .rows import Query
from .tables import Column, Table

IDENTITY = Table(
    "cachet_page",
    ("address",),
    (
        Column("address", "text", "The status page's address."),
        Column("name", "text", "Name of the page in Dagster."),
        Column("recorded_at", "timestamp", "When it was first loaded here (UTC)."),
    ),
    "The status page that the dataset holds: one row.",
)


class AnotherPage(CachetError):
    """The dataset holds another page than the one to be loaded; nothing was written."""


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


def identity_resource(address: str, name: str) -> DltResource:
    """Return the dlt resource that records which page a dataset holds."""
    row = {"address": address, "name": name, "recorded_at": datetime.now(timezone.utc)}
    return dlt.resource(
        [row],
        name=IDENTITY.name,
        primary_key=IDENTITY.key,
        columns=IDENTITY.hints(),
        write_disposition="replace",
    )
