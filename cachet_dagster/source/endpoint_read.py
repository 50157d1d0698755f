"""What reading one endpoint gave: its rows, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass, field

from .endpoints import Endpoint
from .errors import CachetError, NeedsToken, NotOffered
from .rows import Row


@dataclass
class EndpointRead:
    """What reading an endpoint gave: all rows of its tables by table name, or the error.

    Attributes:
        endpoint: The endpoint.
        rows: Rows by table; empty where there is an error.
        error: Why it could not be read.
        requests: Requests that it took, retries included; those for a list that it shares with an endpoint
            read beside it are that one's, detecting the API is `versions`', checking the token `subscribers`'.
        seconds: Seconds that it took.
        unreadable: Ids of rows whose links could not be read; their status is stored as unknown.
    """

    endpoint: Endpoint
    rows: dict[str, list[Row]] = field(default_factory=dict)
    error: CachetError | None = None
    requests: int = 0
    seconds: float = 0.0
    unreadable: list[int] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """`read`, `not offered` (this Cachet has no such endpoint), `refused` (not for this token) or `failed`."""
        if self.error is None:
            return "read"
        if isinstance(self.error, NotOffered):
            return "not offered"
        return "refused" if isinstance(self.error, NeedsToken) else "failed"
