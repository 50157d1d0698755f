"""One HTTP client for Cachet: the token, the rate limit, retries, and errors that say what to do.

aiohttp and orjson, because the client is the largest cost of a load: a page of 100 points takes 0.3 ms of
CPU with them and 2.1 ms with dlt's own helper. Only transport faults are retried; every wait has a bound.
The token goes to the configured origin only: links are never followed, a redirect only to where the request
was sent anyway, and what the server says is told without the token, should it repeat it. One client may be
used in several event loops, one after the other or at once: each has a session, all share the rate limit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import ssl
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from yarl import URL

from cachet_dagster.source.errors import (
    CachetError,
    NotCachet,
    NotFound,
    NotOffered,
    Refused,
    SettingsError,
    Unreachable,
)
from cachet_dagster.source.settings import CachetSettings

from .api import API_3, Api
from .rate_limit import RateLimiter, told_to_wait

logger = logging.getLogger("cachet_dagster")

_REDIRECTS = 3

# A server that is gone must not cost every request all its attempts: after so many requests in a row
# without any answer the next ones are sent once, and after twice as many they are not sent.
_SILENT = 8

_TLS_REMEDIES = {
    "self-signed certificate": "For a private CA set CACHET_CA_BUNDLE to a file with its certificates.",
    "unable to get": "For a private CA set CACHET_CA_BUNDLE to a file with its certificates.",
    "expired": "Renew the server's certificate, or check this machine's clock.",
    "mismatch": "Set CACHET_BASE_URL to a name that the certificate is for.",
}


@dataclass(frozen=True)
class Answer:
    """One answer of the API: the parsed document, and when the server says that it gave it (UTC)."""

    document: Any
    headers: Mapping[str, str]
    at: datetime


class _TransportError(Exception):
    """The request may be sent again: nothing came, or not all of it. `remedy` is for when it never does."""

    def __init__(self, what: str, remedy: str = "Check the server and the network, then run again."):
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True)
class _Session:
    """What belongs to one event loop."""

    http: aiohttp.ClientSession
    slots: asyncio.Semaphore


class CachetClient:
    """Asynchronous client, used as `async with client:`; what it learned of the rate limit outlives a session.

    Args:
        settings: Where, as whom and within which bounds to read.
        log: Told in words what a person may want to know while waiting.
    """

    def __init__(self, settings: CachetSettings, log: Callable[[str], None] | None = None):
        self.settings = settings
        self.requests: Counter[str] = Counter()
        self.api = API_3
        self._log = log or logger.info
        cap = settings.requests_per_minute
        if cap is not None:
            cap = max(1, int(cap * settings.rate_window / 60))
        # `subscribers` is counted per user, everything else per address.
        self._budgets = {
            bucket: RateLimiter(settings.rate_window, cap, self._log) for bucket in ("api", "subscribers")
        }
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._silent = 0

    @property
    def request_count(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return sum(self.requests.values())

    @property
    def granted_per_minute(self) -> int | None:
        """Requests a minute that the server grants, as far as its answers told; None where it named none."""
        limit = self._budgets["api"].limit
        return None if limit is None else max(1, int(limit * 60 / self.settings.rate_window))

    async def __aenter__(self) -> CachetClient:
        settings = self.settings
        timeout = aiohttp.ClientTimeout(total=settings.timeout, sock_connect=settings.connect_timeout)
        self._sessions[asyncio.get_running_loop()] = _Session(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=settings.connections, ssl=_verification(settings)),
                timeout=timeout,
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    "User-Agent": "cachet_dagster",
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
        decode: Callable[[bytes], Any] | None = None,
    ) -> Answer:
        """Return the answer to one GET below the base URL, after retries and waiting for the rate limit.

        Args:
            path: Path below the API's root, such as `incidents`.
            params: Query parameters.
            endpoint: Whom an error concerns.
            bucket: Which rate limit counts it.
            api: Which API to ask; None for the one that `self.api` names.
            attempts: How often to send it at most; None for as often as the settings say.
            decode: Makes a document of a good answer's text; where it returns None, any JSON is taken.

        Raises:
            Unreachable: No whole answer came within the bounds.
            NotCachet: The answer is not one of a Cachet.
            Refused: 401 or 403.
            NotOffered: 404 of a route.
            NotFound: 404 of a row.
            CachetError: Any other refusal, in the server's words.
        """
        api = api or self.api
        url = URL(f"{self.settings.base_url}{api.root}/{path}").update_query(params)
        auth = api.auth(self.settings.token)
        session = self._sessions.get(asyncio.get_running_loop())
        assert session is not None, "use the client as `async with client:`"
        async with session.slots:
            return await self._get(session.http, url, auth, endpoint, self._budgets[bucket], attempts, decode)

    async def _get(
        self,
        http: aiohttp.ClientSession,
        url: URL,
        auth: Mapping[str, str],
        endpoint: str,
        budget: RateLimiter,
        attempts: int | None,
        decode: Callable[[bytes], Any] | None,
    ) -> Answer:
        settings = self.settings
        deadline = time.monotonic() + settings.max_wait
        faults = 0
        while True:
            if self._silent >= 2 * _SILENT:
                raise Unreachable(
                    f"not asked, since {settings.origin} did not answer the last {self._silent} requests",
                    "Check the server and the network, then run again.",
                    endpoint,
                )
            reservation = await budget.acquire(deadline)
            if reservation is None:
                raise self._no_grant(budget.opens_in, endpoint)
            self.requests[endpoint] += 1
            headers: Mapping[str, str] | None = None
            status = 0
            told = None
            try:
                status, headers, body = await self._send(http, url, auth, endpoint, deadline)
                if status == 429:
                    # `record` learns how long to wait from it, and `acquire` waits or gives up.
                    continue
                if status >= 500:
                    told = told_to_wait(headers)
                    fault = _TransportError(
                        f"the server fails ({status}{self._said(body)})",
                        "Check the server's log, then run again.",
                    )
                else:
                    document = decode(body) if decode and status == 200 else None
                    answer = self._answer(status, headers, body, endpoint, document)
                    self._silent = 0
                    return answer
            except _TransportError as error:
                fault = error
            except CachetError:
                self._silent = 0
                raise
            finally:
                budget.record(reservation, headers, status)
            faults += 1
            pause = settings.retry_delay * 2 ** (faults - 1) * random.uniform(0.8, 1.2)  # noqa: S311
            pause = max(pause, told or 0)
            most = attempts or (settings.attempts if self._silent < _SILENT else 1)
            if faults >= most or time.monotonic() + pause > deadline:
                self._silent = 0 if status else self._silent + 1
                raise Unreachable(
                    f"{fault}; asked {_times(faults)} at {settings.origin}", fault.remedy, endpoint
                )
            logger.debug("%s: %s; asking again in %.1f s", endpoint, fault, pause)
            await asyncio.sleep(pause)

    def _no_grant(self, opens_in: float, endpoint: str) -> Unreachable:
        bound = f"{self.settings.max_wait:g} s"
        if not opens_in:
            return Unreachable(
                f"{self.settings.origin} did not answer the requests before this one within {bound}",
                "Check the server and the network, then run again.",
                endpoint,
            )
        return Unreachable(
            f"the server's rate limit grants nothing for {opens_in:.0f} s, and a request may wait {bound}",
            "Run again later, or set CACHET_MAX_WAIT to more seconds.",
            endpoint,
        )

    async def _send(
        self, http: aiohttp.ClientSession, url: URL, auth: Mapping[str, str], endpoint: str, deadline: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        settings = self.settings
        place = f"{url.host}:{url.port}"
        allowed = max(0.001, min(settings.timeout, deadline - time.monotonic()))
        ends = time.monotonic() + allowed
        for _ in range(_REDIRECTS + 1):
            timeout = aiohttp.ClientTimeout(
                total=max(0.001, ends - time.monotonic()), sock_connect=settings.connect_timeout
            )
            try:
                async with http.get(url, headers=auth, allow_redirects=False, timeout=timeout) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        url = self._redirected(url, response.headers.get("Location", ""), endpoint)
                        self.requests[endpoint] += 1
                        continue
                    return response.status, response.headers, await self._body(response, endpoint)
            except aiohttp.ClientConnectorCertificateError as error:
                raise _bad_certificate(settings.origin, error.certificate_error, endpoint) from None
            except aiohttp.ClientConnectorDNSError:
                raise _TransportError(
                    f"there is no host {url.host}",
                    "Check CACHET_BASE_URL, or this machine's name resolution.",
                ) from None
            except aiohttp.ClientConnectorSSLError as error:
                reason = getattr(error.os_error, "reason", None) or str(error.os_error)
                raise _TransportError(
                    f"{place} does not speak TLS properly ({str(reason).replace('_', ' ').lower()})",
                    "Check whether CACHET_BASE_URL has to begin with http:// or has the right port.",
                ) from None
            except aiohttp.ClientProxyConnectionError as error:
                raise _TransportError(
                    f"cannot connect to the proxy {error.host}:{error.port}",
                    "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
                ) from None
            except aiohttp.ClientConnectorError as error:
                raise _TransportError(
                    f"{place} {_refusal(error.os_error)}",
                    "Check that the server runs and that CACHET_BASE_URL has its address and port.",
                ) from None
            except asyncio.TimeoutError as error:
                if isinstance(error, aiohttp.ConnectionTimeoutError):
                    raise _TransportError(
                        f"no connection to {place} within {settings.connect_timeout:g} s",
                        "Check CACHET_BASE_URL and the network, or set CACHET_CONNECT_TIMEOUT to more seconds.",
                    ) from None
                variable = "CACHET_TIMEOUT" if allowed == settings.timeout else "CACHET_MAX_WAIT"
                raise _TransportError(
                    f"no whole answer within {allowed:.3g} s",
                    f"Check the server's load and the network, or set {variable} to more seconds.",
                ) from None
            except aiohttp.InvalidURL:
                raise NotCachet(
                    f"{settings.origin} is not an address", "Check CACHET_BASE_URL.", endpoint
                ) from None
            except aiohttp.ClientResponseError:
                # Not told, since its representation holds the request's headers.
                raise _TransportError("the answer is not proper HTTP") from None
            except (aiohttp.ClientError, OSError):
                raise _TransportError("the answer was cut off") from None
        raise NotCachet(
            f"{settings.origin} redirects in a circle",
            "Set CACHET_BASE_URL to the status page's address.",
            endpoint,
        )

    def _redirected(self, url: URL, location: str, endpoint: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError:
            target = URL()
        # The address compared is the very object that is asked, so that no two readings of it can differ.
        same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
        if not same or target.user or target.password:
            where = f"{target.scheme}://{target.host}" if target.host else "nowhere"
            raise NotCachet(
                f"{self.settings.origin} redirects to {where}, where the token is not sent",
                "If that is your status page, set CACHET_BASE_URL to it.",
                endpoint,
            )
        return target

    async def _body(self, response: aiohttp.ClientResponse, endpoint: str) -> bytes:
        limit = self.settings.max_body
        too_large = NotCachet(
            f"an answer is larger than {limit:,} bytes",
            "If that is right, set CACHET_MAX_BODY to more bytes.",
            endpoint,
        )
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return body
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise NotCachet(
                f"an answer is packed as {encoding[:20]!r}, which was not asked for",
                "Check the server.",
                endpoint,
            )
        unpacker = zlib.decompressobj(wbits=47)
        try:
            body = unpacker.decompress(body, limit + 1)
        except zlib.error:
            raise _TransportError("the answer's gzip is broken") from None
        if len(body) > limit:
            raise too_large
        if not unpacker.eof:
            raise _TransportError("the answer's gzip is cut off")
        return body

    def _answer(
        self, status: int, headers: Mapping[str, str], body: bytes, endpoint: str, document: Any
    ) -> Answer:
        if document is None:
            document = _parsed(headers, body, endpoint, self.settings.base_url, status)
        if status == 200:
            return Answer(document, headers, _date(headers))
        message = self._without_token(_message(document))
        if status == 401 and self.settings.api_key:
            raise Refused(
                "the server does not accept the API token",
                "Set CACHET_API_TOKEN to a token that is valid and not expired.",
                endpoint,
            )
        if status == 401:
            raise Refused("the server wants an API token", "Set CACHET_API_TOKEN.", endpoint)
        if status == 403 and self.settings.api_key:
            raise Refused(
                "the API token lacks the ability for it",
                f"Set CACHET_API_TOKEN to a token with the ability {endpoint}.manage, or with all abilities.",
                endpoint,
                status=403,
            )
        if status == 403:
            raise Refused("the server lets no guest read it", "Set CACHET_API_TOKEN.", endpoint, status=403)
        if status == 404 and "route" in message:
            raise NotOffered("this server does not offer it", "", endpoint)
        if status == 404:
            raise NotFound(
                "the server does not know it (404)" + ("" if message else ", or its API is switched off"),
                "" if message else "Check that the API is enabled in Cachet's settings.",
                endpoint,
            )
        said = f", {message[:200]!r}" if message else ""
        raise CachetError(
            f"the server refuses the request ({status}{said})", "Check the server's log.", endpoint
        )

    def _said(self, body: bytes) -> str:
        try:
            message = self._without_token(_message(orjson.loads(body)))
        except orjson.JSONDecodeError:
            return ""
        return f", {message[:200]!r}" if message else ""

    def _without_token(self, text: str) -> str:
        """Return a server's words with the token blotted out, whole or behind its number (`1|…`)."""
        token = self.settings.token or ""
        for secret in (token, token.partition("|")[2]):
            text = text.replace(secret, "…") if secret else text
        return text


