"""Everything that can be set about reading a Cachet, checked when it is made and said in plain words.

`CachetSettings` is a plain value: dlt's configuration, a Dagster resource and the environment each fill
it in their own way. A base URL is taken as a person pastes it: the page's address, with or without
`/api`, with or without a slash.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from .errors import SettingsError

DEFAULT_BASE_URL = "https://v3.cachethq.io/api"

ApiVersion = Literal["auto", "2", "3"]
Emails = Literal["keep", "hash", "omit"]


@dataclass(frozen=True)
class CachetSettings:
    """How to read one Cachet.

    Attributes:
        base_url: The status page's address, with or without `/api`.
        api_key: The API token; None reads as a guest, who sees public rows only.
        timezone: IANA name of the server's time zone (its `APP_TIMEZONE`), in which it prints times.
        api_version: "3", "2" (Cachet 2's API v1), or "auto" to find out.
        connect_timeout: Seconds to wait for a connection.
        timeout: Seconds that one answer may take in all, however slowly it drips.
        attempts: How often a request is sent before a transport fault counts as a failure.
        retry_delay: Seconds before the first retry; each further one waits twice as long.
        max_wait: Seconds that one request may take in all, with its retries and its waiting for the rate limit.
        max_body: Bytes that one answer may have.
        connections: Requests under way at once.
        requests_per_minute: Cap on requests a minute, to leave room for others; None spends what is granted.
        rate_window: Seconds of the server's rate-limit window.
        ca_bundle: Path of a PEM file with the certificates of a private CA.
        by_id_days: Days for which an updated incident's details are asked again.
        points_overlap: Pages of newest points read again at each load, since points change.
        subscriber_emails: "keep", "hash" (SHA-256 of the lower-case address) or "omit".

    Raises:
        SettingsError: A value cannot be used; the message names the variable to set.
    """

    base_url: str = DEFAULT_BASE_URL
    api_key: str | None = field(default=None, repr=False)
    timezone: str = "UTC"
    api_version: ApiVersion = "auto"
    connect_timeout: float = 10.0
    timeout: float = 120.0
    attempts: int = 5
    retry_delay: float = 0.5
    max_wait: float = 900.0
    max_body: int = 64 * 1024 * 1024
    connections: int = 8
    requests_per_minute: int | None = None
    rate_window: float = 60.0
    ca_bundle: str | None = None
    by_id_days: float = 7.0
    points_overlap: int = 1
    subscriber_emails: Emails = "keep"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", normalize_base_url(self.base_url))
        object.__setattr__(self, "api_key", (self.api_key or "").strip() or None)
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise SettingsError(
                "the API token has characters that no token has",
                "Copy CACHET_API_TOKEN again from Cachet's settings.",
            )
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise SettingsError(
                f"{self.timezone!r} is not a time zone",
                "Set CACHET_TIMEZONE to a name such as UTC or America/New_York.",
            ) from error
        _one_of("CACHET_API_VERSION", self.api_version, get_args(ApiVersion))
        _one_of("CACHET_SUBSCRIBER_EMAILS", self.subscriber_emails, get_args(Emails))
        for variable, name in VARIABLES.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)):
                continue
            if not math.isfinite(value) or value < 0 or (value == 0 and name != "by_id_days"):
                wanted = "0 or more" if name == "by_id_days" else "a number above 0"
                raise SettingsError(f"{variable} is {value}", f"Set it to {wanted}.")
        if self.ca_bundle and not Path(self.ca_bundle).is_file():
            raise SettingsError(
                f"there is no file {self.ca_bundle}", "Set CACHET_CA_BUNDLE to a PEM file of certificates."
            )

    @property
    def origin(self) -> str:
        """Scheme, host and port: the only place that the token is ever sent to."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **given: Any) -> CachetSettings:
        """Make settings from `CACHET_*` variables; `given` values that are not None win.

        Raises:
            SettingsError: A variable holds what cannot be used.
        """
        values: dict[str, Any] = {}
        types = {f.name: f.type for f in dataclasses.fields(cls)}
        for variable, name in VARIABLES.items():
            text = environment.get(variable, "").strip()
            if not text:
                continue
            kind = str(types[name])
            try:
                values[name] = float(text) if "float" in kind else int(text) if "int" in kind else text
            except ValueError as error:
                raise SettingsError(f"{variable} is {text!r}", "Set it to a number.") from error
        values.update({name: value for name, value in given.items() if value is not None})
        return cls(**values)


VARIABLES = {
    "CACHET_BASE_URL": "base_url",
    "CACHET_API_TOKEN": "api_key",
    "CACHET_TIMEZONE": "timezone",
    "CACHET_API_VERSION": "api_version",
    "CACHET_CONNECT_TIMEOUT": "connect_timeout",
    "CACHET_TIMEOUT": "timeout",
    "CACHET_ATTEMPTS": "attempts",
    "CACHET_RETRY_DELAY": "retry_delay",
    "CACHET_MAX_WAIT": "max_wait",
    "CACHET_MAX_BODY": "max_body",
    "CACHET_CONNECTIONS": "connections",
    "CACHET_REQUESTS_PER_MINUTE": "requests_per_minute",
    "CACHET_RATE_WINDOW": "rate_window",
    "CACHET_CA_BUNDLE": "ca_bundle",
    "CACHET_BY_ID_DAYS": "by_id_days",
    "CACHET_POINTS_OVERLAP": "points_overlap",
    "CACHET_SUBSCRIBER_EMAILS": "subscriber_emails",
}
"""Environment variable → setting."""


def normalize_base_url(pasted: str) -> str:
    """Return the page's root (`https://host[:port][/path]`, no slash) of an address as a person pastes it.

    `status.example.com`, `https://status.example.com/`, `…/api` and `…/api/v1/` give the same root.

    Raises:
        SettingsError: It is not an http or https address.
    """
    text = pasted.strip()
    if "://" not in text:
        text = f"https://{text}"
    remedy = "Set CACHET_BASE_URL to the status page's address, such as https://status.example.com."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{pasted!r} is not an address", remedy) from error
    host = (parts.hostname or "").lower()
    if parts.scheme.lower() not in ("http", "https") or not re.fullmatch(r"[^\s/\\]+", host):
        raise SettingsError(f"{pasted!r} is not an http or https address", remedy)
    if parts.username or parts.password:
        raise SettingsError("the address holds a user name or password", remedy)
    path = re.sub(r"/api(/v1)?/*$", "", parts.path.rstrip("/") + "/").rstrip("/")
    netloc = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{netloc}{f':{port}' if port else ''}{path}"


def _one_of(variable: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{variable} is {value!r}", f"Set it to one of: {', '.join(allowed)}.")
