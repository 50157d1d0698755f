"""One HTTP client for Cachet: the token, the rate limit, retries, and errors that say what to do.

aiohttp and orjson, because the client is the largest cost of a load: a page of 100 points takes 0.3 ms of
CPU with them and 2.1 ms with dlt's own helper. Only transport faults are retried; every wait has a bound.
The token goes to the configured origin only: links are never followed, a redirect only to where the request
was sent anyway, and a server's message is quoted without the token, should it repeat it. One client may be
used in several event loops, one after the other or at once: each has a session, all share the rate limit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from cachet_dagster.source.errors import NotCachet, SettingsError, Unreachable
from cachet_dagster.source.settings import CachetSettings

from .api import API_3, Api
from .rate_limit import RateLimit, Reservation
from .response import Answer, parse, read_body
from .transport import TransportError, transport_error

logger = logging.getLogger("cachet_dagster")

OUTAGE = 8
"""Requests in a row without any answer that are an outage of the server, and not the fault of one request."""

_LONGEST_PAUSE = 30.0
_REDIRECTS = 3


@dataclass(frozen=True)
class _Session:
    """What belongs to one event loop."""

    http: aiohttp.ClientSession
    slots: asyncio.Semaphore


@dataclass(frozen=True)
class _Request:
    """One GET, with all that bounds it; `attempts` is how often it is sent at most while the server answers."""

    url: URL
    headers: Mapping[str, str]
    endpoint: str
    bucket: str
    attempts: int
    deadline: float


class CachetClient:
    """Asynchronous client, used as `async with client:`; what it learned of the rate limit outlives a session.

    Args:
        settings: The server, the token and the bounds.
        log: Called with what a person may want to know while waiting.
    """

    def __init__(self, settings: CachetSettings, log: Callable[[str], None] | None = None):
        self.settings = settings
        self.requests: Counter[str] = Counter()
        self.api = API_3
        self._log = log or logger.info
        self._rate_limit = RateLimit(settings, self._log)
        # Requests in a row without any answer, and when the first of them failed.
        self._unanswered = 0
        self._unanswered_since = math.inf
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}

    @property
    def request_count(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return sum(self.requests.values())

    @property
    def granted_per_minute(self) -> int | None:
        """Requests a minute that the server grants and the user's cap allows; None where neither is known."""
        return self._rate_limit.granted_per_minute

    async def __aenter__(self) -> CachetClient:
        settings = self.settings
        self._sessions[asyncio.get_running_loop()] = _Session(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=settings.connections, ssl=_verification(settings)),
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    # Or a cache in front of Cachet may answer with rows of another time or of another viewer.
                    "Cache-Control": "no-cache",
                    "User-Agent": "cachet_dagster",
                    **settings.extra_headers,
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                # aiohttp's own way with the environment would also send passwords of a .netrc.
                proxy=_proxy(settings.base_url),
                # What is unpacked counts for the cap, and is unpacked no further.
                auto_decompress=False,
            ),
            asyncio.Semaphore(settings.connections),
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.http.close()

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        endpoint: str,
        bucket: str = "api",
        api: Api | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """Return the answer to one GET below the base URL, after retries and waiting for the rate limit.

        Args:
            path: Path below the API's root, such as `incidents`.
            params: Query parameters.
            endpoint: The endpoint that an error names.
            bucket: Which rate limit counts it.
            api: The API; None for `self.api`.
            attempts: How often to send it at most; None for `settings.attempts`.

        Raises:
            Unreachable: No whole answer came within the bounds.
            NotCachet: The answer is not one of a Cachet.
            Refused: 401 or 403.
            NotOffered: 404 of a route.
            NotFound: 404 of a row.
            CachetError: Any other refusal, in the server's words.
        """
        api = api or self.api
        settings = self.settings
        token = settings.token
        if token and settings.basic_auth and api.header == "Authorization":
            # Which API it is has to be found out first: Cachet 2 takes its token in another header.
            if endpoint != "versions":
                raise SettingsError(
                    "Cachet 3 takes the token in the header in which {basic_auth} is sent",
                    "Exempt /api from the password of the server in front and unset {basic_auth}, or unset {api_key} "
                    "to load as a guest.",
                )
            token = None
        session = self._sessions.get(asyncio.get_running_loop())
        assert session is not None, "use the client as `async with client:`"
        async with session.slots:
            request = _Request(
                URL(f"{settings.base_url}{api.root}/{path}").update_query(params),
                api.auth(token),
                endpoint,
                bucket,
                attempts or settings.attempts,
                time.monotonic() + settings.max_wait,
            )
            return await self._get(session.http, request)

    async def _get(self, http: aiohttp.ClientSession, request: _Request) -> Answer:
        """Send a request until it is answered: while the server answers others, as often as it may be sent."""
        endpoint, pause = request.endpoint, self.settings.retry_delay
        faults = sent = 0
        while True:
            self._check_outage(endpoint)
            reservation = await self._rate_limit.acquire(request.bucket, request.deadline, endpoint)
            during_outage = self._unanswered >= OUTAGE
            sent += 1
            try:
                answer = await self._attempt(http, request, reservation)
                if answer is not None:
                    return answer
                # 429: the rate limit has learned how long to wait.
                continue
            except TransportError as raised:
                error = raised
            # During an outage time alone is the bound, so that a restart of the server costs no load.
            faults += not during_outage
            wait = max(pause * random.uniform(0.8, 1.2), error.wait)  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)
            if faults >= request.attempts or time.monotonic() + wait > request.deadline:
                times = "once" if sent == 1 else f"{sent} times"
                raise Unreachable(f"{error}; asked {times} at {self.settings.origin}", error.remedy, endpoint)
            logger.debug("%s: %s; retrying in %.1f s", endpoint, error, wait)
            await asyncio.sleep(wait)

    def _check_outage(self, endpoint: str) -> None:
        """Raise Unreachable where an outage has lasted as long as a request may wait: all requests end together."""
        if self._unanswered >= OUTAGE and time.monotonic() - self._unanswered_since >= self.settings.max_wait:
            raise Unreachable(
                f"not sent, since {self.settings.origin} did not answer the last {self._unanswered} requests",
                "Check the server and the network, then run again.",
                endpoint,
            )

    async def _attempt(
        self, http: aiohttp.ClientSession, request: _Request, reservation: Reservation
    ) -> Answer | None:
        """Send a request once, and return its answer; None where it was refused for its rate.

        Raises:
            TransportError: It may be sent again.
            CachetError: It would be answered in the same way again.
        """
        self.requests[request.endpoint] += 1
        try:
            status, headers, body = await self._send(http, request)
        except BaseException as error:
            self._rate_limit.record(reservation, None, 0)
            if isinstance(error, TransportError):
                self._record_unanswered()
            raise
        self._rate_limit.record(reservation, headers, status)
        self._unanswered = 0
        if status == 429:
            return None
        return parse(self.settings, request.endpoint, status, headers, body)

    def _record_unanswered(self) -> None:
        if not self._unanswered:
            self._unanswered_since = time.monotonic()
        self._unanswered += 1
        if self._unanswered == OUTAGE:
            self._log(
                f"no answer to {OUTAGE} requests in a row: requests are sent again, with growing pauses, "
                f"for up to {self.settings.max_wait:g} s"
            )

    async def _send(
        self, http: aiohttp.ClientSession, request: _Request
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request, following redirects within the origin, and return status, headers and body."""
        settings, url, endpoint = self.settings, request.url, request.endpoint
        allowed = max(0.001, min(settings.timeout, request.deadline - time.monotonic()))
        ends = time.monotonic() + allowed
        for _ in range(_REDIRECTS + 1):
            timeout = aiohttp.ClientTimeout(
                total=max(0.001, ends - time.monotonic()), sock_connect=settings.connect_timeout
            )
            try:
                async with http.get(
                    url, headers=request.headers, allow_redirects=False, timeout=timeout
                ) as response:
                    if response.status not in (301, 302, 303, 307, 308):
                        return (
                            response.status,
                            response.headers,
                            await read_body(response, settings.max_body, endpoint),
                        )
                    url = self._redirected(url, response.headers.get("Location", ""), endpoint)
                    self.requests[endpoint] += 1
            except aiohttp.InvalidURL:
                raise NotCachet(
                    f"{settings.origin} is not an address", "Check {base_url}.", endpoint
                ) from None
            except (aiohttp.ClientError, OSError) as error:
                raise transport_error(error, url, settings, endpoint, allowed) from None
        raise NotCachet(
            f"{settings.origin} redirects in a circle",
            "Set {base_url} to the status page's address.",
            endpoint,
        )

    def _redirected(self, url: URL, location: str, endpoint: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError:
            target = URL()
        # The address compared is the very object that is requested, so that no two readings of it can differ.
        same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
        if not same or target.user or target.password:
            where = f"{target.origin()}" if target.host and target.scheme.startswith("http") else "nowhere"
            raise NotCachet(
                f"{self.settings.origin} redirects to {where}, where the token is not sent",
                "If that is your status page, set {base_url} to it. If it is a sign-in page, let requests below /api "
                "pass it, by this machine's address or by {headers}.",
                endpoint,
            )
        return target


def _verification(settings: CachetSettings) -> ssl.SSLContext | bool:
    if urlsplit(settings.base_url).scheme == "http":
        return True
    try:
        return ssl.create_default_context(cafile=settings.ca_bundle)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"the file {settings.ca_bundle} holds no certificates that can be read",
            "Set {ca_bundle} to a PEM file of certificates.",
        ) from error


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address, as curl reads it: without a scheme it is http."""
    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(parts.netloc):
        return None
    found = found if "://" in found else f"http://{found}"
    scheme, host = urlsplit(found).scheme.lower(), urlsplit(found).hostname
    if scheme not in ("http", "https") or not host:
        raise SettingsError(
            f"the environment names a proxy of kind {scheme}, which is not supported",
            f"Set {parts.scheme.upper()}_PROXY to an http proxy such as http://proxy.example.com:3128, or add "
            f"{parts.hostname} to NO_PROXY.",
        )
    return found
