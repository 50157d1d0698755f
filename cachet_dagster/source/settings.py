"""Everything that can be set about reading a Cachet: one typed model, checked when it is made.

It is the one place for names, defaults, units and descriptions: environment variables, the Component's attributes,
dlt's arguments, the table of the documentation and `doctor` come from it. A base URL is taken
as a person pastes it: the page's address, with or without `/api`, with or without a slash.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from annotated_types import Ge, Gt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from .errors import SettingsError

DEFAULT_BASE_URL = "https://v3.cachethq.io/api"

MIN_HASH_KEY = 16
"""Characters of a key that cannot be guessed as addresses can."""

ApiVersion = Literal["auto", "2", "3"]
Emails = Literal["keep", "hash", "omit"]

# What a person pastes from a browser: pages of Cachet below its root.
_PAGE_PATHS = re.compile(
    r"/(api|dashboard|incidents|schedules|subscribers?|subscribe|auth/login|login|rss|atom)(/.*)?$"
)

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_BREAK = re.compile(r"\n|;\s*(?=[A-Za-z0-9!#$%&'*+.^_`|~-]+:)")
_OWN_HEADERS = {
    "accept", "accept-encoding", "authorization", "connection", "content-length", "host", "transfer-encoding",
    "x-cachet-token",
}  # fmt: skip

PositiveNumber = Annotated[float, Gt(0), Field(allow_inf_nan=False)]
Number = Annotated[float, Ge(0), Field(allow_inf_nan=False)]
Count = Annotated[int, Gt(0)]


class SettingsModel(BaseModel):
    """A model whose errors are one sentence that names the setting.

    Raises:
        SettingsError: A value cannot be used.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        coerce_numbers_to_str=True,
        validate_default=True,
    )

    def __init__(self, **data: Any):
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _explained(type(self), error) from None


