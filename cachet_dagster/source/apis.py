"""The two APIs that a Cachet may speak: where each begins and how it takes the token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Api:
    """One API: the Cachet version that speaks it, its path below the page's root, and its auth header."""

    version: int
    root: str
    header: str
    token: Callable[[str], str]

    def auth(self, api_key: str | None) -> dict[str, str]:
        """Return the headers that carry the token; none for a guest."""
        return {self.header: self.token(api_key)} if api_key else {}


API_3 = Api(3, "/api", "Authorization", "Bearer {}".format)
API_2 = Api(2, "/api/v1", "X-Cachet-Token", str)
