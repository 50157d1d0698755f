"""What a run records beside rows: the data version of each table, and check results that the run did not plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetCheckResult

DATA_VERSION = "dagster/data_version"

WHAT = "what_happened"
"""Metadata of a table's event: what the load did with it, or why it was not loaded."""

UNCHANGED = "unchanged"

FOUND = "found"
"""Metadata of a check: how many rows break it. A number in each evaluation, so that Dagster plots it."""

_HASH_BYTES = 12


def data_version(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the hash of a table's content, which is the same in whatever order its rows come."""
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    for row in sorted(map(_serialized, rows)):
        digest.update(row)
        digest.update(b"\n")
    return digest.hexdigest()


def _serialized(row: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Whole numbers beyond 64 bits.
        return json.dumps(row, default=str, sort_keys=True).encode()


def evaluation(result: AssetCheckResult) -> AssetCheckEvaluation:
    """Return a check's result as the event that records it where the run did not plan the check."""
    key = check_key(result)
    return AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )


def check_key(result: AssetCheckResult) -> AssetCheckKey:
    """Return the key of a check that names its asset and itself."""
    assert result.asset_key
    assert result.check_name
    return AssetCheckKey(result.asset_key, result.check_name)
