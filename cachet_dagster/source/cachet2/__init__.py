"""Cachet 2 (API v1): its endpoints, its pages, its rows, its points."""

from .endpoints import LISTINGS

__all__ = ["LISTINGS"]
