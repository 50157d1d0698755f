"""Reads endpoints to their end, in parallel, outside dlt; what the resources then load is already whole.

An endpoint's failure is its own: each result holds either all rows of its tables or the error. What
concerns them all (no such host, not a Cachet, a token that the server does not know) is raised instead,
before anything is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from .apis import API_2, API_3, Api
from .bridge import run
from .by_id import Asking, recent_since, settled
from .client import Answer, CachetClient
from .endpoints import ENDPOINTS, Endpoint, Listing
from .errors import CachetError, NotCachet, NotFound, NotOffered, Refused, Unstable
from .pages import PER_PAGE, Moved, Page, whole_list
from .rows import Parsed, Row, RowContext, data_of, merged, parse, row_id, storable
from .settings import CachetSettings
from .stored import Stored


@dataclass
class EndpointRead:
    """What reading an endpoint gave: all rows of its tables by table name, or the error.

    Attributes:
        endpoint: The endpoint.
        rows: Rows by table; empty where there is an error.
        error: Why it could not be read.
        requests: Requests that it took, retries included.
        seconds: Seconds that it took.
    """

    endpoint: Endpoint
    rows: dict[str, list[Row]] = field(default_factory=dict)
    error: CachetError | None = None
    requests: int = 0
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        """`read`, `not offered` (this Cachet has no such endpoint), `refused` (a guest asked) or `failed`."""
        if self.error is None:
            return "read"
        if isinstance(self.error, NotOffered) and self.endpoint.optional:
            return "not offered"
        return "refused" if isinstance(self.error, NeedsToken) else "failed"


class NeedsToken(Refused):
    """A guest asked for what only a token is shown: expected, and no failure of the run."""


class CachetReader:
    """Reads one Cachet, detecting its API first.

    Args:
        settings: Where, as whom and within which bounds to read.
        stored: What the destination holds, so that requests are spent on what may differ.
        asking: Which rows to ask for by id in any case, by endpoint.
        say: Told in words what a person may want to know while waiting.
    """

    def __init__(
        self,
        settings: CachetSettings,
        stored: Stored | None = None,
        asking: dict[str, Asking] | None = None,
        say: Callable[[str], None] | None = None,
    ):
        self.settings = settings
        self.stored = stored or Stored()
        self.client = CachetClient(settings, say)
        self.api: Api | None = None
        self._asking = asking or {}
        self._version: Answer | None = None
        self._lists: dict[str, asyncio.Task[Parsed]] = {}
        self._trusted = settings.api_key is None

    def read(self, names: Iterable[str]) -> dict[str, EndpointRead]:
        """Read the named endpoints (all but points) to their end, each result on its own.

        Raises:
            CachetError: Nothing could be read at all, or the token is not accepted.
        """
        return run(self._read([ENDPOINTS[name] for name in names]))

    async def connect(self) -> Api:
        """Detect the API, within `async with self.client`, once; two requests at most.

        Raises:
            Refused: The API is protected and there is no token, or not one that it accepts.
            NotCachet: Neither API answers.
        """
        if self.api is None:
            self.api = self.client.api = await self._detect()
        return self.api

    async def _detect(self) -> Api:
        wanted = self.settings.api_version
        tried: CachetError | None = None
        if wanted in ("auto", "3"):
            try:
                self._version = await self.client.get("version", endpoint="versions", api=API_3)
                return API_3
            except (NotFound, NotOffered, NotCachet) as error:
                tried = error
        if wanted in ("auto", "2"):
            try:
                answer = await self.client.get("ping", endpoint="versions", api=API_2)
                if data_of({"data": [answer.document.get("data")]}, "versions") == ["Pong!"]:
                    return API_2
            except (NotFound, NotOffered, NotCachet, AttributeError) as error:
                tried = tried or (error if isinstance(error, CachetError) else None)
        switched_off = isinstance(tried, NotFound) and "switched off" in tried.what
        raise NotCachet(
            f"{self.settings.base_url} does not answer as Cachet 3 (/api/version) or Cachet 2 (/api/v1/ping)"
            + (": its API is switched off" if switched_off else ""),
            "Enable the API in Cachet's settings."
            if switched_off
            else "Set CACHET_BASE_URL to the status page's address.",
        )

    async def _read(self, endpoints: list[Endpoint]) -> dict[str, EndpointRead]:
        async with self.client:
            await self.connect()
            reads: dict[str, EndpointRead] = {}
            if not self._trusted:
                # A bad token on a public endpoint is silently a guest; only `subscribers` tells.
                subscribers = ENDPOINTS["subscribers"]
                if subscribers in endpoints:
                    reads["subscribers"] = await self._endpoint(subscribers)
                    self._believe(reads["subscribers"].error)
                else:
                    await self.check_token()
            rest = [endpoint for endpoint in endpoints if endpoint.name not in reads]
            for read in await asyncio.gather(*map(self._endpoint, rest)):
                reads[read.endpoint.name] = read
            return reads

    async def check_token(self) -> None:
        """Raise Refused where the server does not know the token; one request, once, none for a guest."""
        if self._trusted:
            return
        try:
            await self.client.get(
                "subscribers", {"per_page": "1"}, endpoint="subscribers", bucket="subscribers"
            )
        except CachetError as error:
            self._believe(error)
        self._trusted = True

    def _believe(self, error: CachetError | None) -> None:
        if isinstance(error, Refused) and error.status == 401:
            raise Refused(
                "the server does not know the API token and would answer as to a guest, without hidden rows",
                "Set CACHET_API_TOKEN to a token that is valid and not expired, or unset it to load as a guest.",
            )
        self._trusted = True

    async def _endpoint(self, endpoint: Endpoint) -> EndpointRead:
        read = EndpointRead(endpoint)
        started = time.monotonic()
        before = self.client.requests[endpoint.name]
        try:
            read.rows = await self._rows(endpoint)
        except CachetError as error:
            read.error = error if error.endpoint else type(error)(error.what, error.remedy, endpoint.name)
            if isinstance(error, Refused) and self.settings.api_key is None:
                read.error = NeedsToken(error.what, error.remedy, endpoint.name)
        except Exception as error:  # noqa: BLE001 - one endpoint's surprise must not cost the others their load
            read.error = CachetError(f"an answer could not be understood ({error!r:.200})", "", endpoint.name)
        read.requests = self.client.requests[endpoint.name] - before
        read.seconds = time.monotonic() - started
        return read

    async def _rows(self, endpoint: Endpoint) -> dict[str, list[Row]]:
        listing = endpoint.listing
        if listing is None:
            raise NotOffered("this server does not offer it", "", endpoint.name)
        if endpoint.kind == "observed":
            return {endpoint.name: await self._observed(endpoint, listing)}
        if endpoint.kind == "single":
            answer = await self.client.get(listing.path, listing.params, endpoint=endpoint.name)
            return parse(answer.document, listing.shape, self.context(endpoint.name, answer)).rows
        parsed = await self._list(ENDPOINTS[endpoint.of or endpoint.name])
        if endpoint.single:
            parsed = await self._settled(endpoint, endpoint.single, parsed)
        own = {table: parsed.rows[table] for table in endpoint.tables if table in parsed.rows}
        if endpoint.of:
            own[endpoint.name] = parsed.rows[listing.shape.table]
        return own

    async def _list(self, endpoint: Endpoint) -> Parsed:
        """Read a list once, however many endpoints share it."""
        if endpoint.name not in self._lists:
            assert endpoint.listing is not None
            self._lists[endpoint.name] = asyncio.ensure_future(self._whole_list(endpoint, endpoint.listing))
        return await self._lists[endpoint.name]

    async def _whole_list(self, endpoint: Endpoint, listing: Listing) -> Parsed:
        read = partial(self.page, listing, endpoint.name)
        try:
            pages = await whole_list(read, rows=self.stored.counts.get(listing.shape.table, 0))
        except Moved as error:
            raise Unstable(
                "rows kept being deleted while they were read, three scans in a row",
                "Run again when the page is quieter.",
                endpoint.name,
            ) from error
        return merged((page.rows for page in pages), listing.shape)

    async def page(
        self, listing: Listing, endpoint: str, number: int, *, descending: bool = False, **path: Any
    ) -> Page:
        """Read one page of a list, in ascending order of id or in descending order."""
        answer = await self.client.get(
            listing.path.format(**path),
            {
                **listing.params,
                "per_page": str(PER_PAGE),
                "sort": "-id" if descending else "id",
                "page": str(number),
            },
            endpoint=endpoint,
            bucket=listing.bucket,
        )
        data = data_of(answer.document, endpoint)
        if not isinstance(data, list):
            raise NotCachet("the answer is one row where a list was asked for", "", endpoint)
        ids = [row_id(row, endpoint) for row in data]
        ordered(ids, descending, endpoint)
        links = answer.document.get("links")
        more = bool(isinstance(links, dict) and links.get("next"))
        parsed = parse(answer.document, listing.shape, self.context(endpoint, answer))
        return Page(number, ids, more, parsed)

    async def _settled(self, endpoint: Endpoint, single: Listing, listed: Parsed) -> Parsed:
        async def ask(number: int) -> Parsed:
            answer = await self.client.get(
                single.path.format(id=number), single.params, endpoint=endpoint.name
            )
            return parse(answer.document, single.shape, self.context(endpoint.name, answer))

        return await settled(
            listed,
            single.shape,
            ask,
            stored=self.stored.rows.get(endpoint.tables[0], []),
            stored_links=self.stored.rows.get(single.shape.links, []),
            recent=recent_since(datetime.now(timezone.utc), self.settings.by_id_days),
            asking=self._asking.get(endpoint.name, Asking()),
        )

    async def _observed(self, endpoint: Endpoint, listing: Listing) -> list[Row]:
        if endpoint.name == "versions" and self._version is not None:
            answer, self._version = self._version, None
        else:
            answer = await self.client.get(listing.path, listing.params, endpoint=endpoint.name)
        data = data_of(answer.document, endpoint.name)
        row: Row = {name: storable(value) for name, value in data.items()}
        if endpoint.name == "versions":
            assert self.api is not None
            row["api_version"] = self.api.version
        newest = max(
            self.stored.rows.get(endpoint.name, []), key=lambda seen: seen["observed_at"], default={}
        )
        if all(newest.get(name) == value for name, value in row.items()):
            return []
        return [{**row, "observed_at": answer.at}]

    def context(self, endpoint: str, answer: Answer) -> RowContext:
        """Return what reading the answer's values takes."""
        settings = self.settings
        return RowContext(ZoneInfo(settings.timezone), settings.subscriber_emails, answer.at, endpoint)


def ordered(ids: list[int], descending: bool, endpoint: str) -> None:
    """Raise NotCachet unless ids come in the order that was asked for, each once."""
    if ids != sorted(set(ids), reverse=descending):
        raise NotCachet("the rows are not in the order of their ids, which was asked for", "", endpoint)
