"""Reads a response: its body within the cap, its JSON, and the error that its status means."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from cachet_dagster.source.errors import CachetError, Challenged, NotCachet, NotFound, NotOffered, Refused
from cachet_dagster.source.settings import CachetSettings

from .headers import retry_after, server_time
from .transport import TransportError, proxy_wants_credentials


@dataclass(frozen=True)
class Answer:
    """One answer of the API: the parsed document, the headers, and the server's clock at it (UTC)."""

    document: Any
    headers: Mapping[str, str]
    at: datetime


async def read_body(response: aiohttp.ClientResponse, limit: int, endpoint: str) -> bytes:
    """Return the unpacked body; what is beyond `limit` bytes is neither read nor unpacked.

    Raises:
        NotCachet: The body is larger, or packed in a way that was not asked for.
        TransportError: The body is broken or cut off.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, endpoint)
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
        raise TransportError("the answer's gzip is broken") from None
    if len(body) > limit:
        raise _too_large(limit, endpoint)
    if not unpacker.eof:
        raise TransportError("the answer's gzip is cut off")
    return body


def _too_large(limit: int, endpoint: str) -> NotCachet:
    return NotCachet(
        f"an answer is larger than {limit:,} bytes",
        "If that is right, set {max_body} to more bytes.",
        endpoint,
    )


def parse(
    settings: CachetSettings,
    endpoint: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    """Return the answer that a response holds.

    Args:
        settings: The token, which no error quotes, and the address that an error names.
        endpoint: The endpoint that an error names.
        status: The response's status.
        headers: The response's headers.
        body: The unpacked body.

    Raises:
        TransportError: The request may be sent again.
        CachetError: The request would be answered in the same way again.
    """
    challenge = _challenge(settings, endpoint, status, headers)
    if challenge:
        raise challenge
    if status >= 500:
        raise TransportError(
            f"the server fails ({status}{_quoted(_json_or_none(body), settings)})",
            "Check the server's log, then run again.",
            retry_after(headers) or 0.0,
        )
    document = _document(settings, endpoint, status, headers, body)
    if status == 200:
        return Answer(document, headers, server_time(headers))
    if status in (401, 403):
        raise _refused(settings, endpoint, status)
    message = _message(document)
    if status == 404 and "route" in message:
        raise NotOffered("this server does not offer it", "", endpoint)
    if status == 404:
        raise NotFound(
            "the server does not know it (404)" + ("" if message else ", or its API is switched off"),
            "" if message else "Check that the API is enabled in Cachet's settings.",
            endpoint,
        )
    raise CachetError(
        f"the server refuses the request ({status}{_quoted(document, settings)})",
        "Check the server's log.",
        endpoint,
    )


def _document(
    settings: CachetSettings, endpoint: str, status: int, headers: Mapping[str, str], body: bytes
) -> Any:
    document = _json_or_none(body)
    if document is not None:
        return document
    if "json" not in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<":
        raise NotCachet(
            f"{settings.base_url} answers {status} with something that is not Cachet's API",
            "Set {base_url} to the status page's address.",
            endpoint,
        )
    # Hostile text is repaired rather than refused: invalid UTF-8 and lone surrogates become U+FFFD.
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        raise TransportError("the answer's JSON is cut off") from None
    except RecursionError:
        raise NotCachet("an answer is nested too deeply", "Check the server.", endpoint) from None


def _json_or_none(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _challenge(
    settings: CachetSettings, endpoint: str, status: int, headers: Mapping[str, str]
) -> Challenged | None:
    """Return the error where something in front of Cachet refuses the request; None where it is Cachet's answer."""
    scheme, _, realm = headers.get("WWW-Authenticate", "").partition(" ")
    if status == 401 and scheme.lower() not in ("", "bearer"):
        if settings.basic_auth:
            what = "does not accept the user name and password"
        else:
            what = f"wants a user name and password ({scheme[:20]} {realm[:60]})"
        return Challenged(
            f"a server in front of Cachet {what}", "Set {basic_auth} to user:password.", endpoint
        )
    if status == 407:
        return proxy_wants_credentials(endpoint)
    if "cf-mitigated" in headers:
        return Challenged(
            f"a firewall (Cloudflare) in front of the server challenges the request ({status})",
            "Let requests for {base_url} below /api pass the firewall, by this machine's address or by {headers}.",
            endpoint,
        )
    if status == 403 and "html" in headers.get("Content-Type", "").lower():
        return Challenged(
            "a firewall or proxy in front of Cachet refuses the request (403)",
            "Let requests for {base_url} below /api pass, by this machine's address or by {headers}.",
            endpoint,
        )
    return None


def _refused(settings: CachetSettings, endpoint: str, status: int) -> Refused:
    if settings.api_key is None:
        what = "the server wants an API token" if status == 401 else "the server lets no guest read it"
        return Refused(what, "Set {api_key}.", endpoint, status=status)
    if status == 401:
        return Refused(
            "the server does not accept the API token",
            "Set {api_key} to a token that is valid and not expired.",
            endpoint,
        )
    return Refused(
        "the API token lacks the ability for it",
        f"Set {{api_key}} to a token with the ability {endpoint}.manage, or with all abilities.",
        endpoint,
        status=status,
    )


def _message(document: Any) -> str:
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("detail") or errors[0].get("title") or "")
    return str(document.get("message") or "")


def _quoted(document: Any, settings: CachetSettings) -> str:
    """Return the server's message to follow a status, secrets redacted; empty where there is none."""
    message = _message(document)
    for secret in settings.secrets:
        message = message.replace(secret, "…")
    return f", {message[:200]!r}" if message else ""