def _verification(settings: CachetSettings) -> ssl.SSLContext | bool:
    if urlsplit(settings.base_url).scheme == "http":
        return True
    try:
        return ssl.create_default_context(cafile=settings.ca_bundle)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"the file {settings.ca_bundle} holds no certificates that can be read",
            "Set CACHET_CA_BUNDLE to a PEM file of certificates.",
        ) from error


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _bad_certificate(origin: str, error: Exception, endpoint: str) -> Unreachable:
    reason = str(getattr(error, "verify_message", "") or error).rstrip(".")
    remedy = next(
        (remedy for part, remedy in _TLS_REMEDIES.items() if part in reason), "Check the certificate."
    )
    return Unreachable(f"the TLS certificate of {origin} is not valid ({reason})", remedy, endpoint)


def _refusal(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections"
    if isinstance(error, socket.gaierror):
        return "cannot be found"
    return f"cannot be reached ({error.strerror or type(error).__name__})"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _parsed(headers: Mapping[str, str], body: bytes, endpoint: str, base_url: str, status: int) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    if "json" not in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<":
        raise NotCachet(
            f"{base_url} answers {status} with something that is not Cachet's API",
            "Set CACHET_BASE_URL to the status page's address.",
            endpoint,
        )
    # Hostile text is repaired rather than refused: invalid UTF-8 and lone surrogates become U+FFFD.
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        raise _TransportError("the answer's JSON is cut off") from None
    except RecursionError:
        raise NotCachet("an answer is nested too deeply", "Check the server.", endpoint) from None


def _message(document: Any) -> str:
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("detail") or errors[0].get("title") or "")
    return str(document.get("message") or "")


def _date(headers: Mapping[str, str]) -> datetime:
    try:
        return parsedate_to_datetime(headers["Date"]).astimezone(timezone.utc)
    except (KeyError, ValueError, TypeError, OverflowError):
        return datetime.now(timezone.utc)
