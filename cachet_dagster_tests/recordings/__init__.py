"""What real Cachet servers answered, as recorded: the truth for the embedded server and for the loads.

`cachet_v2/` and `cachet_v3/` hold one file per dataset, one JSON object per line: `method`, `path`, `auth`,
`status`, `response_headers`, `recorded_at` and `body`. `world.json` holds the database rows behind them
(times in UTC). The files are kept compressed (xz), as their texts repeat themselves: megabytes become
kilobytes. What the functions return is read once and shared; take a copy before changing it.
"""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def _read(version: str, name: str) -> bytes:
    return lzma.decompress((FOLDER / f"cachet_{version}" / f"{name}.xz").read_bytes())


@cache
def index(version: str) -> dict[str, Any]:
    """Return what is known of the recording (`server`, `tokens`, `files`); version is "v2" or "v3"."""
    return json.loads(_read(version, "index.json"))


@cache
def exchanges(version: str, dataset: str) -> list[dict[str, Any]]:
    """Return the exchanges of a dataset (`"bulk"`, `"auth"`, …) in the order of the recording."""
    return [json.loads(line) for line in _read(version, f"{dataset}.jsonl").splitlines() if line]


@cache
def world(version: str) -> dict[str, Any]:
    """Return the database rows behind the datasets: table name → list of rows."""
    return json.loads(_read(version, "world.json"))


def tokens(version: str) -> dict[str, str]:
    """Return the API tokens by the names that `auth` of an exchange uses."""
    return dict(index(version)["tokens"])


def datasets(version: str) -> list[str]:
    """Return the names of the recorded datasets."""
    return [name.removesuffix(".jsonl") for name in index(version)["files"]]