class CachetSettings(SettingsModel):
    """How to read one Cachet."""

    base_url: str = Field(
        default=DEFAULT_BASE_URL, description="the status page's address, with or without `/api`"
    )
    api_key: SecretStr | None = Field(
        default=None, description="API token; without one a guest reads, who sees public rows"
    )
    basic_auth: SecretStr | None = Field(
        default=None,
        description="`user:password` of a server in front of Cachet that asks for them (HTTP Basic)",
    )
    headers: SecretStr | None = Field(
        default=None,
        description="further headers for what stands in front of Cachet: `Name: value; Other: value`",
    )
    timezone: str = Field(
        default="UTC",
        description="the server's time zone (its APP_TIMEZONE): Cachet prints local times without saying so",
    )
    api_version: ApiVersion = Field(default="auto", description="`2` or `3` to skip finding out")
    requests_per_minute: Count | None = Field(
        default=None,
        description="cap on requests a minute, to leave room for others; what is granted where there is none",
    )
    subscriber_emails: Emails = Field(
        default="keep",
        description="`keep`, `hash` (HMAC-SHA-256) or `omit` the subscribers' e-mail addresses",
    )
    email_hash_key: SecretStr | None = Field(
        default=None,
        description=f"secret text, of {MIN_HASH_KEY} characters or more, with which addresses are hashed",
    )
    impact_requests: Count = Field(
        default=30,
        description="requests up to which each load reads how every incident and schedule hit its components",
    )
    points_overlap: Count = Field(
        default=1, description="pages of newest points read again at each load, since points change"
    )
    ca_bundle: str | None = Field(
        default=None,
        description="PEM file of a private CA; the system's where there is none; verification cannot be off",
    )
    connect_timeout: PositiveNumber = Field(default=10.0, description="seconds to wait for a connection")
    timeout: PositiveNumber = Field(
        default=120.0, description="seconds that a whole answer may take, however slowly it drips"
    )
    attempts: Count = Field(
        default=5, description="how often a request is sent before a transport fault is a failure"
    )
    retry_delay: PositiveNumber = Field(default=0.5, description="seconds before the first retry; doubles")
    max_wait: PositiveNumber = Field(
        default=900.0,
        description="seconds that a request may take in all, with retries and waiting for the rate limit",
    )
    max_body: Count = Field(default=64 * 1024 * 1024, description="bytes that an answer may have")
    connections: Count = Field(default=8, description="requests under way at once (64 at most of one list)")
    rate_window: PositiveNumber = Field(default=60.0, description="seconds of the server's rate-limit window")

    @field_validator("base_url")
    @classmethod
    def _page(cls, value: str) -> str:
        return normalize_base_url(value)

    @field_validator("api_key")
    @classmethod
    def _token(cls, value: SecretStr | None) -> SecretStr | None:
        token = value.get_secret_value().strip() if value else ""
        if not (token.isascii() and (token.isprintable() or not token)):
            raise SettingsError(
                "the API token has characters that no token has",
                "Copy {api_key} again from Cachet's settings.",
            )
        return SecretStr(token) if token else None

    @field_validator("basic_auth")
    @classmethod
    def _credentials(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if text and (":" not in text or not text.isprintable()):
            raise SettingsError(
                "{basic_auth} is not a user name and a password", "Set {basic_auth} to user:password."
            )
        return SecretStr(text) if text else None

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        for line in _header_lines(text):
            name, colon, _ = line.partition(":")
            if not (colon and _HEADER_NAME.fullmatch(name) and line.isascii() and line.isprintable()):
                raise SettingsError(
                    "{headers} holds something that is not a header",
                    "Set {headers} to Name: value; Other: value.",
                )
            if name.lower() in _OWN_HEADERS:
                raise SettingsError(
                    f"{{headers}} holds {name}, which the client sets itself",
                    "Leave it out; a token goes in {api_key}, a user name and password in {basic_auth}.",
                )
        return SecretStr(text) if text else None

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise SettingsError(
                f"{value!r} is not a time zone",
                "Set {timezone} to a name such as UTC or America/New_York.",
            ) from error
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _bundle(cls, value: str | None) -> str | None:
        if value and not Path(value).is_file():
            raise SettingsError(f"there is no file {value}", "Set {ca_bundle} to a PEM file of certificates.")
        return value or None

    @model_validator(mode="after")
    def _hashing(self) -> CachetSettings:
        if self.subscriber_emails == "hash" and len(self.hash_key) < MIN_HASH_KEY:
            raise SettingsError(
                f"{{subscriber_emails}} is 'hash', for which {{email_hash_key}} has to be a secret of "
                f"{MIN_HASH_KEY} characters or more, and it is "
                + ("shorter" if self.hash_key else "not set"),
                "Set {email_hash_key} to what `openssl rand -hex 32` prints, and keep it: another key gives "
                "other hashes. Or set {subscriber_emails} to omit.",
            )
        return self

    @property
    def hash_key(self) -> bytes:
        """The key for hashed addresses in clear; empty where there is none."""
        return self.email_hash_key.get_secret_value().strip().encode() if self.email_hash_key else b""

    @property
    def token(self) -> str | None:
        """The API token in clear, for the header that carries it."""
        return self.api_key.get_secret_value() if self.api_key else None

    @property
    def extra_headers(self) -> dict[str, str]:
        """The further headers in clear, with that of the basic credentials."""
        lines = _header_lines(self.headers.get_secret_value()) if self.headers else []
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if self.basic_auth:
            credentials = base64.b64encode(self.basic_auth.get_secret_value().encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        return headers

    @property
    def secrets(self) -> list[str]:
        """Every text that no message may repeat, longest first."""
        token, basic = self.token or "", self.basic_auth.get_secret_value() if self.basic_auth else ""
        headers = self.extra_headers.values()
        # A server may repeat the token without its number (`1|…`), and credentials without their scheme or user.
        parts = [token, token.partition("|")[2], basic, basic.partition(":")[2]]
        parts += [*headers, *(value.partition(" ")[2] for value in headers)]
        return sorted({part for part in parts if part}, key=len, reverse=True)

    @property
    def origin(self) -> str:
        """Scheme, host and port: the only place that secrets are ever sent to."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"


def normalize_base_url(pasted: str) -> str:
    """Return the page's root (`https://host[:port][/path]`, no slash) of an address as a person pastes it.

    `status.example.com`, `https://status.example.com/`, `…/api`, `…/api/v1/` and what a browser shows there, such as
    `…/dashboard` or `…/incidents?page=2`, give the same root.

    Raises:
        SettingsError: It is not an http or https address.
    """
    text = pasted.strip()
    if "://" not in text:
        text = f"https://{text}"
    remedy = "Set {base_url} to the status page's address, such as https://status.example.com."
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
    path = _PAGE_PATHS.sub("", parts.path.rstrip("/")).rstrip("/")
    netloc = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{netloc}{f':{port}' if port else ''}{path}"


def _header_lines(text: str) -> list[str]:
    """Return the headers of a text, each `Name: value`: a line each, or separated by semicolons."""
    return [line.strip() for line in _HEADER_BREAK.split(text) if line.strip()]


def _explained(model: type[BaseModel], error: ValidationError) -> SettingsError:
    """Return the first thing that is wrong with values, in words."""
    first = error.errors(include_url=False)[0]
    path: Iterable[Any] = first["loc"] or ("?",)
    name = str(next(iter(path)))
    if first["type"] == "extra_forbidden":
        return SettingsError(f"there is no setting {name!r}", f"Set one of: {', '.join(model.model_fields)}.")
    value = first["input"]
    return SettingsError(f"{{{name}}} is {value!r}", f"Set it to {_wanted(model, name, first)}.")


def _wanted(model: type[BaseModel], name: str, error: Any) -> str:
    field = model.model_fields.get(name)
    allowed = get_args(field.annotation) if field and error["type"] == "literal_error" else ()
    if allowed:
        return f"one of: {', '.join(map(str, allowed))}"
    bounds = error.get("ctx", {})
    if "ge" in bounds:
        return f"{bounds['ge']:g} or more"
    if "le" in bounds:
        return f"{bounds['le']:g} or less"
    if "gt" in bounds:
        return f"a number above {bounds['gt']:g}"
    seconds = field and (field.description or "").startswith("seconds")
    number = "a number of seconds" if seconds else "a number"
    return {"bool_parsing": "true or false", "int_parsing": "a whole number"}.get(error["type"], number)
