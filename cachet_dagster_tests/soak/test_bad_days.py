"""Bounds and privacy of figures, in thousands of cases: what `analytics` shows on some."""

from __future__ import annotations

import pytest

from cachet_dagster_tests.analytics.test_bounds import outside
from cachet_dagster_tests.analytics.test_privacy import given_away

pytestmark = pytest.mark.soak


def test_the_true_uptime_lies_within_the_bounds_of_thousands_of_worlds():
    results = [outside(seed, 100) for seed in range(100, 160)]

    assert [line for found, _ in results for line in found] == []
    assert sum(compared for _, compared in results) > 100_000


def test_nothing_is_given_away_in_thousands_of_views():
    results = [given_away(seed, 12) for seed in range(100, 140)]

    assert [line for found, _ in results for line in found] == []
    assert sum(looked_for for _, looked_for in results) > 4_000
