"""Cachet 3: its API, its endpoints, its pages, its rows."""

from .endpoints import LISTINGS

__all__ = ["LISTINGS"]
