"""What can go wrong with a Cachet, each said so that a person knows what happened and what to do.

A message has up to four parts, in this order: which endpoint, what happened, what is unchanged, and
what to set or check. It holds a setting as `{name}`: whoever shows the error to a person puts the name that this
person knows, by `with_setting_names`; otherwise it is the `CACHET_…` variable. The classes exist where code decides by
them; everything else is a CachetError.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

PREFIX = "CACHET_"

_Error = TypeVar("_Error", bound="CachetError")
_SETTING = re.compile(r"\{([a-z][a-z_]+)\}")


def variable(setting: str, prefix: str = PREFIX) -> str:
    """Return the environment variable of a setting."""
    return f"{prefix}{'api_token' if setting == 'api_key' else setting}".upper()


def named(text: str, name_of: Callable[[str], str] = variable) -> str:
    """Return a text with each `{setting}` in it called as `name_of` calls that setting."""
    return _SETTING.sub(lambda found: name_of(found[1]), text)


def first_line(error: BaseException) -> str:
    """Return what an error says first, short enough for a sentence."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:200]


class CachetError(Exception):
    """Something about the Cachet server, its answers or the settings that a person has to know.

    Args:
        what: What happened, as a clause without a full stop.
        remedy: What to set or check, as a sentence; empty where nothing helps.
        endpoint: The endpoint that it happened to; empty where it concerns them all.

    Attributes:
        retryable: Whether it may pass by itself, so that trying again later makes sense; else a person has to
            mend something first.
    """

    retryable: bool = False

    def __init__(self, what: str, remedy: str = "", endpoint: str = ""):
        super().__init__(what, remedy, endpoint)
        self.what = what
        self.remedy = remedy
        self.endpoint = endpoint

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that it names, in their order."""
        return tuple(dict.fromkeys(_SETTING.findall(f"{self.what} {self.remedy}")))

    def about(self: _Error, endpoint: str) -> _Error:
        """Return the same error of another endpoint; empty for all of them."""
        error = copy.copy(self)
        error.endpoint = endpoint
        error.args = (self.what, self.remedy, endpoint)
        return error

    def with_setting_names(self: _Error, name_of: Callable[[str], str]) -> _Error:
        """Return the same error with its settings called as `name_of` calls them."""
        error = copy.copy(self)
        error.what, error.remedy = named(self.what, name_of), named(self.remedy, name_of)
        error.args = (error.what, error.remedy, self.endpoint)
        return error

    def __str__(self) -> str:
        return named(self._message())

    def _message(self) -> str:
        subject = f"{self.endpoint}: " if self.endpoint else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        tables = f"{'Their' if _AND in self.endpoint else 'Its'} tables are unchanged."
        return f"{subject}{self.what}. {_UNCHANGED.get(self.endpoint, tables)}{remedy}"


def told_once(errors: Iterable[CachetError]) -> list[str]:
    """Return errors as sentences, one for those endpoints to which the same happened."""
    alike: dict[tuple[str, str], list[CachetError]] = {}
    for error in errors:
        alike.setdefault((error.what, error.remedy), []).append(error)
    return [str(same[0].about(_AND.join(error.endpoint for error in same))) for same in alike.values()]


_AND = ", "
_UNCHANGED = {
    "": "No table was changed.",
    # Points are loaded step by step while they are read.
    "metric_points": "The points loaded before stay.",
}


class SettingsError(CachetError):
    """A setting is missing or wrong; nothing was requested."""

    def _message(self) -> str:
        return f"{self.what}. Nothing was requested or changed. {self.remedy}".rstrip()


class Unreachable(CachetError):
    """No answer came, or none to go by: no such host, refused, too slow, cut off, 5xx, the rate limit spent."""

    retryable = True


class CertificateInvalid(Unreachable):
    """The server's TLS certificate is not valid, to this machine at least."""

    retryable = False


class NotCachet(CachetError):
    """An answer came, but not one that a Cachet gives."""

    def __init__(self, what: str, remedy: str = "", endpoint: str = ""):
        known = "Check that {base_url} leads to a Cachet, and whether that was updated."
        super().__init__(what, remedy or known, endpoint)


class NotUnderstood(CachetError):
    """An answer looked like one of a Cachet, and reading it failed all the same."""

    def __init__(self, what: str, remedy: str = "", endpoint: str = ""):
        known = "Check whether Cachet was updated; please report it with this message."
        super().__init__(what, remedy or known, endpoint)


class Refused(CachetError):
    """The server wants a token, or another one (401, 403)."""

    def __init__(self, what: str, remedy: str = "", endpoint: str = "", *, status: int = 401):
        super().__init__(what, remedy, endpoint)
        self.status = status


class Challenged(CachetError):
    """Something in front of Cachet refused the request: a server that wants credentials, a firewall, a proxy."""


class NotOffered(CachetError):
    """This server has no such route; not a failure for endpoints that not every Cachet has."""


class NotFound(CachetError):
    """The route exists, the row does not, or not for this token."""


class Unstable(CachetError):
    """Rows kept moving between pages while they were read."""

    retryable = True


class NeedsToken(Refused):
    """A guest, or a token without the ability, asked for what it may not see: expected, and no failure in itself."""
