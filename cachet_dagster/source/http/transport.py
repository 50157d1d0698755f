"""Faults of transport: what a failed exchange of bytes means, and what to set or check.

They are retried, since the next exchange may succeed; only an invalid certificate is final at once. What the HTTP
library raised is never chained to them: its representations hold the request's headers, and so the token.
"""

from __future__ import annotations

import socket

import aiohttp
from yarl import URL

from cachet_dagster.source.errors import CertificateInvalid, Challenged
from cachet_dagster.source.settings import CachetSettings

_PROXY_REMEDY = "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
_CA_REMEDY = "For a private CA set {ca_bundle} to a file with its certificates."
_TLS_REMEDIES = {
    "self-signed certificate": _CA_REMEDY,
    "unable to get": _CA_REMEDY,
    "expired": "Renew the server's certificate, or check this machine's clock.",
    "mismatch": "Set {base_url} to a name that the certificate is for.",
}


class TransportError(Exception):
    """The request may be sent again: nothing came, or not all of it.

    Args:
        what: What happened, as a clause without a full stop.
        remedy: What to check where it keeps happening.
        wait: Seconds that the server asked to wait before the next attempt.
    """

    def __init__(
        self,
        what: str,
        remedy: str = "Check the server and the network, then run again.",
        wait: float = 0.0,
    ):
        super().__init__(what)
        self.remedy = remedy
        self.wait = wait


def transport_error(
    error: aiohttp.ClientError | OSError,
    url: URL,
    settings: CachetSettings,
    endpoint: str,
    allowed: float,
) -> TransportError | CertificateInvalid | Challenged:
    """Return what the HTTP library's error means.

    Args:
        error: What it raised.
        url: The address of the request.
        settings: The bounds of a request, which a remedy may name.
        endpoint: The endpoint that an error names.
        allowed: Seconds that the answer was allowed.
    """
    place = f"{url.host}:{url.port}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _invalid_certificate(settings.origin, error.certificate_error, endpoint)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransportError(
            f"there is no host {url.host}", "Check {base_url}, or this machine's name resolution."
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        reason = str(getattr(error.os_error, "reason", None) or error.os_error).replace("_", " ").lower()
        return TransportError(
            f"{place} does not speak TLS properly ({reason})",
            "Check whether {base_url} has to begin with http:// or has the right port.",
        )
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == 407:
            return proxy_wants_credentials(endpoint)
        return TransportError(f"the proxy refuses to connect ({error.status})", _PROXY_REMEDY)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return TransportError(
            f"cannot connect to the proxy {error.host}:{error.port}",
            _PROXY_REMEDY,
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError(
            f"{place} {_refusal(error.os_error)}",
            "Check that the server runs and that {base_url} has its address and port.",
        )
    if isinstance(error, TimeoutError):
        return _timeout(error, place, settings, allowed)
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportError("the answer is not proper HTTP")
    return TransportError("the answer was cut off")


def proxy_wants_credentials(endpoint: str) -> Challenged:
    """Return the error of an endpoint whose request a proxy did not pass on (407)."""
    return Challenged(
        "the proxy wants a user name and password, or other ones (407)",
        "Set HTTPS_PROXY or HTTP_PROXY to http://user:password@proxy.example.com:3128.",
        endpoint,
    )


def _timeout(error: Exception, place: str, settings: CachetSettings, allowed: float) -> TransportError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransportError(
            f"no connection to {place} within {settings.connect_timeout:g} s",
            "Check {base_url} and the network, or set {connect_timeout} to more seconds.",
        )
    setting = "{timeout}" if allowed == settings.timeout else "{max_wait}"
    return TransportError(
        f"no whole answer within {allowed:.3g} s",
        f"Check the server's load and the network, or set {setting} to more seconds.",
    )


def _invalid_certificate(origin: str, error: Exception, endpoint: str) -> CertificateInvalid:
    reason = str(getattr(error, "verify_message", "") or error).rstrip(".")
    remedy = next(
        (remedy for part, remedy in _TLS_REMEDIES.items() if part in reason), "Check the certificate."
    )
    return CertificateInvalid(f"the TLS certificate of {origin} is not valid ({reason})", remedy, endpoint)


def _refusal(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections"
    if isinstance(error, socket.gaierror):
        return "cannot be found"
    return f"cannot be reached ({error.strerror or type(error).__name__})"
