"""Cachet 3: its pages, its rows, its points."""

from .metric_points import points
from .pagination import BY_ID
from .parsing import observation, parse

__all__ = ["BY_ID", "observation", "parse", "points"]
