"""Cachet 2 (API v1): its pages, its rows, its points."""

from .ambiguous_times import resolve
from .metric_points import points
from .pagination import SORTED, UNSORTED
from .parsing import observation, parse

__all__ = ["SORTED", "UNSORTED", "observation", "parse", "points", "resolve"]
