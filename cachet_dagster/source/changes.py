"""Whether anything happened on a Cachet, so cheaply that a sensor can poll once a minute.

One page of a list, newest rows first, is one request; what is older or elsewhere is the business of a full
load. Rows are compared through digests of what would be loaded of them, so that nothing counts which
changes at every request, and all that has to be remembered is short. Newest first, because Cachet 2 knows
no other order.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from .endpoints import ENDPOINTS
from .errors import CachetError, Unreachable
from .event_loop import gather_bounded, run
from .http.api import API_2, API_3
from .http.client import CachetClient
from .listing import Listing, TableMapping
from .pagination import ListPage
from .reader import CachetReader
from .settings import CachetSettings

T = TypeVar("T")

WATCHED = ("incidents", "components")
"""Lists whose newest rows tell whether anything happened."""

SECONDS = 20.0
"""Seconds that a poll may take in all, name resolution included: Dagster gives a sensor 60."""

_CHEAP_INCLUDES = {"updates"}


@dataclass(frozen=True)
class Newest:
    """The newest rows of a list.

    Attributes:
        digests: Id → digest of the row and of what belongs to it.
        since: The lowest id that is covered; 0 where the list is covered whole.
    """

    digests: Mapping[int, str]
    since: int

    def changed(self, before: Newest) -> list[int]:
        """Return the ids that were added, removed or altered, as far back as both cover the list."""
        since = max(self.since, before.since)
        return sorted(
            number
            for number in {*self.digests, *before.digests}
            if number >= since and self.digests.get(number) != before.digests.get(number)
        )


@dataclass(frozen=True)
class Poll:
    """A poll of a Cachet, by a caller who will poll again, so that it retries little and waits for little.

    Args:
        settings: The server, the token and the bounds.
        api_version: The API version that an earlier poll found; None to find out, in up to 2 requests more.
        seconds: How long it may take in all.
    """

    settings: CachetSettings
    api_version: int | None = None
    seconds: float = SECONDS

    def newest(self) -> tuple[dict[str, Newest], int]:
        """Return the newest rows of each watched list, in a request each, and the API version.

        Raises:
            CachetError: A list could not be read.
        """

        async def work(reader: CachetReader) -> dict[str, Newest]:
            endpoints = [ENDPOINTS[name] for name in WATCHED]
            pages = await gather_bounded(
                *(
                    reader.page(endpoint, _cheap(reader.listing_for(endpoint)), 1, descending=True)
                    for endpoint in endpoints
                )
            )
            return {
                endpoint.name: _newest(page, endpoint.mapping)
                for endpoint, page in zip(endpoints, pages, strict=True)
            }

        return self._run(work)

    def new_metrics(self, known: Collection[int]) -> tuple[list[int], int]:
        """Return the ids of metrics that are not known, in 1 request where there are none, and the API version.

        Pages are read back to the first that holds a known id. A metric below it that was hidden until now
        comes to light with a full load.

        Args:
            known: Ids of metrics.

        Raises:
            CachetError: The list could not be read.
        """

        async def work(reader: CachetReader) -> list[int]:
            metrics = ENDPOINTS["metrics"]
            listing = reader.listing_for(metrics)
            found: set[int] = set()
            number, more = 1, True
            while more:
                page = await reader.page(metrics, listing, number, descending=True)
                found.update(page.ids)
                number, more = number + 1, page.more and found.isdisjoint(known)
            return sorted(found.difference(known))

        return self._run(work)

    def _run(self, work: Callable[[CachetReader], Awaitable[T]]) -> tuple[T, int]:
        """Return what `work` makes of a connected reader, and the API version, within the bound."""
        settings, seconds = self.settings, self.seconds
        bounded = settings.model_copy(
            update={
                "attempts": min(settings.attempts, 2),
                "connect_timeout": min(settings.connect_timeout, seconds / 4),
                "timeout": min(settings.timeout, seconds / 2),
                "max_wait": min(settings.max_wait, seconds),
            }
        )
        reader = CachetReader(bounded, client=CachetClient(bounded))

        async def connected() -> tuple[T, int]:
            async with reader.client:
                known = {api.version: api for api in (API_2, API_3)}.get(self.api_version or 0)
                if known:
                    reader.api = reader.client.api = known
                api = await reader.connect()
                return await work(reader), api.version

        return run(_bounded(connected(), seconds))


async def _bounded(work: Awaitable[T], seconds: float) -> T:
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError as error:
        raise Unreachable(
            f"no whole answer within {seconds:g} s",
            "Check the server, the network and this machine's name resolution.",
        ) from error
    except CachetError:
        raise
    except Exception as error:
        raise CachetError(f"an answer could not be understood ({error!r:.200})") from error


def _cheap(listing: Listing) -> Listing:
    """Return the listing without what costs the server much to include."""
    included = _CHEAP_INCLUDES.intersection(listing.include.split(","))
    return dataclasses.replace(listing, include=",".join(sorted(included)))


def _newest(page: ListPage, mapping: TableMapping) -> Newest:
    parts: dict[int, list[Any]] = {}
    for table, rows in page.rows.rows.items():
        key = "id" if table == mapping.table else f"{mapping.parent}_id"
        for row in rows:
            parts.setdefault(row[key], []).append((table, row))
    return Newest(
        {number: _digest(part) for number, part in parts.items()}, min(page.ids) if page.more else 0
    )


def _digest(part: Any) -> str:
    text = orjson.dumps(part, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(text, digest_size=4).hexdigest()
