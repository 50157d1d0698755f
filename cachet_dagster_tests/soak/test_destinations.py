"""`make soak`: all that is promised of every destination, on the places that take long.

The tests are those of `warehouse/test_destinations.py`. Azure is npm's azurite, where it is on PATH.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cachet_dagster_tests.warehouse.places import Place, make_place
from cachet_dagster_tests.warehouse.test_destinations import *  # noqa: F403

pytestmark = pytest.mark.soak


@pytest.fixture(params=["delta", "s3", "azure"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place of the test's own."""
    return make_place(request, tmp_path)
