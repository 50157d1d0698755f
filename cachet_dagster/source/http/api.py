"""The two APIs that a Cachet may speak: where each begins, how it takes the token, and how it prints times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Api:
    """One API.

    Attributes:
        version: The Cachet version that speaks it.
        root: Its path below the page's root.
        header: The header that takes the token.
        token: The token as that header takes it.
        headers: Headers that every request carries beside it.
        zone: IANA name of the zone in which it then prints times; empty for the server's own.
    """

    version: int
    root: str
    header: str
    token: Callable[[str], str]
    headers: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""

    def auth(self, api_key: str | None) -> dict[str, str]:
        """Return the headers of a request: the API's own, and that with the token unless it is a guest's."""
        return {**self.headers, **({self.header: self.token(api_key)} if api_key else {})}


API_3 = Api(3, "/api", "Authorization", "Bearer {}".format)
# Without the header Cachet 2 prints times in a zone that an administrator chose, and does not say which.
API_2 = Api(2, "/api/v1", "X-Cachet-Token", str, {"Time-Zone": "UTC"}, "UTC")
