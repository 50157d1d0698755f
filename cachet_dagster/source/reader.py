"""Reads endpoints to their end, in parallel, outside dlt; what the resources then load is already whole.

An endpoint's failure is its own: each result holds either all rows of its tables or the error. What
concerns them all (no such host, not a Cachet, a token that the server does not know) is raised instead,
before anything is read.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from .details import ByIdRequest, DetailReader
from .detection import detect_api
from .endpoint_read import EndpointRead
from .endpoints import ENDPOINTS, Endpoint
from .errors import (
    CachetError,
    NeedsToken,
    NotCachet,
    NotFound,
    NotOffered,
    NotUnderstood,
    Refused,
    Unreachable,
    Unstable,
)
from .event_loop import run
from .http.api import Api
from .http.client import CachetClient
from .http.response import Answer
from .listing import Listing, Parsed, merged
from .pagination import PER_PAGE, ListChanged, ListPage
from .rows import Row, RowContext, data_of, row_id
from .settings import CachetSettings
from .stored import Stored
from .tables import TABLES

logger = logging.getLogger("cachet_dagster")


class CachetReader:
    """Reads one Cachet, detecting its API first.

    Args:
        settings: Where, as whom and within which bounds to read.
        stored: What the destination holds, so that requests are spent on what may differ.
        by_id: Which rows to ask for by id in any case, by endpoint.
        log: Called with what a person may want to know while waiting.
        sleep: Waits so many seconds before times that may stand for a null are looked at again.
        client: The client to read with; None for one of the settings.
        now: Tells the time, which decides whose turn it is to be read again.
    """

    def __init__(
        self,
        settings: CachetSettings,
        stored: Stored | None = None,
        by_id: dict[str, ByIdRequest] | None = None,
        log: Callable[[str], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        client: CachetClient | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ):
        self.settings = settings
        self.stored = stored or Stored()
        self.client = client or CachetClient(settings, log)
        self._log = log or logger.info
        self._sleep = sleep
        self._now = now
        self.api: Api | None = None
        # The server's clock at its newest answer, and at one before any row was asked for.
        self.clock: datetime | None = None
        self.started_at: datetime | None = None
        self._by_id = by_id or {}
        self._version: Answer | None = None
        self._spent: Counter[str] = Counter()
        self._lists: dict[str, asyncio.Task[Parsed]] = {}
        self._unreadable: dict[str, list[int]] = {}
        self._trusted = settings.api_key is None
        # What `subscribers`, which alone tells a token from a guest, answered where it did not show its rows.
        self.token_error: CachetError | None = None

    def read(self, names: Iterable[str]) -> dict[str, EndpointRead]:
        """Read the named endpoints (all but points) to their end, each result on its own.

        Raises:
            CachetError: Nothing could be read at all, or the token is not accepted.
        """
        return run(self._read([ENDPOINTS[name] for name in names]))

    async def connect(self) -> Api:
        """Detect the API, within `async with self.client`, once; three requests at most on a server that answers.

        Raises:
            CachetError: What `detect_api` raises.
        """
        if self.api is None:
            try:
                self.api, answer, tells_version = await detect_api(self.client, self.settings)
            except CachetError as error:
                raise error.about("") from None
            self.client.api, self.started_at = self.api, answer.at
            self._version = answer if tells_version else None
        return self.api

    async def _read(self, endpoints: list[Endpoint]) -> dict[str, EndpointRead]:
        async with self.client:
            # Not when its turn comes: another may have asked for a list that both need.
            self._spent = Counter(self.client.requests)
            await self.connect()
            reads: dict[str, EndpointRead] = {}
            if not self._trusted:
                # A bad token on a public endpoint is silently a guest; only `subscribers` tells.
                subscribers = ENDPOINTS["subscribers"]
                if subscribers in endpoints:
                    reads["subscribers"] = await self._endpoint(subscribers)
                    self._record_token_check(reads["subscribers"].error)
                else:
                    await self.check_token()
            rest = [endpoint for endpoint in endpoints if endpoint.name not in reads]
            for read in await asyncio.gather(*map(self._endpoint, rest)):
                reads[read.endpoint.name] = read
            for read in reads.values():
                shared = read.endpoint.of
                if shared and shared not in reads:
                    read.requests += self.client.requests[shared] - self._spent[shared]
            return reads

    async def check_token(self) -> None:
        """Raise Refused where the server does not know the token; one request, once, none for a guest."""
        if self._trusted:
            return
        listing = self.listing_for(ENDPOINTS["subscribers"])
        try:
            await self.client.get(
                listing.path, {"per_page": "1"}, endpoint="subscribers", bucket=listing.bucket
            )
        except CachetError as error:
            self._record_token_check(error)
        self._trusted = True

    def _record_token_check(self, error: CachetError | None) -> None:
        if isinstance(error, Refused) and error.status == 401:
            raise Refused(
                "the server does not know the API token and would answer as to a guest, without hidden rows",
                "Set {api_key} to a token that is valid and not expired, or unset it to load as a guest.",
            )
        self.token_error = error
        self._trusted = True

    @property
    def token_unproven(self) -> bool:
        """Whether the token could not be checked, since the endpoint that tells fails for another reason."""
        return not isinstance(self.token_error, (Refused, NotFound, NotOffered, type(None)))

    async def _endpoint(self, endpoint: Endpoint) -> EndpointRead:
        read = EndpointRead(endpoint)
        started = time.monotonic()
        try:
            rows = await self._rows(endpoint)
            self._check_unproven_token(endpoint, rows)
            read.rows = rows
            read.unreadable = self._unreadable.get(endpoint.name, [])
        except CachetError as error:
            # A list that several endpoints share fails for each of them.
            read.error = self._classified(error, endpoint)
        except Exception as error:  # noqa: BLE001 - one endpoint's surprise must not cost the others their load
            read.error = NotUnderstood(
                f"an answer could not be understood ({error!r:.200})", "", endpoint.name
            )
        read.requests = self.client.requests[endpoint.name] - self._spent[endpoint.name]
        read.seconds = time.monotonic() - started
        return read

    def _check_unproven_token(self, endpoint: Endpoint, rows: dict[str, list[Row]]) -> None:
        """Raise where rows seem gone, and the token that shows hidden rows may just be valid no more."""
        if self.token_error is None or not self.token_unproven:
            return
        table = endpoint.tables[0]
        gone = self.stored.ids.get(table, set()) - {row["id"] for row in rows[table] if "id" in row}
        if gone:
            raise CachetError(
                f"{len(gone):,} stored rows are not shown, and whether they are gone or the server no longer knows the "
                f"API token cannot be told, since subscribers fails ({self.token_error.what})",
                "Run again when the server answers subscribers, or unset {api_key} to load as a guest.",
                endpoint.name,
            )

    def _classified(self, error: CachetError, endpoint: Endpoint) -> CachetError:
        """Return an endpoint's error as what it is: expected of this Cachet or of a guest, or a failure."""
        listing = endpoint.listing(self.api.version) if self.api else None
        if listing and listing.optional and isinstance(error, (NotFound, NotOffered)):
            return NotOffered("this server does not offer it", "", endpoint.name)
        if listing and isinstance(error, NotOffered):
            return NotFound(error.what, error.remedy, endpoint.name)
        guest = self.settings.api_key is None
        # A guest, or a token that the server knows, asked for more than it may see.
        if listing and listing.private and isinstance(error, Refused) and (guest or error.status == 403):
            return NeedsToken(error.what, error.remedy, endpoint.name, status=error.status)
        return error.about(endpoint.name)

    def listing_for(self, endpoint: Endpoint) -> Listing:
        """Return how the detected API is asked. Raises NotOffered where it lacks the endpoint."""
        assert self.api is not None
        listing = endpoint.listing(self.api.version)
        if listing is None:
            raise NotOffered(f"Cachet {self.api.version} does not offer it", "", endpoint.name)
        return listing

    async def _rows(self, endpoint: Endpoint) -> dict[str, list[Row]]:
        listing = self.listing_for(endpoint)
        if endpoint.kind.appends:
            return {endpoint.name: await self._observed(endpoint, listing)}
        if not endpoint.kind.has_ids:
            answer = await self.client.get(listing.path, listing.query, endpoint=endpoint.name)
            return listing.parse(answer.document, endpoint.mapping, self.context(endpoint.name, answer)).rows
        parsed = await self._list(ENDPOINTS[endpoint.of or endpoint.name])
        if endpoint.has_details:
            parsed = await self._with_details(endpoint, listing, parsed)
        if listing.links_lack_names and endpoint.mapping.links in endpoint.tables:
            await self._name(parsed.rows[endpoint.mapping.links], endpoint)
        # A table that this API does not fill is there all the same, so that SQL written for another works.
        own = {table: parsed.rows.get(table, []) for table in endpoint.tables}
        if endpoint.of:
            own[endpoint.name] = parsed.rows[endpoint.mapping.table]
        return own

    async def _name(self, links: list[Row], endpoint: Endpoint) -> None:
        """Give links the names of their components, where the list of components tells them."""
        try:
            components = await self._list(ENDPOINTS["components"]) if links else Parsed({"components": []})
        except CachetError as error:
            self._log(f"{endpoint.name}: links to components have no names, since {error.what}")
            return
        names = {row["id"]: row.get("name") for row in components.rows["components"]}
        for link in links:
            link["component_name"] = names.get(link["component_id"])

    async def _list(self, endpoint: Endpoint) -> Parsed:
        """Read a list once, however many endpoints share it."""
        if endpoint.name not in self._lists:
            self._lists[endpoint.name] = asyncio.ensure_future(self._whole_list(endpoint))
        return await self._lists[endpoint.name]

    async def _whole_list(self, endpoint: Endpoint) -> Parsed:
        listing, mapping = self.listing_for(endpoint), endpoint.mapping
        read = partial(self.page, endpoint, listing)
        try:
            pages = await listing.paging.whole(read, rows=self.stored.counts.get(mapping.table, 0))
        except ListChanged as error:
            raise Unstable(
                str(error) or "rows kept being deleted while they were read, three scans in a row",
                "Run again when the page is quieter.",
                endpoint.name,
            ) from error
        parsed = merged([page.rows for page in pages], mapping)
        if listing.resolve:
            tables = (mapping.table, f"{mapping.table}_by_id")
            stored = [row for table in tables for row in self.stored.rows.get(table, [])]
            await listing.resolve(parsed, mapping, pages, read, stored, self._sleep)
        return parsed

    async def page(
        self,
        endpoint: Endpoint,
        listing: Listing,
        number: int,
        *,
        descending: bool = False,
        per_page: int = PER_PAGE,
        **path: Any,
    ) -> ListPage:
        """Read one page of a list, in ascending order of id or in descending order."""
        paging, name = listing.paging, endpoint.name
        answer = await self.client.get(
            listing.path.format(**path),
            {**listing.query, **paging.query(number, descending, per_page)},
            endpoint=name,
            bucket=listing.bucket,
        )
        data = data_of(answer.document, name)
        if not isinstance(data, list):
            raise NotCachet("the answer is one row where a list was asked for", "", name)
        ids = [row_id(row, name) for row in data]
        if paging.ordered and ids != sorted(set(ids), reverse=descending):
            raise NotCachet("the rows are not in the order of their ids, which was asked for", "", name)
        more, total, pages = paging.envelope(answer.document)
        rows = listing.parse(answer.document, endpoint.mapping, self.context(name, answer))
        return ListPage(number, ids, more, rows, total, pages, descending, per_page, answer.at)

    async def _with_details(self, endpoint: Endpoint, listing: Listing, listed: Parsed) -> Parsed:
        # Updates are those of the list, whichever way a row is read.
        mapping = replace(endpoint.mapping, updates="")
        # What else comes with the rows costs the server much.
        impacts = replace(listing, include="components")

        async def ask(number: int) -> Parsed:
            answer = await self.client.get(
                listing.by_id.format(id=number), listing.included, endpoint=endpoint.name
            )
            return listing.parse(answer.document, mapping, self.context(endpoint.name, answer))

        pages = math.ceil(len(listed.rows[mapping.table]) / PER_PAGE)
        whole = await DetailReader(
            endpoint.mapping,
            partial(self.page, replace(endpoint, mapping=mapping), impacts),
            ask if listing.by_id else None,
            stored=self.stored.rows.get(endpoint.tables[0], []),
            stored_links=self.stored.rows.get(mapping.links, []),
            request=self._by_id.get(endpoint.name, ByIdRequest()),
            most_pages=min(self.settings.impact_requests, 3 * pages),
            at=self._now(),
            log=self._log,
        ).complete(listed)
        self._unreadable[endpoint.name] = sorted(whole.unreadable)
        return whole

    async def _observed(self, endpoint: Endpoint, listing: Listing) -> list[Row]:
        answer = await self._observation(endpoint, listing)
        row: Row = {}
        if answer is not None:
            parsed = listing.parse(answer.document, endpoint.mapping, self.context(endpoint.name, answer))
            row = parsed.rows[endpoint.name][0]
        if endpoint.name == "versions":
            assert self.api is not None
            row["api_version"] = self.api.version
        newest = max(
            self.stored.rows.get(endpoint.name, []), key=lambda seen: seen["observed_at"], default={}
        )
        # Only what is declared is known of the stored row.
        compared = row.keys() & {column.name for column in TABLES[endpoint.name].columns}
        if all(newest.get(name) == row[name] for name in compared):
            return []
        return [{**row, "observed_at": answer.at if answer else datetime.now(timezone.utc)}]

    async def _observation(self, endpoint: Endpoint, listing: Listing) -> Answer | None:
        """Return the answer; None where the endpoint is one that fails at times, and does."""
        if endpoint.name == "versions" and self._version is not None:
            answer, self._version = self._version, None
            return answer
        attempts = 1 if listing.flaky else None
        try:
            return await self.client.get(
                listing.path, listing.query, endpoint=endpoint.name, attempts=attempts
            )
        except Unreachable as error:
            if not listing.flaky:
                raise
            self._log(f"{endpoint.name}: {error.what}; it fails at times though all else works")
            return None

    def context(self, endpoint: str, answer: Answer) -> RowContext:
        """Return what reading the answer's values takes, and note the server's clock."""
        self.clock = max(answer.at, self.clock or answer.at)
        settings = self.settings
        server = ZoneInfo(settings.timezone)
        return RowContext(
            self.zone, settings.subscriber_emails, answer.at, endpoint, server, settings.hash_key
        )

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which the server prints times to this reader."""
        return ZoneInfo((self.api and self.api.zone) or self.settings.timezone)
